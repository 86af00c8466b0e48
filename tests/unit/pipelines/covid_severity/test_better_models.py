"""Installed models are really used: lungs by `lungs` where it is installed, lobes slice by slice."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from helpers import make_ct, tiny_models
from helpers.evidence_samples import masks

from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.lung_shape.spec import SPEC as LUNG_SHAPE
from models.opacity_context.spec import SPEC as OPACITY_CONTEXT
from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import UNMEASURED_MODEL
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.errors import Reason, Rejected
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.inference.repository import create
from service.pipelines.covid_severity.flags import LOBES_APPROXIMATE
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.shared.slices import infer_slices, onto, views_of

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).resolve().parents[4] / "triton_repo"


class BlindToLungs(OnnxBackend):
    """The released network says "no lung, no opacity" everywhere: what is found, another model has found."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = super().infer(name, inputs) if name != "lung-opacity" else None
        if answer is not None:
            return answer
        (hu,), (given,) = inputs.values(), self.spec(name).outputs
        return {given.name: np.zeros((len(hu), *given.dims), np.uint8)}


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped models, a model `lungs`, and lobes version 2."""
    root = tmp_path_factory.mktemp("models") / "own"
    create(root, SHIPPED)
    for model, spec in ((tiny_models.lungs(), tiny_models.LUNGS), (tiny_models.lobes(), tiny_models.LOBES)):
        tiny_models.serve(root, model, spec)
    return root


def analyse(ct: CT, backend: OnnxBackend, told: Callable[[str, float], None] = lambda stage, done: None) -> Analysis:
    return CovidSeverity().analyse(ct, backend, told)


@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFS", "FFP"])
def test_lungs_and_lobes_of_the_phantom_in_every_position(better: Path, orientation: str) -> None:
    phantom = make_ct.make(orientation=orientation)
    ct, truth = read_ct(phantom.datasets), phantom.truth
    with pytest.raises(Rejected) as caught:
        analyse(ct, BlindToLungs(SHIPPED))
    assert caught.value.refusals[0].reason == Reason.NO_LUNG
    result = analyse(ct, BlindToLungs(better))
    assert result.group("LUNG_RIGHT")["volume_ml"] == pytest.approx(truth.right_lung_ml, rel=0.03)
    assert result.group("LUNG_LEFT")["volume_ml"] == pytest.approx(truth.left_lung_ml, rel=0.03)
    lobes, _ = masks(result)
    inside = (lobes > 0) & (truth.lobe_mask > 0)
    assert 2 * np.count_nonzero(inside) / (np.count_nonzero(lobes) + np.count_nonzero(truth.lobe_mask)) > 0.97
    assert not ((lobes > 3) & truth.right_lung_mask).any()
    centres = {lobe: ct.volume.affine[:3] @ [*np.argwhere(lobes == lobe).mean(0), 1.0] for lobe in Lobe}
    assert centres[Lobe.RUL][1] < centres[Lobe.RML][1] < centres[Lobe.RLL][1], "front to back, as the network says"
    assert centres[Lobe.LUL][1] < centres[Lobe.LLL][1]


def test_every_model_is_named_and_the_reader_is_told_that_nobody_measured_them(better: Path) -> None:
    backend = OnnxBackend(better)
    told: list[tuple[str, float]] = []
    result = analyse(read_ct(make_ct.make().datasets), BlindToLungs(better), lambda *stage: told.append(stage))
    assert [(m.name, m.version, m.sha256) for m in result.models] == [
        (name, version, backend.spec(name).sha256)
        for name, version in (
            ("lung-opacity", LUNG_OPACITY.version),
            ("lungs", "1"),
            ("lung-shape", LUNG_SHAPE.version),
            ("lobes", "2"),
            ("opacity-context", OPACITY_CONTEXT.version),
        )
    ]
    assert UNMEASURED_MODEL in result.flags
    assert LOBES_APPROXIMATE not in result.flags, "its words are about the shipped prior"
    order = ["lungs", "lobes", "opacities", "measure"]
    assert told == sorted(told, key=lambda one: (order.index(one[0]), one[1])), "progress never goes back"


def test_a_consolidation_takes_the_lobe_around_it(better: Path) -> None:
    """The network sees no lobe where it is dense; the lungs' holes are filled, and so are the lobes."""
    phantom = make_ct.make(findings=make_ct.FINDINGS)
    result = analyse(read_ct(phantom.datasets), BlindToLungs(better))
    dense = phantom.truth.finding_mask == 2
    lobes, _ = masks(result)
    assert (lobes[dense] > 0).mean() > 0.99
    assert set(np.unique(lobes[dense])) <= {0, Lobe.LLL}


@pytest.mark.parametrize(
    "spec", [tiny_models.LUNGS, replace(tiny_models.LUNGS, layout="plane-grid", spacing_mm=3.2, window_hu=None)]
)
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_both_layouts_say_the_same_of_the_same_ct(spec: ModelSpec, threshold: float) -> None:
    """The answer lands on any grid with the CT's slices; the model's own threshold ends at 128."""

    class Dark:
        """Probability 0.8 for what is dark."""

        concurrency = 2

        def has(self, name: str) -> bool:
            return True

        def spec(self, name: str) -> ModelSpec:
            return spec

        def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            assert len(inputs["hu"]) <= spec.max_batch
            return {"probability": np.where(inputs["hu"] < tiny_models.LUNG_BELOW_HU, 204, 0).astype(np.uint8)}

        def cancel(self) -> None: ...

    spec = replace(spec, thresholds={"lung": threshold})
    phantom = make_ct.make(slices=10)
    volume = read_ct(phantom.datasets).volume
    grid = volume.to_patient_orientation("FPL")
    views = views_of(volume, spec)
    (said,) = onto(grid, views, infer_slices(views, spec, Dark(), lambda done: None))
    lung = hd.Volume(phantom.truth.lobe_mask, volume.affine, "PATIENT").to_patient_orientation("FPL").array > 0
    inside = said[lung]
    assert np.mean(inside >= 128) == pytest.approx(1.0 if threshold == 0.5 else 0.0, abs=0.05)
