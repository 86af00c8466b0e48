"""What of a CT's scan and reconstruction changes its density: by its headers, and by what was measured in it."""

from collections.abc import Iterator
from contextlib import suppress
from statistics import median

from pydicom import Dataset

from service.domain.ct import CT
from service.domain.flags import LOSSY, Flag
from service.imaging.attributes import Unreadable, known_text, optional_number
from service.imaging.contrast import contrast_given
from service.imaging.facts import kernels_of
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density.kernels import Sharpness, is_iterative, sharpness
from service.pipelines.lung_density.limits import apart
from service.pipelines.lung_density.trachea import TracheaAir

THICK_MM = 2.0
"""Thicker slices average low attenuation away; the limit was found on slices of 1 mm (Gevenois 1996)."""

LOW_DOSE_MGY = 3.0
"""CTDIvol of lung cancer screening at most (ACR-STR practice parameter, 2014)."""

MOST_NOISE_HU = 30.0
"""Standard deviation of the air in the trachea. Of a lung that spreads by 30 HU around -860 HU it puts 1.7 % below -950
HU, where there is 0.1 % without noise. Five real CTs of soft kernels have 17 to 28 HU, one of a sharp kernel 71."""

AIR_HU = (-1018.0, -962.0)
"""Of the trachea in 78 CTs: -990 HU, and two standard deviations of 14 HU to both sides (Kim 2012)."""


def preference(kernels: tuple[str, ...], thickness_mm: float | None) -> int:
    """Rank of a series by its reconstruction: what is soft and thin enough is 0, and comparable."""
    if thickness_mm is None or thickness_mm > THICK_MM:
        return len(Sharpness)
    return (Sharpness.SOFT, Sharpness.UNKNOWN, Sharpness.SHARP).index(sharpness(kernels))


def doubts(ct: CT, air: TracheaAir | None) -> Iterator[Flag]:
    """Every reason to doubt the densities of a CT, each with the values that decided it. air: of its trachea."""
    yield from _kernel(ct.headers[0])
    thickness_mm = slice_thickness_mm(ct)
    if thickness_mm > THICK_MM:
        yield warnings.SLICES_AVERAGE.because(f"{apart(thickness_mm, THICK_MM, 1)} mm, above {THICK_MM:g} mm.")
    if agents := contrast_given(ct.headers[0]):
        yield warnings.CONTRAST.because(f"{agents[0][:40]}.")
    dose_mgy = ctdi_vol_mgy(ct)
    if dose_mgy is not None and dose_mgy < LOW_DOSE_MGY:
        yield warnings.LOW_DOSE.because(f"CTDIvol {apart(dose_mgy, LOW_DOSE_MGY, 2)} mGy, below {LOW_DOSE_MGY:g} mGy.")
    if LOSSY in ct.flags:
        yield warnings.LOSSY_DENSITY
    yield from _trachea(air)


def _trachea(air: TracheaAir | None) -> Iterator[Flag]:
    if air is None:
        yield warnings.NOISE_UNKNOWN
        return
    if air.noise_hu > MOST_NOISE_HU:
        yield warnings.NOISY.because(
            f"Standard deviation {apart(air.noise_hu, MOST_NOISE_HU, 1)} HU in the trachea, above {MOST_NOISE_HU:g} HU."
        )
    least, most = AIR_HU
    if not least <= air.median_hu <= most:
        passed = least if air.median_hu < least else most
        found = f"{apart(air.median_hu, passed, 1)} HU, not {least:g} to {most:g} HU."
        yield warnings.AIR_SHIFTED.because(found)


def _kernel(header: Dataset) -> Iterator[Flag]:
    names = kernels_of(header)
    written = f"Kernel {'/'.join(names)[:40]}." if names else "No kernel is recorded."
    found = sharpness(names)
    if found is Sharpness.SHARP:
        yield warnings.KERNEL_SHARP.because(written)
    elif found is Sharpness.UNKNOWN:
        yield warnings.KERNEL_UNKNOWN.because(written)
    if is_iterative(names):
        yield warnings.ITERATIVE.because(written)
    elif "ITERATIVE" in known_text(header, "ReconstructionAlgorithm").upper():
        yield warnings.ITERATIVE.because("Reconstruction Algorithm ITERATIVE.")


def slice_thickness_mm(ct: CT) -> float:
    """The greatest Slice Thickness (0018,0050) of all slices; the distance of slices where none is recorded."""
    return max(_of_slices(ct, "SliceThickness"), default=float(ct.volume.spacing[0]))


def ctdi_vol_mgy(ct: CT) -> float | None:
    """The median CTDIvol (0018,9345) of all slices, which follows the tube current; None where none is recorded."""
    found = list(_of_slices(ct, "CTDIvol"))
    return median(found) if found else None


def _of_slices(ct: CT, keyword: str) -> Iterator[float]:
    """The attribute of every slice that has it, and not as 0 or malformed."""
    for header in ct.headers:
        for number in ct.frame_numbers or (1,):
            with suppress(Unreadable):
                if value := optional_number(header, keyword, number):
                    yield value
