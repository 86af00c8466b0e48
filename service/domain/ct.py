"""The canonical CT: HU on the source grid, with the headers it came from. Never windowed."""

from dataclasses import dataclass

import highdicom as hd
from pydicom import Dataset

from service.domain.flags import Flag


@dataclass(frozen=True, slots=True, eq=False)
class CT:
    """One CT series that passed the gate.

    headers: source datasets without pixel data; classic CT: one per slice, in the order of `volume`'s slices;
        Enhanced CT: the single multi-frame dataset.
    frame_numbers: for Enhanced CT the 1-based source frame of each slice of `volume`; () for classic CT.
    volume: float32 HU, axes (slice, row, column), affine to the patient's LPS frame in mm (DICOM PS3.3 C.7.6.2.1.1).
    flags: quality warnings found so far.
    """

    headers: tuple[Dataset, ...]
    volume: hd.Volume
    flags: tuple[Flag, ...] = ()
    frame_numbers: tuple[int, ...] = ()

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
