"""All evidence together: what there is, under which study, and that the same input gives the same bytes."""

import copy
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import encoded
from pydicom import dcmread

from service.composition.destinations import selections
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.flags import LOSSY
from service.evidence.case import Case
from service.evidence.context import ALWAYS, Evidence, Predecessor, SegKind, Selection, Style
from service.evidence.encode import encode
from service.settings import DicomDestination

pytestmark = pytest.mark.slow

FILES = [
    "lobes.seg.dcm",
    "findings.seg.dcm",
    "measurements.sr.dcm",
    "report.pdf.dcm",
    "study.sr.dcm",
    "report.pdf",
]
SOP_CLASSES = {
    "lobes.seg.dcm": "1.2.840.10008.5.1.4.1.1.66.4",
    "findings.seg.dcm": "1.2.840.10008.5.1.4.1.1.66.4",
    "measurements.sr.dcm": "1.2.840.10008.5.1.4.1.1.88.34",
    "study.sr.dcm": "1.2.840.10008.5.1.4.1.1.88.34",
    "report.pdf.dcm": "1.2.840.10008.5.1.4.1.1.104.1",
}


LABELMAP, ALL_FRAMES = Style(SegKind.LABELMAP), Style(all_frames=True)
STYLED = ["lobes", "findings", "measurements"]
EARLIER = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "1.2.3.4", "1.2.3", "1.2")


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS)


def test_a_report_that_cannot_be_drawn_ends_the_encoding(sample: tuple[CT, Analysis]) -> None:
    with pytest.raises(ZeroDivisionError):
        encode(*sample, lambda: 1 // 0, evidence_samples.context(sample[0]))  # type: ignore[arg-type,return-value]


@pytest.fixture(scope="module")
def evidence(sample: tuple[CT, Analysis]) -> tuple[Evidence, ...]:
    return encoded(*sample, evidence_samples.context(sample[0]))


def test_files_and_classes(evidence: tuple[Evidence, ...]) -> None:
    assert [e.file_name for e in evidence] == FILES
    assert {e.file_name: e.sop_class_uid for e in evidence if e.sop_class_uid} == SOP_CLASSES
    for item in evidence[:-1]:
        dataset = dcmread(BytesIO(item.content))
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (item.sop_class_uid, item.sop_instance_uid)
    assert evidence[-1].content.startswith(b"%PDF") and evidence[-1].sop_instance_uid is None


def test_same_input_same_bytes_at_another_time(sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]) -> None:
    time.sleep(1.1)
    again = encoded(*sample, evidence_samples.context(sample[0]))
    assert [e.content for e in again] == [e.content for e in evidence]


def any_uid(case: Case) -> str:
    """The objects of a case have UIDs of one origin: `encode` with other weights shows it for all of them."""
    return case.uids("one")


LATER = evidence_samples.ANALYSED_AT + timedelta(seconds=1)


@pytest.mark.parametrize(
    "change", [{"software_version": "0.2.0"}, {"institution": "Elsewhere"}, {"number": 2}, {"analysed_at": LATER}]
)
def test_a_change_of_the_context_gives_new_uids(sample: tuple[CT, Analysis], change: dict[str, Any]) -> None:
    same, other = (evidence_samples.context(sample[0], **values) for values in ({}, change))
    assert any_uid(Case.of(*sample, other)) != any_uid(Case.of(*sample, same))


def test_a_predecessor_gives_new_uids(sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]) -> None:
    other = encoded(*sample, evidence_samples.context(sample[0], replaces=evidence_samples.replacing(EARLIER)))
    assert not {e.sop_instance_uid for e in other[:-1]} & {e.sop_instance_uid for e in evidence}


@pytest.fixture(scope="module")
def styled(sample: tuple[CT, Analysis]) -> tuple[Evidence, ...]:
    selections = [Selection(style) for style in (Style(), LABELMAP, ALL_FRAMES, LABELMAP)]
    return encoded(*sample, evidence_samples.context(sample[0]), selections)


def test_each_style_has_files_of_its_own_and_the_rest_is_shared(styled: tuple[Evidence, ...]) -> None:
    names = FILES[:3]
    names += ["lobes.labelmap.seg.dcm", "findings.labelmap.seg.dcm", "measurements.labelmap.sr.dcm"]
    names += [f"{kind}.binary.all-frames.{end}.dcm" for kind, end in zip(STYLED, ["seg", "seg", "sr"], strict=True)]
    roots = ["study.sr.dcm", "study.labelmap.sr.dcm", "study.binary.all-frames.sr.dcm"]
    styles = [Style(), LABELMAP, ALL_FRAMES]
    assert [e.file_name for e in styled] == [*names, "report.pdf.dcm", *roots, "report.pdf"]
    assert [e.style for e in styled] == [*(s for s in styles for _ in range(3)), None, *styles, None]
    uids = [uid for e in styled[:-1] for uid in (e.sop_instance_uid, series_uid(e))]
    assert len(set(uids)) == len(uids)


def series_uid(item: Evidence) -> str:
    return str(dcmread(BytesIO(item.content), specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID)


@pytest.mark.parametrize("style", [LABELMAP, ALL_FRAMES])
def test_the_objects_of_a_style_do_not_depend_on_the_others(
    sample: tuple[CT, Analysis], styled: tuple[Evidence, ...], style: Style
) -> None:
    alone = encoded(*sample, evidence_samples.context(sample[0]), [Selection(style)])
    assert [e for e in styled if e.style in (None, style)] == list(alone)


def test_the_default_style_changes_nothing(styled: tuple[Evidence, ...], evidence: tuple[Evidence, ...]) -> None:
    assert [e for e in styled if e.style in (None, Style())] == list(evidence)


@pytest.mark.parametrize("style", [Style(), LABELMAP, ALL_FRAMES])
def test_measurements_refer_to_segmentations_of_their_style(styled: tuple[Evidence, ...], style: Style) -> None:
    lobes, findings, measurements, _ = (e for e in styled if e.style == style)
    document = dcmread(BytesIO(measurements.content))
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    referred = {(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for s in series for i in s.ReferencedSOPSequence}
    assert {(e.sop_class_uid, e.sop_instance_uid) for e in (lobes, findings)} <= referred
    assert not {e.sop_instance_uid for e in styled if e.style not in (None, style)} & {uid for _, uid in referred}


def corrected_name(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    header = copy.deepcopy(ct.headers[0])
    header.PatientName = "Corrected^Name"
    return dataclasses.replace(ct, headers=(header, *ct.headers[1:])), analysis


def other_pixels(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    return dataclasses.replace(ct, volume=ct.volume.with_array(ct.volume.array + np.float32(1))), analysis


def other_reading_flag(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    return dataclasses.replace(ct, flags=(LOSSY,)), analysis


def other_analysis_flag(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    return ct, dataclasses.replace(analysis, flags=())


def one_voxel_less(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    lobes, findings = analysis.label_maps
    labels = lobes.labels.copy()
    labels[tuple(np.argwhere(labels)[0])] = 0
    return ct, dataclasses.replace(analysis, label_maps=(dataclasses.replace(lobes, labels=labels), findings))


def other_volume(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    regions = evidence_samples.measured_of(ct, *evidence_samples.masks(analysis)).regions
    total = dataclasses.replace(regions.lungs["total"], volume_ml=1.0)
    regions = dataclasses.replace(regions, lungs={**regions.lungs, "total": total})
    return ct, evidence_samples.remeasured(ct, analysis, regions=regions)


def other_probabilities(ct: CT, analysis: Analysis) -> tuple[CT, Analysis]:
    return ct, evidence_samples.remeasured(ct, analysis, probabilities={"COVID-19": 0.5})


@pytest.mark.parametrize(
    "change",
    [
        corrected_name,
        other_pixels,
        other_reading_flag,
        other_analysis_flag,
        one_voxel_less,
        other_volume,
        other_probabilities,
    ],
)
def test_whatever_changes_the_bytes_gives_new_uids(
    sample: tuple[CT, Analysis], change: Callable[[CT, Analysis], tuple[CT, Analysis]]
) -> None:
    context = evidence_samples.context(sample[0])
    assert any_uid(Case.of(*change(*sample), context)) != any_uid(Case.of(*sample, context))


def test_another_process_gives_the_same_uids(sample: tuple[CT, Analysis]) -> None:
    program = (
        "from helpers import evidence_samples, make_ct; from service.evidence.case import Case; "
        "ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS); "
        "print(Case.of(ct, analysis, evidence_samples.context(ct)).uids('one'))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    here = Case.of(*sample, evidence_samples.context(sample[0])).uids("one")
    assert printed.stdout.strip() == here


def test_other_weights_give_new_uids(sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]) -> None:
    ct, analysis = sample
    model = dataclasses.replace(analysis.models[0], sha256="12" * 32)
    retrained = dataclasses.replace(analysis, models=(model, *analysis.models[1:]))
    other = encoded(ct, retrained, evidence_samples.context(ct))
    assert not {e.sop_instance_uid for e in other[:-1]} & {e.sop_instance_uid for e in evidence}
    devices = [
        {i.get("DeviceUID") for i in dcmread(BytesIO(e[0].content)).ContributingEquipmentSequence}
        for e in (evidence, other)
    ]
    assert len(devices[0] - devices[1] - {None}) == 1


@pytest.mark.conformance("air/patient-and-study")
def test_everything_is_filed_under_the_source_study(
    sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]
) -> None:
    source = sample[0].headers[0]
    series = set()
    for item in evidence[:-1]:
        dataset = dcmread(BytesIO(item.content))
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge"):
            assert dataset[keyword].value == source[keyword].value, (item.file_name, keyword)
        for keyword in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription"):
            assert dataset[keyword].value == source[keyword].value, (item.file_name, keyword)
        assert dataset.SpecificCharacterSet == "ISO_IR 192"
        assert dataset.SeriesDescription.endswith(" v1 14:05 covid-severity research use only")
        assert 9001 <= dataset.SeriesNumber <= 9005
        assert dataset.SeriesDate == dataset.ContentDate == dataset.InstanceCreationDate == "20240501"
        assert dataset.SeriesTime == dataset.ContentTime == dataset.InstanceCreationTime == "140530"
        series.add(dataset.SeriesInstanceUID)
    assert len(series) == 5 and sample[0].series_uid not in series


def test_without_findings_there_is_no_findings_seg() -> None:
    ct, analysis = evidence_samples.phantom()
    names = [e.file_name for e in encoded(ct, analysis, evidence_samples.context(ct))]
    assert names == [name for name in FILES if name != "findings.seg.dcm"]


def test_without_any_segment_only_the_study_is_reported() -> None:
    ct, _ = evidence_samples.phantom()
    empty = evidence_samples.analysis_of(ct, ct.volume.array > 1e9, ct.volume.array > 1e9)
    names = [e.file_name for e in encoded(ct, empty, evidence_samples.context(ct))]
    assert names == ["report.pdf.dcm", "study.sr.dcm", "report.pdf"]


def test_the_encapsulated_report_is_the_report(evidence: tuple[Evidence, ...]) -> None:
    dataset = dcmread(BytesIO(evidence[3].content))
    pdf = evidence[5].content
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf
    assert dataset.EncapsulatedDocumentLength == len(pdf) and len(dataset.EncapsulatedDocument) % 2 == 0
    assert (dataset.Modality, dataset.BurnedInAnnotation, dataset.ConversionType) == ("DOC", "YES", "WSD")
    assert dataset.VerificationFlag == "UNVERIFIED"


def references(item: Evidence) -> set[str]:
    """SOP Instance UIDs that a document names as its evidence."""
    studies = dcmread(BytesIO(item.content)).CurrentRequestedProcedureEvidenceSequence
    series = [one for study in studies for one in study.ReferencedSeriesSequence]
    return {sop.ReferencedSOPInstanceUID for one in series for sop in one.ReferencedSOPSequence}


def in_tree(item: Evidence) -> list[str]:
    """SOP Instance UIDs in the container of the result's objects, in order."""
    containers = [i for i in dcmread(BytesIO(item.content)).ContentSequence if i.ValueType == "CONTAINER"]
    return [i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in containers[-1].ContentSequence]


@pytest.mark.conformance("air/root")
@pytest.mark.parametrize("style", [Style(), LABELMAP])
def test_the_root_comes_last_and_refers_to_every_object_of_its_style(sample: tuple[CT, Analysis], style: Style) -> None:
    kinds = ALWAYS | {"capture", "text"}
    *parts, root, _ = encoded(*sample, evidence_samples.context(sample[0]), [Selection(style, kinds)])
    assert [part.kind for part in parts] == ["lobes", "findings", "measurements", "text", "report-dicom", "capture"]
    uids = [str(part.sop_instance_uid) for part in parts]
    assert root.kind == "study" and in_tree(root) == list(root.refers_to) == uids
    assert references(root) == {*uids, sample[0].sop_uids[0]} | set(sample[0].sop_uids)


def test_a_root_refers_to_nothing_that_its_destination_does_not_get(sample: tuple[CT, Analysis]) -> None:
    selections = [
        Selection(),
        Selection(kinds=frozenset(("study", "measurements"))),
        Selection(kinds=frozenset(["lobes"])),
    ]
    evidence = encoded(*sample, evidence_samples.context(sample[0]), selections)
    roots = {item.file_name: item for item in evidence if item.kind == "study"}
    assert list(roots) == ["study.sr.dcm", "study.binary.measurements.sr.dcm"]
    measurements = next(item for item in evidence if item.kind == "measurements")
    assert in_tree(roots["study.binary.measurements.sr.dcm"]) == [measurements.sop_instance_uid]
    assert len({item.sop_instance_uid for item in roots.values()} | {series_uid(i) for i in roots.values()}) == 4


def test_for_a_destination_there_is_also_a_root_that_refers_to_no_segmentation(sample: tuple[CT, Analysis]) -> None:
    pacs = DicomDestination(ae_title="PACS", host="pacs")
    evidence = encoded(*sample, evidence_samples.context(sample[0]), selections([pacs]))
    assert [item.file_name for item in evidence] == [*FILES[:5], "study.binary.report-dicom.sr.dcm", FILES[5]]
    (page,) = (item for item in evidence if item.kind == "report-dicom")
    assert in_tree(evidence[5]) == list(evidence[5].refers_to) == [page.sop_instance_uid]
    assert selections([]) == (Selection(),), "without destinations, as for the command, there is no other"


def test_two_results_of_one_study_are_told_apart_in_a_list_of_series(sample: tuple[CT, Analysis]) -> None:
    first, second = (
        [dcmread(BytesIO(item.content)) for item in encoded(*sample, evidence_samples.context(sample[0], **run))[:-1]]
        for run in ({}, {"number": 12, "analysed_at": LATER + timedelta(hours=1)})
    )
    for before, after in zip(first, second, strict=True):
        assert after.SeriesNumber == before.SeriesNumber + 1100
        assert "v1 14:05" in before.SeriesDescription[:24] and "v12 15:05" in after.SeriesDescription[:25]
        assert len(after.SeriesDescription) <= 64 and after.SeriesDescription.isascii()


@pytest.mark.conformance("air/times")
def test_times_are_in_the_zone_that_the_ct_tells() -> None:
    """One object has one offset, and the study's time that is copied from the CT is in its zone."""
    for offset, expected in (("+0530", "193530"), ("-0330", "103530"), ("rubbish", "140530"), ("", "140530")):
        ct, analysis = evidence_samples.phantom()
        ct.headers[0].TimezoneOffsetFromUTC = offset
        dataset = dcmread(BytesIO(encoded(ct, analysis, evidence_samples.context(ct))[0].content))
        assert (dataset.ContentTime, dataset.SeriesTime) == (expected, expected)
        assert dataset.get("TimezoneOffsetFromUTC", "") == (offset if offset[:1] in ("+", "-") else "")
        assert f"v1 {expected[:2]}:{expected[2:4]}" in dataset.SeriesDescription
