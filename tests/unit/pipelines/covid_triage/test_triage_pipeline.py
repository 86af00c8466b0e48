"""The whole pipeline on phantoms, with networks that threshold, with and without a classifier."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import jsonschema
import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_models
from helpers.phantom import FINDINGS, Ball

from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import Flag
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend, unheard
from service.evidence.result import result_document
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_triage.flags import DENSE_LUNG, LESIONS_AS_NORMAL, SMALL_LESIONS
from service.pipelines.covid_triage.lung_grid import LungGrid
from service.pipelines.covid_triage.model_roles import SPACING_MM, Infection
from service.pipelines.covid_triage.pipeline import CovidTriage, _dense_lung
from service.pipelines.covid_triage.report import HEAT_MARK
from service.pipelines.shared.opacities import Opacity

pytestmark = pytest.mark.slow

_SCHEMA = Path(__file__).parents[4] / "docs/reference/result.schema.json"
SCHEMA = jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))

GROUND_GLASS = tuple(ball for ball in FINDINGS if ball.finding == Opacity.GROUND_GLASS)
OF_CLASSES = ("covid", "infection", "infected")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Without a classifier."""
    return OnnxBackend(tiny_models.repository(tmp_path_factory.mktemp("triage") / "models"))


@pytest.fixture(scope="module")
def classifying(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    root = tiny_models.repository(tmp_path_factory.mktemp("triage") / "models")
    tiny_models.serve(root, tiny_models.triage_infection(), tiny_models.TRIAGE_INFECTION)
    return OnnxBackend(root)


@dataclass(frozen=True)
class Analysed:
    ct: CT
    found: Analysis


@pytest.fixture(scope="module")
def plain(backend: Backend) -> Analysed:
    """Two lesions of ground glass, without a classifier."""
    ct = phantom()
    return Analysed(ct, analyse(ct, backend))


@pytest.fixture(scope="module")
def classed(classifying: Backend) -> Analysed:
    """The same with a classifier."""
    ct = phantom()
    return Analysed(ct, analyse(ct, classifying))


def phantom(findings: tuple[Ball, ...] = GROUND_GLASS, **options: float) -> CT:
    made = make_ct.make(**{"slices": 50, "spacing_mm": 5.0, "findings": findings} | options)
    return read_ct(made.datasets)


def document(found: Analysis) -> dict[str, object]:
    made = result_document(
        pipeline=found.pipeline.name, series_uid="1.2", analysis=found, analysed_at=evidence_samples.ANALYSED_AT
    )
    read: dict[str, object] = json.loads(json.dumps(made))
    return read


def analyse(ct: CT, backend: Backend) -> Analysis:
    found = CovidTriage().analyse(ct, backend, unheard)
    SCHEMA.validate(document(found))
    return found


def seen_ml(ball: Ball) -> float:
    """What the network finds of a ball: it leaves out a voxel of its grid all around."""
    slices, rows, columns = (half - mm for half, mm in zip(ball.shape.half_axes_mm, SPACING_MM, strict=True))
    return 4 / 3 * math.pi * slices * rows * columns / 1000


def test_each_lesion_is_found_measured_and_placed(plain: Analysed) -> None:
    found = plain.found
    every = found.group("LESIONS")
    assert every["lesion_count"] == 2 and every["lesion_ml"] == pytest.approx(sum(map(seen_ml, GROUND_GLASS)), rel=0.1)
    first, second = found.group("LESION_1"), found.group("LESION_2")
    assert first["volume_ml"] == every["largest_ml"] == pytest.approx(seen_ml(GROUND_GLASS[0]), rel=0.1)
    assert second["volume_ml"] == pytest.approx(seen_ml(GROUND_GLASS[1]), rel=0.1)
    assert first["mean_hu"] == pytest.approx(-600, abs=10)
    assert (first.site, second.site) == (found.group(Lobe.RLL.name).site, found.group(Lobe.LUL.name).site)
    total = found.group("LUNG_TOTAL")
    assert total["lesion_ml"] == every["lesion_ml"] == found.group("LESION")["volume_ml"]
    assert sum(found.group(lobe.name)["lesion_ml"] for lobe in Lobe) == pytest.approx(total["lesion_ml"])
    assert every["lesion_percent"] == pytest.approx(100 * total["lesion_ml"] / total["volume_ml"])
    assert found.headline.value == every["lesion_percent"] == found.drift["lesion_percent"]
    assert [model.name for model in found.models] == ["lung-opacity", "lobes", "triage-lesion", "lung-shape"]
    assert found.rank is not None and 0 < found.rank < 1


def test_without_a_classifier_nothing_names_a_class_or_an_infection(plain: Analysed) -> None:
    ct, found = plain.ct, plain.found
    assert found.classification is None and not found.explanations
    body = CovidTriage().report(ct, found, lambda: None)
    told = document(found) | {"pipeline": ""}
    text = f"{json.dumps(told)} {body.cards} {body.table} {body.notes} {body.findings} {body.legend[0].title}"
    assert not [word for word in OF_CLASSES if word in text.lower()]


@pytest.mark.parametrize("has_classifier", [False, True])
def test_clear_lungs_have_no_lesion_and_no_probability(
    backend: Backend, classifying: Backend, has_classifier: bool
) -> None:
    ct = phantom(())
    found = analyse(ct, classifying if has_classifier else backend)
    assert "no lesion found" in found.headline.words and "No lesion found." in found.summary
    assert found.headline.value is None if has_classifier else found.headline.value == 0.0
    assert found.rank == 0.0 and found.group("LESIONS")["lesion_count"] == 0
    assert found.classification is None or not found.classification.probabilities
    assert not found.label_map("lesions").labels.any() and SMALL_LESIONS not in found.flags
    body = CovidTriage().report(ct, found, lambda: None)
    assert "no lesion found" in f"{body.cards[0].lines[0].text} {body.cards[2].lines[0].text}".lower()


def test_a_classifier_gives_the_headline_the_rank_and_a_heat_map_on_the_ct(classed: Analysed) -> None:
    ct, found = classed.ct, classed.found
    assert found.classification is not None and found.classification.experimental
    probabilities = {one.title: one.value for one in found.classification.probabilities}
    assert list(probabilities) == list(Infection) and sum(probabilities.values()) == pytest.approx(1.0, abs=1e-3)
    assert found.classification.decision is not None
    assert found.classification.decision.meaning == max(probabilities, key=lambda one: probabilities[one]) == "COVID-19"
    of_lesions = [found.group(f"LESION_{number}")["infection_probability"] for number in (1, 2)]
    assert found.headline.value == found.rank == max(of_lesions) == 1 - probabilities["no infection"]
    assert "experimental, not validated" in found.headline.words
    (heat,) = found.explanations
    decides = 1 + of_lesions.index(max(of_lesions))
    assert heat.explains == found.classification.name and heat.title == f"What spoke for COVID-19 in lesion {decides}"
    hot = heat.values >= 100
    lesions = found.label_map("lesions").labels > 0
    assert np.count_nonzero(hot & lesions) > 0.8 * np.count_nonzero(hot)
    body = CovidTriage().report(ct, found, lambda: None)
    assert body.small[0].caption.endswith(": influence on the class")
    pink = HEAT_MARK.rgb[0] > HEAT_MARK.rgb[1] < HEAT_MARK.rgb[2]
    red, green, blue = (body.small[0].picture.rgb[..., colour].astype(int) for colour in range(3))
    assert pink and np.count_nonzero((red - green > 40) & (blue - green > 20)) > 500, "the heat is seen"
    assert [row.title for row in body.cards[2].rows] == list(Infection)
    assert [entry.title for entry in body.legend] == ["Lung lesion", "Influence on class"]


def test_two_runs_give_the_same_voxels(classifying: Backend, classed: Analysed) -> None:
    first, second = classed.found, analyse(phantom(), classifying)
    for one, other in zip(first.label_maps, second.label_maps, strict=True):
        assert np.array_equal(one.labels, other.labels)
    assert np.array_equal(first.explanations[0].values, second.explanations[0].values)
    assert document(first) == document(second)


def test_thinner_slices_give_the_same_volumes_on_their_own_grid(backend: Backend, plain: Analysed) -> None:
    ct = phantom(slices=100, spacing_mm=2.5)
    found = analyse(ct, backend)
    assert found.label_map("lesions").labels.shape == ct.volume.spatial_shape
    volume_ml = plain.found.group("LESION_1")["volume_ml"]
    assert found.group("LESION_1")["volume_ml"] == pytest.approx(volume_ml, rel=0.1)


class Watched:
    """A back end that notes what is asked; its lesion model finds as much in normal lungs as one likes."""

    def __init__(self, backend: Backend, normal_percent: float) -> None:
        self.backend, self.normal_percent = backend, normal_percent
        self.asked: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self.backend, name)

    def spec(self, name: str) -> ModelSpec:
        return replace(self.backend.spec(name), measured={"normal_percent": self.normal_percent})

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.asked.add(name)
        return self.backend.infer(name, inputs)


@pytest.mark.parametrize(("normal_percent", "told"), [(50.0, True), (0.1, False)])
def test_lungs_are_found_once_for_all_pipelines_and_lesions_as_in_normal_lungs_are_told(
    backend: Backend, plain: Analysed, normal_percent: float, told: bool
) -> None:
    watched = Watched(backend, normal_percent)
    found = analyse(plain.ct, watched)  # type: ignore[arg-type]
    assert watched.asked == {"triage-lesion"}
    assert [flag.detail for flag in found.flags if flag == LESIONS_AS_NORMAL] == (
        ["In CTs without pneumonia up to 50 % is found."] if told else []
    )
    assert ("normal" in found.headline.words) is told


@pytest.mark.parametrize(("steepest_hu", "flags"), [(100.0, []), (450.0, [DENSE_LUNG])])
def test_lung_that_is_dense_at_the_back_is_told(steepest_hu: float, flags: list[Flag]) -> None:
    rows = np.linspace(-850.0, -850.0 + steepest_hu, 40)[None, :, None]
    hu = np.broadcast_to(rows, (20, 40, 40)).astype(np.int16)
    affine = np.diag([-2.5, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    grid = LungGrid(hd.Volume(np.ascontiguousarray(hu), affine, "PATIENT"), np.ones(hu.shape, np.bool_))
    raised = list(_dense_lung(grid, np.zeros(hu.shape, np.uint8)))
    assert raised == flags
    assert all("denser at the back" in flag.detail and flag.doubt == "dense lung" for flag in raised)


@pytest.mark.parametrize("has_classifier", [False, True])
def test_where_lung_is_dense_no_percentage_no_probability_and_no_class_is_told(
    backend: Backend, classifying: Backend, monkeypatch: pytest.MonkeyPatch, has_classifier: bool
) -> None:
    """As covid-severity and covid-burden tell none there; volumes, masks and the rank stay."""
    told = DENSE_LUNG.because("The lung is 300 HU denser at the back.")
    ct, models = phantom(), Watched(classifying if has_classifier else backend, normal_percent=50.0)
    usual = analyse(ct, models)  # type: ignore[arg-type]
    assert usual.headline.value and usual.rank and (LESIONS_AS_NORMAL in usual.flags)
    assert bool(usual.explanations) == (usual.classification is not None) == has_classifier
    monkeypatch.setattr("service.pipelines.covid_triage.pipeline._dense_lung", lambda *_: iter((told,)))
    found = analyse(ct, models)  # type: ignore[arg-type]
    assert found.headline.value is None and found.headline.name == usual.headline.name
    assert found.headline.words == "not reliable here: The lung is 300 HU denser at the back"
    assert found.rank == 0.5 and found.drift == {"lesion_count": 2.0} and not found.explanations
    assert DENSE_LUNG in found.flags and LESIONS_AS_NORMAL not in found.flags
    assert (found.label_maps[1].labels == usual.label_maps[1].labels).all()
    body = CovidTriage().report(ct, found, lambda: None)
    assert body.cards[0].absent and body.cards[0].value == "not given"
    assert all(row.bar is None for row in body.table.rows)
    assert "withheld" in body.table.note and "truncated" not in body.table.note
    for name in ("lesion_ml", "lesion_count", "largest_ml"):
        assert found.group("LESIONS")[name] == usual.group("LESIONS")[name]
    measured = [one.name for group in found.groups for one in group.measurements]
    assert not {"lesion_percent", "infection_probability"} & set(measured)
    warnings = [flag.warning for flag in found.flags]
    cards = [text for card in body.cards for text in (card.value, card.beside, *(line.text for line in card.lines))]
    cells = [cell for row in body.table.rows for cell in row.cells]
    headline = (found.headline.words, found.headline.remark)
    told_anywhere = "\n".join((*headline, *found.summary, *body.findings, *cards, *cells))
    assert "%" not in told_anywhere and "probability" not in told_anywhere.lower()
    assert not [warning for warning in warnings if "normal" in warning]
    wrong = document(found)
    wrong["measurements"]["LESIONS"]["lesion_percent"] = 1.0  # type: ignore[index]
    with pytest.raises(jsonschema.ValidationError):
        SCHEMA.validate(wrong)
    if has_classifier:
        assert found.classification is not None and not found.classification.probabilities
        assert found.classification.decision is None and body.cards[2].absent
