"""Quality warnings of this pipeline, the order in which a reader meets all of them, and what each concerns."""

from collections.abc import Collection, Mapping

from service.domain.flags import (
    AGE_UNKNOWN,
    LOSSY,
    LUNG_AT_EDGE,
    LUNG_DROPPED,
    OF_THE_LUNGS,
    PADDING_MASKED,
    THICK_SLICES,
    UNMEASURED_MODEL,
    Flag,
)
from service.pipelines.lung_density.measure import Measure
from service.pipelines.shared.flags import LOBES_APPROXIMATE

KERNEL_SHARP = Flag(
    "KERNEL_SHARP", "Sharp kernel: its noise counts as low attenuation.", "Q-KERNEL-SHARP", "sharp kernel"
)
KERNEL_UNKNOWN = Flag(
    "KERNEL_UNKNOWN", "It is not known whether the kernel is a sharp one.", "Q-KERNEL-UNKNOWN", "kernel not known"
)
ITERATIVE = Flag(
    "ITERATIVE",
    "Iterative reconstruction takes low attenuation away with noise.",
    "Q-ITERATIVE",
    "iterative reconstruction",
)
SLICES_AVERAGE = Flag(
    "SLICES_AVERAGE", "Slices thicker than 2 mm average low attenuation away.", "Q-SLICES-AVERAGE", "thick slices"
)
CONTRAST = Flag("CONTRAST", "Contrast agent makes lung denser than it is.", "Q-CONTRAST", "contrast agent")
LOW_DOSE = Flag("LOW_DOSE", "Low dose: noise, or what removes it, changes the density.", "Q-LOW-DOSE", "low dose")
NOISY = Flag("NOISY", "Noise counts as low attenuation.", "Q-NOISY", "noise")
NOISE_UNKNOWN = Flag(
    "NOISE_UNKNOWN", "No trachea was found to measure the noise in.", "Q-NOISE-UNKNOWN", "noise not measured"
)
AIR_SHIFTED = Flag(
    "AIR_SHIFTED", "The air in the trachea has another attenuation than usual.", "Q-AIR-SHIFTED", "air in trachea"
)
LOSSY_DENSITY = Flag(
    "LOSSY_DENSITY", "Compression with loss changes the density.", "Q-LOSSY-DENSITY", "compressed with loss"
)
TISSUE_ADDED = Flag(
    "TISSUE_ADDED", "Dense tissue added to the lungs raises their density.", "Q-TISSUE-ADDED", "dense tissue added"
)
NOT_INSPIRED = Flag(
    "NOT_INSPIRED",
    "Breath not deep, or lungs shrunken: densities are higher.",
    "Q-NOT-INSPIRED",
    "breath not deep",
)
NOT_ADJUSTED = Flag("NOT_ADJUSTED", "Perc15 is not adjusted, nor the depth of breath judged.", "Q-NOT-ADJUSTED")
LOBE_UNMEASURED = Flag("LOBE_UNMEASURED", "A lobe was not found: it has no density of its own.", "Q-LOBE-NO-DENS")

FLAGS = (
    KERNEL_SHARP,
    KERNEL_UNKNOWN,
    ITERATIVE,
    SLICES_AVERAGE,
    CONTRAST,
    LOW_DOSE,
    NOISY,
    NOISE_UNKNOWN,
    AIR_SHIFTED,
    NOT_INSPIRED,
    TISSUE_ADDED,
    LOSSY_DENSITY,
    THICK_SLICES,
    LOSSY,
    AGE_UNKNOWN,
    *OF_THE_LUNGS,
    NOT_ADJUSTED,
    LOBES_APPROXIMATE,
    UNMEASURED_MODEL,
    LOBE_UNMEASURED,
    PADDING_MASKED,
)

_TAILS = frozenset({Measure.LAA, Measure.PERC15})
_ALL = frozenset(Measure)

CONCERNED: Mapping[str, frozenset[Measure]] = {
    KERNEL_SHARP.code: _TAILS,
    KERNEL_UNKNOWN.code: _TAILS,
    ITERATIVE.code: _TAILS,
    SLICES_AVERAGE.code: _TAILS | {Measure.HAA},
    CONTRAST.code: _ALL,
    LOW_DOSE.code: _TAILS,
    NOISY.code: _TAILS | {Measure.HAA},
    NOISE_UNKNOWN.code: _TAILS,
    AIR_SHIFTED.code: _ALL,
    NOT_INSPIRED.code: _ALL,
    TISSUE_ADDED.code: _ALL,
    LOSSY_DENSITY.code: _TAILS,
    LUNG_AT_EDGE.code: _ALL,
    LUNG_DROPPED.code: _ALL,
}
"""What a warning makes not comparable with other CTs, by its code. Noise leaves a mean where it was; volumes stay."""


def not_comparable(flags: Collection[Flag]) -> frozenset[Measure]:
    """The measures that are not comparable with those of other CTs. They are told all the same."""
    return frozenset().union(*(CONCERNED.get(flag.code, frozenset()) for flag in flags))
