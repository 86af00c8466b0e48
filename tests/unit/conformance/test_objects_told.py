"""What is said of the objects is true of real results of the phantom, not of the sample alone."""

import re
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import pytest
from helpers import changed_results, enhanced_ct, evidence_samples, make_ct, notice_samples
from helpers.changed_results import SELECTIONS, kind_of
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

import service
from service.conformance.attributes import COPIED, MORE, attributes, values
from service.conformance.objects import KINDS, attribute_tables, created, pipelines, styles
from service.conformance.rows import Table
from service.conformance.sample_results import LABEL_MAP
from service.conformance.terminology import SCHEMES, TEMPLATES, private_codes, templates
from service.domain.analysis import Analysis
from service.domain.codes import PRIVATE
from service.domain.ct import CT
from service.domain.flags import OF_COMPARISON
from service.domain.pipeline import SERIES_NUMBERS
from service.errors import Reason
from service.evidence.case import Case
from service.evidence.context import PRODUCTS, SEG, SegKind, Style, segmentation_products
from service.evidence.seg import segmentation
from service.imaging.read import read_ct
from service.pipelines import PIPELINES
from service.settings import Settings

SOURCE = "\n".join(
    path.read_text(encoding="utf-8")
    for path in Path(service.__file__).parent.rglob("*.py")
    if path.parent.name != "conformance"
)

pytestmark = pytest.mark.slow

STYLES = [Style(seg, frames) for seg in SegKind for frames in (False, True)]


Phantom = tuple[CT, Analysis]


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, rows=48, columns=64, pixel_mm=(6.0, 6.0))
    return ct, changed_results.with_axis(ct, changed_results.with_heat_map(analysis))


@pytest.fixture(scope="module")
def results(phantom: Phantom) -> Mapping[str, Dataset]:
    """Objects of the phantom, by kind."""
    objects = changed_results.objects_of(*phantom, notice_samples.header(), Reason.TOO_THICK)
    return {kind: found for kind, (found, *_) in objects.items()}


def by_name(name: str) -> Table:
    [found] = [one for one in attribute_tables() if isinstance(one, Table) and one.name == name]
    return found


@pytest.mark.conformance("attributes all/*", *(f"attributes {kind}/*" for kind in KINDS))
@pytest.mark.parametrize("kind", KINDS)
def test_every_attribute_of_a_result_is_told_and_comes_from_where_it_says(
    kind: str, results: Mapping[str, Dataset], phantom: Phantom
) -> None:
    told = {row.key for name in ("all", kind) for row in by_name(f"attributes {name}").rows}
    found = values(results[kind])
    source = values(notice_samples.header() if kind.startswith("notice") else phantom[0].headers[0])
    untold = {".".join(path) for path in found} - told
    assert untold == set()
    for one in attributes(kind):
        if one.source == COPIED and one.path in source and one.path in found:
            assert found[one.path] == source[one.path], one.key
        if one.source == "constant" and one.value not in ("", "…") and one.path in found:
            assert ", ".join(dict.fromkeys(found[one.path])) == one.value, one.key


def test_of_an_enhanced_ct_the_frames_are_referred_to_besides() -> None:
    scan = make_ct.make(findings=make_ct.FINDINGS, rows=48, columns=64, pixel_mm=(6.0, 6.0))
    ct = read_ct([enhanced_ct.enhance(scan.datasets)])
    analysis = evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask)
    for one in evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), SELECTIONS):
        if one.sop_class_uid is None:
            continue
        found, told = values(dcmread(BytesIO(one.content))), {each.path: each for each in attributes(kind_of(one))}
        assert {path[-1] for path in found.keys() - told.keys()} <= {"ReferencedFrameNumber"}, one.file_name
        for path in found.keys() & told.keys():
            if told[path].source == "constant" and told[path].value not in ("", "…") and MORE not in told[path].value:
                assert ", ".join(dict.fromkeys(found[path])) == told[path].value, (one.file_name, path)


def test_what_is_told_is_in_the_dictionary() -> None:
    for kind in KINDS:
        assert all(tag_for_keyword(keyword) for one in attributes(kind) for keyword in one.path)


def test_an_item_stands_below_its_sequence() -> None:
    for one in attribute_tables():
        if isinstance(one, Table):
            keys = {row.key for row in one.rows}
            assert {key.rpartition(".")[0] for key in keys if "." in key} <= keys, one.name


@pytest.mark.conformance("objects/*")
def test_every_object_has_its_class_and_number(results: Mapping[str, Dataset]) -> None:
    rows = {row.key: row.cells for row in created().rows}
    assert rows.keys() == {
        "label-maps",
        *(one.kind for one in PRODUCTS if "dicom" in one.kind or one.file_name.endswith("dcm")),
    }
    for kind, (_, offset, sop_class, _) in rows.items():
        found = [results[SEG], results[LABEL_MAP]] if kind == "label-maps" else [results[kind]]
        for dataset in found:
            assert dataset.SOPClassUID in sop_class, kind
            assert str(dataset.SeriesNumber - evidence_samples.PIPELINE.series_number) in offset.split(", "), kind


@pytest.mark.conformance("styles/*")
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_every_style_has_its_class_and_frames(style: Style, phantom: Phantom) -> None:
    ct, analysis = phantom
    _, sop_class, frames = {row.key: row.cells for row in styles().rows}[style.name]
    case = Case.of(ct, analysis, evidence_samples.context(ct)).styled(style)
    label_map = analysis.label_map("lobes")
    [product] = segmentation_products([label_map.kind])
    lobes = segmentation(product, case, label_map)
    assert lobes is not None
    labels = label_map.labels
    slices, segments = len(labels), len(lobes.SegmentSequence)
    counts = {
        "those with voxels of a segment": sum(
            int((labels == n).any(axis=(1, 2)).sum()) for n in range(1, segments + 1)
        ),
        "each slice for each segment": slices * segments,
        "those with voxels of any segment": int((labels > 0).any(axis=(1, 2)).sum()),
        "each slice": slices,
    }
    assert lobes.SOPClassUID in sop_class
    assert lobes.NumberOfFrames == counts[frames]


@pytest.mark.conformance("pipelines/*")
def test_every_pipeline_has_its_own_series_numbers() -> None:
    rows = pipelines(Settings()).rows
    assert [row.key for row in rows] == [one.name for one in PIPELINES]
    starts = [int(row.cells[2]) for row in rows]
    assert all(abs(one - other) >= SERIES_NUMBERS for one in starts for other in starts if one is not other)
    assert [row.key for row in rows if row.cells[1] == "yes"] == ["covid-severity"]
    for row, pipeline in zip(rows, PIPELINES, strict=True):
        assert [one.rpartition(" (+ ")[0] for one in row.cells[3].split(", ")] == [k.title for k in pipeline.label_maps]


@pytest.mark.conformance("pipelines/covid-severity")
def test_label_maps_of_a_pipeline_have_the_titles_and_numbers_told(phantom: Phantom) -> None:
    objects = changed_results.objects_of(*phantom, notice_samples.header(), Reason.TOO_THICK)
    [row] = [one for one in pipelines(Settings()).rows if one.key == "covid-severity"]
    told = row.cells[3].split(", ")
    for kind in (SEG, LABEL_MAP):
        found = [(one.SeriesDescription, int(one.SeriesNumber) - int(row.cells[2])) for one in objects[kind]]
        assert len(found) == len(told)
        for (description, offset), words in zip(found, told, strict=True):
            title, _, number = words.rstrip(")").rpartition(" (+ ")
            assert description.startswith(title) and offset == int(number)


@pytest.mark.conformance("templates/*")
def test_templates_are_those_that_real_documents_name(results: Mapping[str, Dataset]) -> None:
    named = {kind: set(template_ids(dataset)) for kind, dataset in results.items()}
    for row in templates().rows:
        assert row.key in TEMPLATES
        of_kinds = [kind for kind, found in named.items() if row.key in found]
        assert sorted(of_kinds) == sorted(row.cells[2].split(", ") if row.cells[2] != "as content" else [])
    content = {code for kind in ("measurements", "study") for code in concept_values(results[kind])}
    assert content >= {"111001", "111003", "111000"}, "TID 4019"
    assert content >= {"121049"}, "TID 1204"
    assert content >= {"121012", "121013"}, "TID 1004"


@pytest.mark.conformance("private-codes/*")
def test_private_codes_are_legal_have_one_meaning_and_are_all_there_is(results: Mapping[str, Dataset]) -> None:
    rows = private_codes().rows
    told = {row.key: row.cells[1] for row in rows}
    assert all(0 < len(value) <= 16 and 0 < len(meaning) <= 64 for value, meaning in told.items())
    used = {code for dataset in results.values() for code in private_values(dataset)}
    assert len(used) > 10
    assert used - told.items() == set()
    tables = {one.concept.value for pipeline in PIPELINES for one in (*pipeline.flags, *pipeline.label_maps)}
    tables |= {one.concept.value for one in OF_COMPARISON}
    unseen = told.keys() - {value for value, _ in used} - tables
    assert [value for value in unseen if not read_somewhere(value)] == []
    schemes = {str(item.CodingSchemeDesignator) for one in results.values() for item in coded(one)}
    assert schemes - {PRIVATE} == SCHEMES.keys()


def read_somewhere(value: str) -> bool:
    """Whether the constant with this code is read outside its definition; other pipelines' results are not encoded.

    Classes (LC-...) stand in a table by class, and are not looked for.
    """
    names = re.findall(rf"^(\w+)(?:: [^=]+)? = private\(\s*\"{re.escape(value)}\"", SOURCE, re.MULTILINE)
    return all(len(re.findall(rf"\b{name}\b", SOURCE)) > 1 for name in names) if names else value.startswith("LC-")


def items(dataset: Dataset) -> Iterator[Dataset]:
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from items(item)


def template_ids(dataset: Dataset) -> Iterator[str]:
    yield from (str(item.TemplateIdentifier) for item in items(dataset) if "TemplateIdentifier" in item)


def concept_values(dataset: Dataset) -> Iterator[str]:
    for item in items(dataset):
        yield from (str(one.CodeValue) for one in item.get("ConceptNameCodeSequence", []))


def coded(dataset: Dataset) -> Iterator[Dataset]:
    yield from (item for item in items(dataset) if "CodeValue" in item)


def private_values(dataset: Dataset) -> Iterator[tuple[str, str]]:
    for item in items(dataset):
        if item.get("CodingSchemeDesignator") == PRIVATE and "CodeValue" in item:
            yield str(item.CodeValue), str(item.CodeMeaning)
