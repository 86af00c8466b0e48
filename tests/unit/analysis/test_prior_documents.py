"""An earlier result read from its structured reports is that of its result.json."""

import dataclasses
from io import BytesIO

import pytest
from helpers import evidence_samples, make_ct
from helpers.comparison_samples import COMPARISON
from pydicom import Dataset, dcmread

from service.analysis.prior_documents import document_of, library_image
from service.domain.analysis import Analysis
from service.domain.flags import LUNG_AT_EDGE
from service.evidence.result import result_document
from service.pipelines.covid_severity.flags import FLAGS, LOBES_APPROXIMATE

pytestmark = pytest.mark.slow


def sample() -> tuple[list[Dataset], Analysis, str]:
    """Both reports of a result that was compared itself, its analysis, and the series of its CT."""
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    analysis = dataclasses.replace(analysis, comparison=COMPARISON, flags=(LUNG_AT_EDGE, LOBES_APPROXIMATE))
    made = {one.kind: one.content for one in evidence_samples.encoded(ct, analysis, evidence_samples.CONTEXT)}
    reports = [dcmread(BytesIO(made[kind])) for kind in ("study", "measurements")]
    return reports, analysis, ct.series_uid


def test_both_give_the_same_numbers_judgements_models_and_doubts() -> None:
    reports, analysis, series_uid = sample()
    told = result_document(
        pipeline="covid-severity", series_uid=series_uid, analysis=analysis, analysed_at=evidence_samples.ANALYSED_AT
    )
    read = document_of(reports, analysis, FLAGS, 1)
    for name, group in told["measurements"].items():
        numbers = {key: value for key, value in group.items() if not isinstance(value, list)}
        assert {key: value for key, value in read["measurements"][name].items() if key in numbers} == numbers, name
    assert not [name for name in read["measurements"] if name.endswith((".EARLIER", ".CHANGE"))]
    for key in ("pipeline", "pipeline_version", "series_uid", "status"):
        assert read[key] == told[key], key
    assert read["models"] == told["models"]
    assert read["headline"]["doubts"] == told["headline"]["doubts"] == ["incomplete lungs"]


def test_the_image_of_the_library_is_one_of_the_ct() -> None:
    reports, _, _ = sample()
    ct, _ = evidence_samples.phantom(findings=make_ct.FINDINGS)
    assert library_image(reports[0]) in ct.sop_uids


def test_a_document_that_is_not_ours_is_an_error_that_is_known() -> None:
    _, analysis, _ = sample()
    with pytest.raises(ValueError, match="no pipeline is named"):
        document_of([Dataset()], analysis, FLAGS, 1)
