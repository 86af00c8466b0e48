"""Headers of a study's series, read once: the gate looks at all of them, and the CT is read from those of one."""

from pydicom import Dataset

from service.domain.dicom_file import memory_bytes
from service.domain.ports import Step
from service.errors import Reason, Refusal, Rejected
from service.store.dicom_folder import MOST_HEADERS_BYTES, SeriesFiles
from service.store.dicom_folder import headers as read_headers

MOST_KEPT_BYTES = 2**27
"""Memory of the headers of one study that are kept, of about 60 kB each; those of further series are read again."""


class KeptHeaders:
    """The headers of one study. Nobody may change one.

    first: the first header of each series that could be read, by Series Instance UID.
    """

    def __init__(self) -> None:
        self.first: dict[str, Dataset] = {}
        self._kept: dict[str, list[Dataset]] = {}
        self._room = MOST_KEPT_BYTES
        self._room_of_first = MOST_HEADERS_BYTES

    def of(self, files: SeriesFiles, step: Step) -> list[Dataset]:
        """Without Pixel Data, in the order of the paths. step: called before each that is read."""
        if (kept := self._kept.get(files.series_uid)) is not None:
            return kept
        found = read_headers(files, step)
        self.keep_first(files.series_uid, found[0])
        taken = sum(map(memory_bytes, found))
        if taken <= self._room:
            self._kept[files.series_uid] = found
            self._room -= taken
        return found

    def keep_first(self, series_uid: str, header: Dataset) -> None:
        """Keep the first header of a series; Rejected with TOO_LARGE where those of a study take too much memory."""
        if series_uid in self.first:  # it is read again
            return
        self._room_of_first -= memory_bytes(header)
        if self._room_of_first < 0:
            most = f"{MOST_HEADERS_BYTES:,} bytes"
            raise Rejected(Refusal(Reason.TOO_LARGE, f"One header of each series of the study takes more than {most}."))
        self.first[series_uid] = header
