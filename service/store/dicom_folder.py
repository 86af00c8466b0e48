"""DICOM files below folders, by series. Names say nothing: the content decides what is DICOM."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from service.domain import dicom_file
from service.domain.ports import Step, no_step
from service.domain.unparsable import UNPARSABLE
from service.errors import Reason, Refusal, Rejected, is_storage_error

Ignored = Callable[[Path, str], None]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID")
_NO_DICOM = "not DICOM"
_PREAMBLE, _PREFIX = 128, b"DICM"
"""Bytes before the prefix, mostly zeros, and the prefix (PS3.10 7.1)."""

MOST_HEADERS_BYTES = 2**29
"""Memory of a series' headers: 5,000 slices of 100 kB each, which few scanners write."""

DAMAGED = "damaged DICOM"
UNREADABLE = "cannot be read"
"""How the reasons begin for which a file that may be an image is left out."""


@dataclass(frozen=True, slots=True)
class SeriesFiles:
    """The files of one series, in the order of their names.

    refusals: why it is not to be analysed, where that is known without its headers. names: of the same files wherever
    they are copied to; () if only the paths tell.
    """

    study_uid: str
    series_uid: str
    paths: tuple[Path, ...]
    refusals: tuple[Refusal, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def content_key(self) -> tuple[str, ...]:
        """Stands for what the files hold, which never changes."""
        return self.names or tuple(map(str, self.paths))


def scan(paths: Iterable[Path], ignored: Ignored = lambda path, why: None) -> list[SeriesFiles]:
    """Group all DICOM files at or below `paths` by series, ordered by study and series UID.

    ignored: called with each file that is left out and the reason.
    FileNotFoundError if one of the paths does not exist.
    """
    series: defaultdict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted({file for start in paths for file in _files(start)}):
        identity = _identity(path, ignored)
        if identity is not None:
            series[identity].append(path)
    return [SeriesFiles(study, uid, tuple(files)) for (study, uid), files in sorted(series.items())]


def headers(series: SeriesFiles, step: Step = no_step) -> list[Dataset]:
    """Headers of a series without Pixel Data, in the order of its paths. step: called before each.

    Rejected with TOO_LARGE if one of them, or all together, take more memory than those of any CT.
    """
    found: list[Dataset] = []
    left = MOST_HEADERS_BYTES
    for path in series.paths:
        step()
        found.append(read_header(path))
        left -= dicom_file.memory_bytes(found[-1])
        if left < 0:
            which = f"The headers of {len(found)} of {len(series.paths)} images take more than {MOST_HEADERS_BYTES:,}"
            raise Rejected(Refusal(Reason.TOO_LARGE, f"{which} bytes."))
    return found


def read_header(path: Path) -> Dataset:
    """The header of a file (`dicom_file.header`)."""
    with path.open("rb") as file:
        return dicom_file.header(file)


def whole(header: Dataset) -> Dataset:
    """The file of a header, with its Pixel Data."""
    return read_whole(Path(header.filename))


def read_whole(path: Path) -> Dataset:
    """The header and the pixels of a file (`dicom_file.whole`)."""
    with path.open("rb") as file:
        return dicom_file.whole(file)


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    yield from (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _identity(path: Path, ignored: Ignored) -> tuple[str, str] | None:
    """Study and Series Instance UID of a file, None if it is to be left out."""
    if path.name.upper() == "DICOMDIR":
        ignored(path, "DICOMDIR")
        return None
    try:
        with path.open("rb") as file:
            header = _read_to_pixels(file)
        study_uid, series_uid = (str(header.get(keyword) or "") for keyword in _UIDS)
        may_be_image = _may_be_image(header)
    except (InvalidDicomError, EOFError):
        ignored(path, _NO_DICOM if _is_something_else(path) else f"{DAMAGED}: cut off")
        return None
    except Rejected as error:
        ignored(path, f"{DAMAGED}: {'; '.join(refusal.detail for refusal in error.refusals)}")
        return None
    except (*UNPARSABLE, OSError) as error:
        ignored(path, _why(error))
        return None
    if not (study_uid and series_uid):
        why = "no Study or Series Instance UID"
        ignored(path, f"{DAMAGED}: {why}" if may_be_image else why)
        return None
    return study_uid, series_uid


def _read_to_pixels(file: BinaryIO) -> Dataset:
    """The UIDs; of what is larger than any header of a CT from its beginning alone: its series is refused by name."""
    try:
        return dicom_file.beginning(file, _UIDS, to_pixels=True)
    except Rejected:
        file.seek(0)
        return dicom_file.beginning(file, _UIDS)


def _is_something_else(path: Path) -> bool:
    """Whether a file that is too short to be read is no DICOM file of which only the first bytes are there."""
    with path.open("rb") as file:
        zeros, prefix = file.read(_PREAMBLE), file.read(len(_PREFIX))
    if not zeros:
        return path.suffix.lower() != ".dcm"
    return prefix != _PREFIX and (bool(zeros.strip(b"\0")) or not _PREFIX.startswith(prefix))


def _may_be_image(header: Dataset) -> bool:
    """Whether a file is an image, or is cut off before it says what it is."""
    sop_class = UID(str(header.file_meta.get("MediaStorageSOPClassUID") or ""))
    return not sop_class or "Image Storage" in sop_class.name


def _why(error: Exception) -> str:
    """Without the message of a parsing error, which may quote patient data."""
    if isinstance(error, OSError) and is_storage_error(error):
        return f"{UNREADABLE}: {error.strerror}"
    return f"{DAMAGED}: {type(error).__name__}"
