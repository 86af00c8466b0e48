"""The canonical CT: HU on the source grid, with the headers it came from. Never windowed."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.domain.flags import Flag

Found = TypeVar("Found")

Hounsfield = NDArray[np.int16 | np.float32]
"""int16 where all values are whole numbers that it holds, which takes half the memory; else float32."""


@dataclass(frozen=True, slots=True, eq=False)
class CT:
    """One CT series that passed the gate.

    headers: source datasets without pixel data; classic CT: one per slice, in the order of `volume`'s slices;
        Enhanced CT: the single multi-frame dataset.
    frame_numbers: for Enhanced CT the 1-based source frame of each slice of `volume`; () for classic CT.
    volume: HU (`Hounsfield`), axes (slice, row, column), affine to the patient's LPS frame in mm (PS3.3 C.7.6.2.1.1).
    flags: quality warnings found so far.
    memo: what pipelines found that others of the same CT can use, by what it was made with (`remembered`).
    """

    headers: tuple[Dataset, ...]
    volume: hd.Volume
    flags: tuple[Flag, ...] = ()
    frame_numbers: tuple[int, ...] = ()
    memo: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def remembered(self, key: Hashable, make: Callable[[], Found]) -> Found:
        """What `make` returned the first time that it was called with this key. Nobody may change it.

        Two threads may ask at once; what both ask for by the same key may be made twice.
        """
        if key not in self.memo:
            self.memo[key] = make()
        found: Found = self.memo[key]
        return found

    def afresh(self) -> Self:
        """The same CT, of which nothing is remembered: whoever analyses it finds everything anew."""
        return replace(self)

    def with_flags(self, flags: tuple[Flag, ...]) -> Self:
        """The same CT with other flags; it remembers the same."""
        flagged = replace(self, flags=flags)
        object.__setattr__(flagged, "memo", self.memo)
        return flagged

    @property
    def series_uid(self) -> str:
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def study_uid(self) -> str:
        return str(self.headers[0].StudyInstanceUID)

    @property
    def sop_uids(self) -> tuple[str, ...]:
        return tuple(str(h.SOPInstanceUID) for h in self.headers)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres, from the affine (never from SliceThickness)."""
        return float(self.volume.voxel_volume) / 1000.0
