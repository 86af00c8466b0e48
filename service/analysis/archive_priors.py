"""Earlier results that lie in an archive: this service's own objects, found by the patient ID and fetched."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from pydicom import Dataset

from service.analysis.prior_documents import document_of, library_image
from service.analysis.prior_files import RESULT, NoPrior, is_ours
from service.analysis.priors import NotAsked, PriorFiles, Wanted
from service.domain.pipeline import SERIES_NUMBERS
from service.domain.prior import Patient
from service.domain.unparsable import UNPARSABLE
from service.evidence.context import STUDY, segmentation_products
from service.evidence.result import acquisition_document
from service.evidence.series import PER_RESULT
from service.evidence.times import acquisition_or_study_time
from service.imaging.patient_identity import acquisition_of, patient_of
from service.network.prior_search import NotAnswered, PriorSearch
from service.network.web import WebNode
from service.store.temporary_copies import folder_for_copies


@dataclass(frozen=True, slots=True)
class _Held:
    """A result in the archive. number: of it among those of its study. reports, segmentations: Series Instance UIDs by
    `Product.offset`."""

    study_uid: str
    number: int
    reports: Mapping[int, str]
    segmentations: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ArchivePriors:
    """Results in a DICOMweb archive. within_s: for all questions about one CT. told: hears of the question before it is
    asked, with the UID of the study that is analysed."""

    node: WebNode
    within_s: float
    most_years: float
    told: Callable[[str], None]

    def candidates(self, wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        """Results of the pipeline, by the Study Date; NotAsked if the archive does not answer in time."""
        self.told(wanted.study_uid)
        search, last = PriorSearch(self.node, self.within_s), wanted.acquired_at.date() - timedelta(days=1)
        first = last - timedelta(days=366 * min(self.most_years, last.year - 1))
        for study_uid in _answered(partial(search.studies, wanted.patient.patient_id, first, last)):
            if study_uid == wanted.study_uid:
                continue
            reports, segmentations = (_answered(partial(search.series, study_uid, one)) for one in ("SR", "SEG"))
            held = _newest(study_uid, reports, segmentations, wanted.pipeline.series_number)
            if held is None:
                continue
            root = _answered(partial(search.only_instance, study_uid, held.reports[STUDY.offset]))
            # others number their series as they like, and another issuer's patient is another one
            if is_ours(root) and not _is_of_another_issuer(patient_of(root), wanted.patient):
                yield _fetched(search, held, root, wanted)


def _is_of_another_issuer(one: Patient, other: Patient) -> bool:
    """Whether both IDs have an issuer, and not the same: then two patients share an ID, and nothing contradicts."""
    pairs = ((one.issuer.upper(), other.issuer.upper()), (one.entity.upper(), other.entity.upper()))
    return any(mine and theirs and mine != theirs for mine, theirs in pairs)


def _answered(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except NotAnswered as error:
        raise NotAsked(str(error)) from error


def _newest(study_uid: str, reports: Mapping[int, str], segmentations: Mapping[int, str], first: int) -> _Held | None:
    """The newest result with a study SR in a pipeline's block of Series Numbers, which begins with `first`; None if
    there is none."""
    offsets = (number - first for number in reports if 0 <= number - first < SERIES_NUMBERS)
    numbers = [offset for offset in offsets if offset % PER_RESULT == STUDY.offset]
    if not numbers:
        return None
    newest = max(numbers) // PER_RESULT
    begins = first + newest * PER_RESULT
    return _Held(study_uid, newest + 1, _offsets(reports, begins), _offsets(segmentations, begins))


def _offsets(series: Mapping[int, str], begins: int) -> Mapping[int, str]:
    """The series of one result by their offset from its first Series Number."""
    return {number - begins: uid for number, uid in series.items() if 0 <= number - begins < PER_RESULT}


@contextmanager
def _fetched(search: PriorSearch, held: _Held, root: Dataset, wanted: Wanted) -> Iterator[PriorFiles]:
    """Its objects in a folder of their own, with a result.json that is made of them. root: its study SR."""
    with folder_for_copies() as folder:
        others = (uid for offset, uid in sorted(held.reports.items()) if offset != STUDY.offset)
        reports = [root, *(_answered(partial(search.only_instance, held.study_uid, uid)) for uid in others)]
        objects = {STUDY.file_name: root}
        for product in segmentation_products(wanted.pipeline.label_maps):
            if (series_uid := held.segmentations.get(product.offset)) is not None:
                objects[product.file_name] = _answered(partial(search.only_instance, held.study_uid, series_uid))
        try:
            document = _document(search, held, reports, wanted)
        except UNPARSABLE as error:
            raise NoPrior(f"its reports are not as this service writes them ({type(error).__name__})") from error
        (folder / RESULT).write_text(json.dumps(document), encoding="utf-8")
        for name, dataset in objects.items():
            dataset.save_as(folder / name, enforce_file_format=True)
        yield PriorFiles({path.name: path for path in folder.iterdir()})


def _document(search: PriorSearch, held: _Held, reports: Sequence[Dataset], wanted: Wanted) -> Mapping[str, Any]:
    document = document_of(reports, wanted.analysis, wanted.pipeline.flags, held.number)
    image_uid = library_image(reports[0])
    header = _answered(partial(search.header, held.study_uid, document["series_uid"], image_uid))
    acquired_at = acquisition_or_study_time([header])
    if acquired_at is None:
        raise NoPrior("its CT does not tell when it was acquired")
    return document | {"acquisition": acquisition_document(acquisition_of([header], acquired_at))}
