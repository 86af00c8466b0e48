"""Lines of measurements: on the image where they lie in one, in space elsewhere, refused outside of the CT."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from pydicom import Dataset, dcmread

from service.domain import codes
from service.domain.analysis import Analysis, Measurement
from service.domain.ct import CT
from service.evidence.case import Case
from service.evidence.encode import encode
from service.evidence.result import result_document
from service.evidence.sr_coordinates import coordinates, image_of_first

AXIS = codes.private("AXIS", "Long axis")
IN_ONE, ACROSS = ((10, 40, 30), (10, 40, 50)), ((10, 40, 30), (14, 40, 30))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0)


def line(ct: CT, indices: Any) -> tuple[tuple[float, float, float], ...]:
    points = ct.volume.map_indices_to_reference(np.array(indices, np.float64))
    return tuple((float(x), float(y), float(z)) for x, y, z in points)


def case(ct: CT, analysis: Analysis) -> Case:
    return Case.of(ct, analysis, evidence_samples.context(ct))


def with_axes(ct: CT, analysis: Analysis) -> Analysis:
    """Two axes of the right upper lobe: one in a slice, one across slices."""
    axes = (
        Measurement("long_axis_mm", AXIS, 60.0, codes.MILLIMETRE, line=line(ct, IN_ONE)),
        Measurement("height_mm", AXIS, 20.04, codes.MILLIMETRE, line=line(ct, ACROSS)),
    )
    groups = [
        replace(one, measurements=(*one.measurements, *axes)) if one.name == "RUL" else one for one in analysis.groups
    ]
    return replace(analysis, groups=tuple(groups))


@pytest.mark.conformance("air/locations")
def test_a_line_in_a_slice_is_drawn_on_its_image(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    found = coordinates(line(ct, IN_ONE), case(ct, analysis))
    assert (found.ValueType, found.GraphicType) == ("SCOORD", "POLYLINE")
    assert list(found.GraphicData) == pytest.approx([30.5, 40.5, 50.5, 40.5]), "column, row; (0, 0) is a pixel's corner"
    (image,) = found.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == ct.sop_uids[10]


def test_a_line_across_slices_is_drawn_in_space(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    found = coordinates(line(ct, ACROSS), case(ct, analysis))
    assert (found.ValueType, found.GraphicType) == ("SCOORD3D", "POLYLINE")
    assert list(found.GraphicData) == pytest.approx(np.ravel(line(ct, ACROSS)))
    assert found.ReferencedFrameOfReferenceUID == ct.headers[0].FrameOfReferenceUID


def test_of_an_enhanced_ct_the_frame_is_named(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    numbers = tuple(range(44, 0, -1))
    enhanced = replace(case(ct, analysis), ct=replace(ct, frame_numbers=numbers))
    (image,) = coordinates(line(ct, IN_ONE), enhanced).ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == numbers[10]
    axes = [Measurement("axis_mm", AXIS, 1.0, codes.MILLIMETRE, line=line(ct, one)) for one in (ACROSS, IN_ONE)]
    key = image_of_first(axes, enhanced)
    assert key is not None and key.ReferencedSOPSequence[0].ReferencedFrameNumber == numbers[10]
    assert image_of_first(axes[:1], enhanced) is None, "no slice holds it"


def test_a_line_from_edge_to_edge_stays_on_the_image(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    rows, columns = ct.volume.spatial_shape[1:]
    found = coordinates(line(ct, ((10, -0.5, -0.5), (10, rows - 0.5, columns - 0.5))), case(ct, analysis))
    assert list(found.GraphicData) == pytest.approx([0.0, 0.0, columns, rows])


@pytest.mark.parametrize("end", [(10, 40, 128), (44, 40, 50), (10, -1, 50)])
def test_a_line_that_leaves_the_ct_is_an_error(sample: tuple[CT, Analysis], end: tuple[int, int, int]) -> None:
    ct, analysis = sample
    with pytest.raises(ValueError, match="leaves the CT"):
        coordinates(line(ct, ((10, 40, 30), end)), case(ct, analysis))


def items(dataset: Dataset) -> list[Dataset]:
    return [dataset, *(one for child in dataset.get("ContentSequence", ()) for one in items(child))]


def code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def test_a_number_along_a_line_is_in_a_report_of_axes_under_the_identifier_of_its_segment(
    sample: tuple[CT, Analysis],
) -> None:
    ct, plain = sample
    analysis = with_axes(ct, plain)
    body = evidence_samples.body_of(ct, plain)
    files = {one.file_name: one for one in encode(ct, analysis, lambda: body, evidence_samples.context(ct))}
    axes, study = (dcmread(BytesIO(files[f"{name}.sr.dcm"].content)) for name in ("axes", "study"))
    (group,) = [
        one
        for one in items(axes)
        if one.ValueType == "CONTAINER" and [i for i in one.get("ContentSequence", ()) if i.get("TextValue") == "RUL"]
    ]
    numbers = [one for one in items(group) if one.ValueType == "NUM"]
    assert [float(one.MeasuredValueSequence[0].NumericValue) for one in numbers] == [60.0, 20.0]
    assert [one.ContentSequence[0].ValueType for one in numbers] == ["SCOORD", "SCOORD3D"]
    pictures = {code(one): one for one in items(group) if one.ValueType == "IMAGE" and "ConceptNameCodeSequence" in one}
    shown = pictures["121080"].ReferencedSOPSequence[0]
    (scoord,) = (one for one in items(group) if one.ValueType == "SCOORD")
    assert shown.ReferencedSOPInstanceUID == scoord.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    segment = pictures["121191"].ReferencedSOPSequence[0]
    lobes = dcmread(BytesIO(files["lobes.seg.dcm"].content))
    assert segment.ReferencedSOPInstanceUID == lobes.SOPInstanceUID
    assert lobes.SegmentSequence[segment.ReferencedSegmentNumber - 1].TrackingID == "RUL"
    measured = dcmread(BytesIO(files["measurements.sr.dcm"].content))
    uids = [{one.UID for one in items(document) if one.ValueType == "UIDREF"} for document in (measured, axes)]
    assert {one.UID for one in items(group) if one.ValueType == "UIDREF"} <= uids[0] & uids[1]
    concepts = {one.ConceptNameCodeSequence[0].CodeValue for one in items(measured) if one.ValueType == "NUM"}
    concepts |= {code(one) for one in items(study) if one.ValueType == "NUM"}
    assert AXIS.value not in concepts, "each number is written once"
    groups = [one for one in items(axes) if one.ValueType == "CONTAINER" and code(one) == "125007"]
    assert groups, "and viewers open the document, as every group has coordinates"
    assert all([i for i in items(one) if i.ValueType in ("SCOORD", "SCOORD3D")] for one in groups)
    members = {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in items(study) if code(one) == "OBJ-AXES"}
    assert members == {axes.SOPInstanceUID}


def test_without_lines_there_is_no_report_of_axes(sample: tuple[CT, Analysis]) -> None:
    ct, plain = sample
    body = evidence_samples.body_of(ct, plain)
    names = {one.file_name for one in encode(ct, plain, lambda: body, evidence_samples.context(ct))}
    assert "axes.sr.dcm" not in names and "study.sr.dcm" in names


def test_a_line_that_is_not_drawn_is_a_plain_number_in_the_measurements(sample: tuple[CT, Analysis]) -> None:
    """So that archives that take no Comprehensive 3D SR get the axes; result.json has its points."""
    ct, plain = sample
    drawn = with_axes(ct, plain)
    group = drawn.group("RUL")
    quiet = tuple(replace(one, drawn=one.name != "height_mm") for one in group.measurements)
    assert quiet != group.measurements
    others = tuple(replace(group, measurements=quiet) if one is group else one for one in drawn.groups)
    analysis = replace(drawn, groups=others)
    body = evidence_samples.body_of(ct, plain)
    files = {one.file_name: one for one in encode(ct, analysis, lambda: body, evidence_samples.context(ct))}
    axes, measured = (dcmread(BytesIO(files[f"{name}.sr.dcm"].content)) for name in ("axes", "measurements"))
    assert "SCOORD3D" not in {one.ValueType for one in items(axes)}
    values = [float(one.MeasuredValueSequence[0].NumericValue) for one in items(measured)[1:] if one.ValueType == "NUM"]
    assert 20.0 in values
    assert case(ct, analysis).uids.seed != case(ct, drawn).uids.seed
    told = result_document(
        pipeline="any", series_uid="1.2", analysis=analysis, analysed_at=evidence_samples.ANALYSED_AT
    )["measurements"]["RUL"]
    assert len(told["height_mm_line"]) == 2


def test_the_result_document_has_the_points(sample: tuple[CT, Analysis]) -> None:
    ct, plain = sample
    context = evidence_samples.context(ct)
    document = result_document(
        pipeline="covid-severity",
        series_uid=ct.series_uid,
        analysis=with_axes(ct, plain),
        analysed_at=context.analysed_at,
    )
    group = document["measurements"]["RUL"]
    assert (group["long_axis_mm"], group["height_mm"]) == (60.0, 20.0)
    assert group["height_mm_line"] == [[round(value, 2) for value in point] for point in line(ct, ACROSS)]
