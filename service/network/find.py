"""What a peer has, by C-FIND in the Study Root information model (PS3.4 Annex C)."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pynetdicom.association import Association

from service.network.dimse import STUDY_ROOT_FIND, UNPARSABLE, asked
from service.network.peer import DicomNode, NoAssociation, associate

log = logging.getLogger(__name__)

_SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)

_NOT_TOLD = (NoAssociation, RuntimeError, *UNPARSABLE)
"""There is no association, it has ended or the question failed; no number or UID, or several, where one is due."""


def count_images(node: DicomNode, study_uid: str, series_uid: str) -> int | None:
    """How many images the peer has of a series; None if it does not say."""
    query = _query("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid)
    query.NumberOfSeriesRelatedInstances = None
    try:
        with _questions(node) as association:
            counts = [match.get("NumberOfSeriesRelatedInstances") for match in _find(association, query)]
        return int(counts[0]) if len(counts) == 1 and counts[0] is not None else None
    except _NOT_TOLD as error:
        log.warning("%s does not say how many images a series has: %s", node.name, _in_words(error))
        return None


def find_instances(node: DicomNode, study_uid: str, sop_instance_uids: Collection[str]) -> frozenset[str] | None:
    """Which of these instances the peer has in a study; None if it does not say.

    Series by series: the model is a hierarchy, and many peers insist on it (PS3.4 C.4.1.2.1).
    """
    wanted, found = frozenset(sop_instance_uids), set[str]()
    try:
        with _questions(node) as association:
            for series in _find(association, _query("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="")):
                query = _query("IMAGE", StudyInstanceUID=study_uid, SeriesInstanceUID=series.SeriesInstanceUID)
                query.SOPInstanceUID = sorted(wanted)  # list of UID matching (PS3.4 C.2.2.2.2)
                found.update(str(match.get("SOPInstanceUID")) for match in _find(association, query))
                if wanted <= found:
                    break
    except _NOT_TOLD as error:
        log.warning("%s does not say which objects it has: %s", node.name, _in_words(error))
        return None
    return wanted & found


@contextmanager
def _questions(node: DicomNode) -> Iterator[Association]:
    """An association for C-FIND; NoAssociation if there is none."""
    association = associate(node, [asked(STUDY_ROOT_FIND)])
    try:
        yield association
    finally:
        association.release()


def _in_words(error: Exception) -> str:
    """An error of a library may quote what the peer sent."""
    return str(error) if isinstance(error, NoAssociation) else type(error).__name__


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _find(association: Association, query: Dataset) -> list[Dataset]:
    """All matches; RuntimeError unless the peer says that these are all (PS3.4 C.4.1.1.4)."""
    matches = []
    for status, match in association.send_c_find(query, STUDY_ROOT_FIND):
        if status.get("Status") in _PENDING and match is not None:
            matches.append(match)
        elif status.get("Status") != _SUCCESS:
            raise RuntimeError("C-FIND did not succeed, or a match cannot be read")
    return matches
