"""DICOM files below folders, by series. Names say nothing: the content decides what is DICOM."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from service.imaging.attributes import MALFORMED

Ignored = Callable[[Path, str], None]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID")
DAMAGED = (*MALFORMED, zlib.error)
"""What pydicom raises where the bytes of an attribute make no value, at times only when it is looked at."""


@dataclass(frozen=True, slots=True)
class SeriesFiles:
    """The files of one series, in the order of their names."""

    study_uid: str
    series_uid: str
    paths: tuple[Path, ...]


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


def headers(series: SeriesFiles) -> list[Dataset]:
    """Headers of a series without Pixel Data, in the order of its paths."""
    return [dcmread(path, stop_before_pixels=True) for path in series.paths]


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
        header = dcmread(path, specific_tags=list(_UIDS), stop_before_pixels=True)
        study_uid, series_uid = (str(header.get(keyword) or "") for keyword in _UIDS)
    except (InvalidDicomError, EOFError):
        ignored(path, "not DICOM")
        return None
    except DAMAGED as exc:
        ignored(path, f"damaged DICOM: {type(exc).__name__}")
        return None
    if not (study_uid and series_uid):
        ignored(path, "no Study or Series Instance UID")
        return None
    return study_uid, series_uid
