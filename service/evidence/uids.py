"""UIDs that derive from everything the objects are made from: other bytes never get the same UID (PS3.5 Annex B)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, generate_uid

from service.domain.ct import CT
from service.domain.findings import Analysis
from service.evidence.context import EvidenceContext


@dataclass(frozen=True, slots=True)
class Uids:
    """Gives a UID for every name; the same seed and name give the same UID."""

    seed: str

    def __call__(self, *name: str) -> UID:
        return generate_uid(entropy_srcs=["\n".join((self.seed, *name))])


def uids_for(ct: CT, sources: Sequence[Dataset], analysis: Analysis, context: EvidenceContext) -> Uids:
    """UIDs of one analysis: a change of anything the encoders work from changes all of them.

    That is the Hounsfield units (for the report's pictures) and their geometry, every attribute of `sources` (the
    cleaned headers), all masks, measurements, flags and model digests of the analysis, and the context.
    """
    return uids_of(_parts(ct, sources, analysis, context))


def uids_of(parts: Iterable[object]) -> Uids:
    """UIDs that change with any of `parts`: arrays, and everything else as text that is the same in every process."""
    digest = sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else f"{part}\n".encode())
    return Uids(digest.hexdigest())


def header_parts(headers: Iterable[Dataset]) -> Iterator[str]:
    """Every attribute of clean headers."""
    for header in headers:
        for element in header.iterall():
            # The elements of a sequence's items follow by themselves.
            value = len(element.value) if element.VR == "SQ" else element.value
            yield f"{element.tag} {element.VR} {value!r}"


def _parts(ct: CT, sources: Sequence[Dataset], analysis: Analysis, context: EvidenceContext) -> Iterator[object]:
    yield repr((context, ct.flags, ct.frame_numbers, ct.volume.affine.tolist(), ct.volume.shape))
    yield ct.volume.array
    for field in fields(analysis):
        value = getattr(analysis, field.name)
        yield value if isinstance(value, np.ndarray) else f"{field.name} {value!r}"
    yield from header_parts(sources)
