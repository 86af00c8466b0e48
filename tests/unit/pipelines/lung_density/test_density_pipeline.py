"""The whole pipeline on phantoms, with networks that threshold."""

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import highdicom as hd
import jsonschema
import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_models

from service.domain.analysis import Analysis
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import CT
from service.domain.flags import LOSSY, LUNG_ADDED, LUNG_AT_EDGE
from service.domain.ports import Backend, no_step, unheard
from service.domain.report import Chart
from service.evidence.result import result_document
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density import pipeline as pipeline_module
from service.pipelines.lung_density import segments
from service.pipelines.lung_density.flags import CONCERNED, FLAGS, not_comparable
from service.pipelines.lung_density.measure import Measure
from service.pipelines.lung_density.pipeline import LungDensity
from service.pipelines.lung_density.report import PALETTE
from service.pipelines.lung_density.trachea import TracheaAir

pytestmark = pytest.mark.slow

_SCHEMA = Path(__file__).parents[4] / "docs/reference/result.schema.json"
SCHEMA = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))

INSPIRED = {"PatientSex": "F", "PatientSize": "1.50"}
"""Of whose predicted capacity, 4110 mL, the phantom's lungs fill three quarters."""
GOOD_AIR = TracheaAir(-992.0, 14.0)
EVEN: Mapping[Lobe, tuple[int, int]] = {
    Lobe.RUL: (-1000, -900),
    Lobe.RML: (-949, -850),
    Lobe.RLL: (-960, -200),
    Lobe.LUL: (-1020, -960),
    Lobe.LLL: (-600, -251),
}
"""Whole HU, both ends included, of which each is as frequent as the others in a lobe."""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return OnnxBackend(tiny_models.repository(tmp_path_factory.mktemp("density") / "models"))


@pytest.fixture
def good_air(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phantom's trachea is too narrow for its pixels of 3 mm: what is in it is given."""
    monkeypatch.setattr(pipeline_module, "trachea_air", lambda *_: GOOD_AIR)


SCAN = make_ct.make(slices=52, spacing_mm=4.0, thickness_mm=1.0)
PLAIN = read_ct(SCAN.datasets)


def phantom(**attributes: Any) -> CT:
    """The phantom with other attributes, None removes; its lungs and lobes are found once for all tests."""
    headers = copy.deepcopy(PLAIN.headers)
    for header in headers:
        for keyword, value in attributes.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)
    found = replace(PLAIN, headers=headers)
    object.__setattr__(found, "memo", PLAIN.memo)
    return found


def analyse(ct: CT, backend: Backend) -> Analysis:
    found = LungDensity().analyse(ct, backend, unheard)
    made = result_document(
        pipeline=found.pipeline.name, series_uid="1.2", analysis=found, analysed_at=evidence_samples.ANALYSED_AT
    )
    SCHEMA.validate(json.loads(json.dumps(made)))
    return found


def told(analysis: Analysis, group: str) -> dict[str, float]:
    return {one.name: one.value for one in analysis.group(group).measurements}


def filled(ct: CT, lobe_mask: np.ndarray) -> CT:
    """The CT with each lobe's voxels spread evenly over its HU of `EVEN`, in an order that nothing depends on."""
    hu, random = np.array(ct.volume.array), np.random.default_rng(3)
    for lobe, (low, high) in EVEN.items():
        count = int(np.count_nonzero(lobe_mask == lobe))
        hu[lobe_mask == lobe] = random.permutation(low + np.arange(count) * (high - low + 1) // count)
    volume: hd.Volume = ct.volume.with_array(hu)
    return replace(ct, volume=volume)


@pytest.mark.usefixtures("good_air")
def test_every_region_has_the_numbers_that_it_was_made_with(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    lobe_mask, lungs = SCAN.truth.lobe_mask, pipeline_module.lungs_of
    monkeypatch.setattr(pipeline_module, "lobes_of", lambda *_: lobe_mask)
    monkeypatch.setattr(pipeline_module, "lungs_of", lambda ct, *rest: lungs(PLAIN, *rest))
    found = analyse(filled(phantom(**INSPIRED), lobe_mask), backend)
    for lobe, (low, high) in EVEN.items():
        numbers, width = told(found, lobe.name), high - low + 1
        assert numbers["volume_ml"] == pytest.approx(SCAN.truth.lobe_ml(lobe))
        below, dense = max(0, min(-950 - low, width)), max(0, min(high + 1, -250) - max(low, -600))
        assert numbers["laa_950_percent"] == pytest.approx(100.0 * below / width, abs=0.02)
        assert numbers["haa_percent"] == pytest.approx(100.0 * dense / width, abs=0.02)
        assert numbers["perc15_hu"] == pytest.approx(low + 0.15 * width, abs=1.0)
        assert numbers["mean_hu"] == pytest.approx((low + high) / 2, abs=0.2)
    total = told(found, "LUNG_TOTAL")
    for name, lobes in (("LUNG_RIGHT", RIGHT_LOBES), ("LUNG_LEFT", LEFT_LOBES), ("LUNG_TOTAL", tuple(Lobe))):
        parts = [told(found, lobe.name) for lobe in lobes]
        volume_ml = sum(part["volume_ml"] for part in parts)
        numbers = told(found, name)
        assert numbers["volume_ml"] == pytest.approx(volume_ml)
        for measure in ("laa_950_percent", "haa_percent", "mean_hu"):
            weighted = sum(part[measure] * part["volume_ml"] for part in parts) / volume_ml
            assert numbers[measure] == pytest.approx(weighted)
        adjusted = (numbers["perc15_hu"] + 1000.0) * total["volume_ml"] / 4110.0
        assert numbers["pd15_adjusted_g_per_l"] == pytest.approx(adjusted)
    assert total["part_of_predicted_capacity"] == pytest.approx(total["volume_ml"] / 4110.0)
    for area in (segments.LAA, segments.HAA):
        part = total["laa_950_percent" if area is segments.LAA else "haa_percent"]
        assert told(found, area.name)["volume_ml"] == pytest.approx(part / 100.0 * total["volume_ml"])
    assert found.headline.value == total["laa_950_percent"]


@pytest.mark.usefixtures("good_air")
def test_a_soft_thin_ct_without_contrast_is_comparable_and_watched(backend: Backend) -> None:
    found = analyse(phantom(**INSPIRED), backend)
    assert not not_comparable(found.flags) and not found.doubts
    assert not [one for group in found.groups for one in group.evaluations]
    assert found.drift.keys() == {one.name for one in LungDensity().drift}
    assert {one.name: one.value for one in found.uncertainty} == {"trachea_air_hu": -992.0, "noise_hu": 14.0}
    body = LungDensity().report(phantom(**INSPIRED), found, no_step)
    assert "*" not in body.table.note and not [cell for row in body.table.rows for cell in row.cells if "*" in cell]


@pytest.mark.usefixtures("good_air")
@pytest.mark.parametrize(
    ("attributes", "flag", "detail"),
    [
        ({"ConvolutionKernel": "B70f"}, warnings.KERNEL_SHARP, "Kernel B70f."),
        ({"ConvolutionKernel": ["Br59f", "3"]}, warnings.KERNEL_SHARP, "Kernel Br59f/3."),
        ({"ConvolutionKernel": "CHEST"}, warnings.KERNEL_UNKNOWN, "Kernel CHEST."),
        ({"ConvolutionKernel": None}, warnings.KERNEL_UNKNOWN, "No kernel is recorded."),
        ({"ConvolutionKernel": ["Br40d", "3"]}, warnings.ITERATIVE, "Kernel Br40d/3."),
        ({"ReconstructionAlgorithm": "ITERATIVE"}, warnings.ITERATIVE, "Reconstruction Algorithm ITERATIVE."),
        ({"SliceThickness": "2.5"}, warnings.SLICES_AVERAGE, "2.5 mm, above 2 mm."),
        ({"ContrastBolusAgent": "Iomeron 400"}, warnings.CONTRAST, "Iomeron 400."),
        ({"ContrastBolusRoute": "IV", "ContrastBolusVolume": "80"}, warnings.CONTRAST, "80 mL."),
        ({"CTDIvol": 1.24}, warnings.LOW_DOSE, "CTDIvol 1.24 mGy, below 3 mGy."),
    ],
)
def test_what_changes_the_density_is_told_and_marks_what_it_changes(
    attributes: dict[str, Any], flag: warnings.Flag, detail: str, backend: Backend
) -> None:
    ct = phantom(**attributes)
    found = analyse(ct, backend)
    raised = {one.code: one for one in found.flags}
    assert raised[flag.code].detail == detail
    marked = {one.concept.value for one in found.group("RUL").evaluations}
    assert len(marked) == len(CONCERNED[flag.code]) and "LAA-950-COMP" in marked
    assert marked == {one.concept.value for one in found.group("LUNG_TOTAL").evaluations}
    areas = {area: [one.concept.value for one in found.group(area).evaluations] for area in ("LAA", "HAA")}
    assert areas == {
        "LAA": ["LAA-950-COMP"],
        "HAA": ["HAA-COMP"] if Measure.HAA in CONCERNED[flag.code] else [],
    }
    assert flag.doubt in found.doubts and "laa_950_percent" in told(found, "RUL"), "marked, not dropped"
    assert "pd15_g_per_l" not in found.drift
    assert [line for line in found.summary if line.startswith("Not comparable with other CTs: LAA-950, Perc15")]
    body = LungDensity().report(ct, found, no_step)
    assert f"({flag.doubt}" in body.table.note and body.table.rows[0].cells[1].endswith("*")
    assert body.findings[-1] == body.table.note


@pytest.mark.parametrize(
    ("air", "flag"),
    [
        (None, warnings.NOISE_UNKNOWN),
        (TracheaAir(-990.0, 31.0), warnings.NOISY),
        (TracheaAir(-955.0, 14.0), warnings.AIR_SHIFTED),
        (TracheaAir(-1020.0, 14.0), warnings.AIR_SHIFTED),
    ],
)
def test_what_is_measured_in_the_trachea_is_told(
    air: TracheaAir | None, flag: warnings.Flag, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "trachea_air", lambda *_: air)
    found = analyse(phantom(), backend)
    assert [one for one in found.flags if one.code in CONCERNED] == [flag]
    assert bool(found.uncertainty) == (air is not None)
    quality = LungDensity().report(phantom(), found, no_step).quality
    assert len(quality) == (0 if air is None else 1)


def test_a_noisy_phantom_raises_its_flag_and_its_low_attenuation(backend: Backend) -> None:
    """Noise of 60 HU around -850 HU: 4.8 % of a normal distribution lie below -950 HU."""
    scan = {"slices": 52, "spacing_mm": 4.0, "thickness_mm": 1.0, "pixel_mm": (2.0, 2.0), "rows": 128, "columns": 176}
    quiet, loud = (
        analyse(read_ct(make_ct.make(**scan, noise_hu=noise_hu).datasets), backend) for noise_hu in (12.0, 60.0)
    )
    assert warnings.NOISY not in quiet.flags and warnings.NOISY in loud.flags
    assert warnings.NOISE_UNKNOWN not in (*quiet.flags, *loud.flags)
    assert told(quiet, "LUNG_TOTAL")["laa_950_percent"] < 0.1
    assert told(loud, "LUNG_TOTAL")["laa_950_percent"] == pytest.approx(4.8, abs=0.5)


@pytest.mark.usefixtures("good_air")
def test_compression_with_loss_alone_marks_the_headline(backend: Backend) -> None:
    ct = phantom(**INSPIRED).with_flags((LOSSY,))
    found = analyse(ct, backend)
    assert found.doubts == ("compressed with loss",)
    body = LungDensity().report(ct, found, no_step)
    assert ["! Not comparable with other CTs" in [line.text for line in card.lines] for card in body.cards] == [
        True,
        True,
        False,
    ]
    assert "(compressed with loss)" in body.table.note


@pytest.mark.usefixtures("good_air")
@pytest.mark.parametrize(
    ("attributes", "detail"),
    [
        ({"PatientSex": "M", "PatientSize": "1.80"}, "0.42 of the predicted capacity, below 0.7."),
        ({"SeriesDescription": "Thorax EXP 1.0"}, 'The series is called "Thorax EXP 1.0".'),
    ],
)
def test_lungs_that_were_not_filled_are_told_and_no_density_is_comparable(
    attributes: dict[str, str], detail: str, backend: Backend
) -> None:
    ct = phantom(**attributes)
    found = analyse(ct, backend)
    (flag,) = (one for one in found.flags if one == warnings.NOT_INSPIRED)
    assert flag.detail == detail and found.doubts == ("breath not deep",)
    assert not_comparable(found.flags) == frozenset(Measure) and not found.drift
    body = LungDensity().report(ct, found, no_step)
    assert all("! Not comparable with other CTs" in [line.text for line in card.lines] for card in body.cards)
    assert [note for note in body.notes if "depth of breath" in note]


@pytest.mark.usefixtures("good_air")
def test_a_part_of_the_lungs_is_neither_adjusted_nor_called_a_shallow_breath(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline_module.lungs_of
    monkeypatch.setattr(pipeline_module, "lungs_of", lambda *of: replace(whole(*of), flags=(LUNG_AT_EDGE,)))
    found = analyse(phantom(PatientSex="M", PatientSize="1.80"), backend)
    assert found.doubts == ("incomplete lungs",)
    names = {name for group in found.groups for name in told(found, group.name)}
    assert "perc15_hu" in names and not names & {"pd15_adjusted_g_per_l", "part_of_predicted_capacity"}
    assert [flag.detail for flag in found.flags if flag == warnings.NOT_ADJUSTED] == ["The lungs are incomplete."]


@pytest.mark.usefixtures("good_air")
def test_dense_tissue_that_was_added_to_the_lungs_makes_all_densities_doubtful(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline_module.lungs_of
    monkeypatch.setattr(pipeline_module, "lungs_of", lambda *of: replace(whole(*of), flags=(LUNG_ADDED,)))
    found = analyse(phantom(**INSPIRED), backend)
    assert found.doubts == ("dense tissue added",) and not_comparable(found.flags) == frozenset(Measure)


@pytest.mark.usefixtures("good_air")
def test_without_a_height_nothing_is_adjusted_and_it_says_why(backend: Backend) -> None:
    ct = phantom(PatientSex="F")
    found = analyse(ct, backend)
    (flag,) = (one for one in found.flags if one == warnings.NOT_ADJUSTED)
    assert flag.detail == "Height is not recorded."
    assert not [name for group in found.groups for name in told(found, group.name) if "adjusted" in name]
    body = LungDensity().report(ct, found, no_step)
    assert {row.cells[3] for row in body.table.rows} == {"-"}
    assert body.cards[1].lines[0].text == "Depth of breath unknown, not adjusted. Height is not recorded."


@pytest.mark.usefixtures("good_air")
def test_a_lobe_that_was_not_found_has_no_density(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pipeline_module.lobes_of

    def without_middle(*args: Any) -> np.ndarray:
        lobe_mask = np.array(real(*args))
        lobe_mask[lobe_mask == Lobe.RML] = Lobe.RUL
        return lobe_mask

    monkeypatch.setattr(pipeline_module, "lobes_of", without_middle)
    ct = phantom()
    found = analyse(ct, backend)
    assert warnings.LOBE_UNMEASURED in found.flags and told(found, "RML") == {"volume_ml": 0.0}
    body = LungDensity().report(ct, found, no_step)
    assert body.table.rows[1].cells == ("0", "-", "-", "-", "-", "-")
    assert body.findings[1] == "Right middle lobe: not found."


@pytest.mark.usefixtures("good_air")
def test_two_runs_give_the_same_result(backend: Backend) -> None:
    first, second = (analyse(PLAIN.afresh(), backend) for _ in range(2))
    assert (first.groups, first.flags, first.headline) == (second.groups, second.flags, second.headline)
    for one, other in zip(first.label_maps, second.label_maps, strict=True):
        assert np.array_equal(one.labels, other.labels)


@pytest.mark.usefixtures("good_air")
def test_the_report_has_a_histogram_and_a_plane_coloured_by_attenuation(backend: Backend) -> None:
    ct = phantom(**INSPIRED)
    body = LungDensity().report(ct, analyse(ct, backend), no_step)
    histogram, coronal = body.large
    assert isinstance(histogram, Chart)
    assert [curve.title for curve in histogram.curves] == ["Both lungs", "Right", "Left"]
    for curve in histogram.curves:
        highest = max(curve.points, key=lambda point: point[1])
        assert highest[0] == pytest.approx(-850.0, abs=6.0), "the phantom's lungs"
        assert sum(high for _, high in curve.points) <= 100.0
    assert [entry.title for entry in body.legend][-1] == "Coronal: -1024 to -250 HU"
    colours = coronal.picture.rgb.reshape(-1, 3).astype(int)
    assert np.count_nonzero(np.ptp(colours, axis=1) > 60) > 0.15 * len(colours), "lungs are coloured"
    assert np.count_nonzero(np.ptp(colours, axis=1) == 0) > 0.15 * len(colours), "the rest is grey"
    assert [row.name for row in body.table.rows][-1] == "Both lungs" and len(body.table.rows) == 8
    assert "Adjusted" in body.cards[1].lines[0].text


@pytest.mark.usefixtures("good_air")
def test_the_picture_of_an_area_that_is_nowhere_says_so(backend: Backend) -> None:
    """The phantom's lungs are all between the two ranges."""
    ct = phantom(**INSPIRED)
    found = analyse(ct, backend)
    low, high = LungDensity().report(ct, found, no_step).small
    assert low.caption.endswith(": no area (below -950 HU) found; slice with the most lung")
    assert high.caption.endswith(": no area (-600 to -250 HU) found; slice with the most lung")
    lobes, areas = found.label_maps
    labels = np.array(areas.labels)
    labels[20, 5:9, 5:9] = segments.HAA.label
    body = LungDensity().report(ct, replace(found, label_maps=(lobes, replace(areas, labels=labels))), no_step)
    assert body.small[1].caption.endswith(": -600 to -250 HU")


def test_denser_lung_is_lighter_in_grey_print_too() -> None:
    greys = [0.299 * red + 0.587 * green + 0.114 * blue for _, (red, green, blue) in PALETTE.stops]
    assert all(darker + 20 < lighter for darker, lighter in pairwise(greys))


def test_every_warning_that_concerns_a_measure_is_declared_and_gives_its_doubt() -> None:
    declared = {flag.code: flag for flag in FLAGS}
    assert CONCERNED.keys() <= declared.keys()
    assert all(declared[code].doubt for code in CONCERNED)
    assert not_comparable([LUNG_AT_EDGE]) == frozenset(Measure) and not not_comparable([])
