"""Headers of a study's series, read once: the gate looks at all of them, and the CT is read from those of one."""

from pydicom import Dataset

from service.domain.ports import Step
from service.store.dicom_folder import SeriesFiles
from service.store.dicom_folder import headers as read_headers

MOST_KEPT = 2000
"""Headers of one study that are kept, each about 60 kB; those of further series are read again."""


class KeptHeaders:
    """The headers of one study. Nobody may change one.

    first: the first header of each series that could be read, by Series Instance UID.
    """

    def __init__(self) -> None:
        self.first: dict[str, Dataset] = {}
        self._kept: dict[str, list[Dataset]] = {}
        self._room = MOST_KEPT

    def of(self, files: SeriesFiles, step: Step) -> list[Dataset]:
        """Without Pixel Data, in the order of the paths. step: called before each that is read."""
        if (kept := self._kept.get(files.series_uid)) is not None:
            return kept
        found = read_headers(files, step)
        self.first[files.series_uid] = found[0]
        if len(found) <= self._room:
            self._kept[files.series_uid] = found
            self._room -= len(found)
        return found
