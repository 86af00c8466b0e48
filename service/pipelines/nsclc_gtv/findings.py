"""Findings: connected parts of what the network outlines, on the grid of the CT, by volume (Primakov 2022)."""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.analysis import LabelArray, Segment
from service.domain.ct import CT
from service.imaging.boxes import Box, bounds
from service.imaging.harmonise import reach, resample_like
from service.imaging.lungs import HALF
from service.pipelines.nsclc_gtv import segments

_CONNECTED = ndimage.generate_binary_structure(3, 3)
"""Voxels that touch at a corner are of one finding: spicules are a voxel thick."""

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Rule:
    """From where on a connected part is a finding: both limits, of the model's spec.

    least_peak: 0 to 1, the model's own threshold counts as 0.5, as in all answers of networks (`slices.centred`).
    """

    least_ml: float
    least_peak: float

    @property
    def sentence(self) -> str:
        """The rule as reports tell it."""
        return f"At least {self.least_ml:g} mL, and a peak probability of at least {self.least_peak:g}."


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One finding. number: from 1, the largest first. box: on the CT's grid. mask: in it, (slice, row, column)."""

    number: int
    volume_ml: float
    box: Box
    mask: Mask

    @property
    def segment(self) -> Segment:
        return segments.segment(self.number)


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All findings of a CT, the largest first.

    labels: uint8, of the findings' segments, axes (slice, row, column) of the CT. left_out, left_out_ml: the connected
    parts that are too small or too uncertain to be findings, and the volume of all of them.
    """

    every: tuple[Finding, ...]
    labels: LabelArray
    left_out: int = 0
    left_out_ml: float = 0.0

    @property
    def told(self) -> tuple[Finding, ...]:
        """Those that are told one by one: the largest, and the largest candidates."""
        return self.every[: 1 + segments.MOST_CANDIDATES]

    @property
    def rest(self) -> tuple[Finding, ...]:
        """All others, in one segment."""
        return self.every[1 + segments.MOST_CANDIDATES :]


def find_tumours(ct: CT, probability: hd.Volume, rule: Rule) -> Findings:
    """The findings. probability: UINT8, 128 = threshold, on the network's grid; 0 outside the lung field."""
    labels: LabelArray = np.zeros(ct.volume.spatial_shape, np.uint8)
    likely = probability.array >= HALF
    if not likely.any():
        return Findings((), labels)
    box = reach(probability[bounds(likely, (0, 0, 0))], ct.volume)
    on_source = resample_like(probability, ct.volume[box])
    pieces, count = ndimage.label(on_source >= HALF, _CONNECTED)
    volumes_ml = np.bincount(pieces.ravel(), minlength=count + 1) * ct.voxel_ml
    peaks = np.zeros(count + 1)
    peaks[1:] = ndimage.maximum(on_source, pieces, np.arange(1, count + 1))
    kept = (volumes_ml >= rule.least_ml) & (peaks / 255.0 >= rule.least_peak)
    kept[0] = False
    order = np.flatnonzero(kept)
    order = order[np.argsort(-volumes_ml[order], kind="stable")]
    every = tuple(_cut_out(pieces, order, volumes_ml, box))
    for one in every:
        labels[one.box][one.mask] = one.segment.label
    dropped = ~kept
    dropped[0] = False
    return Findings(every, labels, int(dropped.sum()), float(volumes_ml[dropped].sum()))


def _cut_out(pieces: Labels, order: NDArray[np.int64], volumes_ml: NDArray[Any], within: Box) -> list[Finding]:
    """The pieces in that order, each in its own box. within: the box of the CT that `pieces` fills."""
    places = ndimage.find_objects(pieces)
    found = []
    for number, piece in enumerate(order.tolist(), 1):
        place = places[piece - 1]
        box = tuple(slice(part.start + by.start, part.stop + by.start) for part, by in zip(place, within, strict=True))
        found.append(Finding(number, float(volumes_ml[piece]), box, np.asarray(pieces[place] == piece)))
    return found
