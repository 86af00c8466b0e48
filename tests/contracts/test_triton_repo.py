"""What lies in triton_repo/ is what models/ says: specs, configurations, digests, cards. Needs no torch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from models.card import CARD, METRICS
from models.export import embed_spec
from models.lobes import card as lobes_card
from models.lung_opacity import card as lung_opacity_card
from models.lung_shape import card as lung_shape_card
from models.lung_tumour import card as lung_tumour_card
from models.opacity_context import card as opacity_context_card
from models.opacity_context.noise_card import NOISE as NOISE_FILE
from models.repository import ROOT, SPECS, differences, model_path, network_digest
from service.domain.model_spec import ModelSpec
from service.domain.priority import Urgency
from service.inference import config
from service.inference.files import model_files, read_digests
from service.inference.onnx import OnnxBackend
from service.pipelines import PIPELINES

MAX_WEIGHTS_BYTES = 30 * 2**20
CARDS = {
    "lung-opacity": ("lung_opacity", lung_opacity_card.render),
    "lung-shape": ("lung_shape", lung_shape_card.render),
    "lobes": ("lobes", lobes_card.render),
    "opacity-context": ("opacity_context", opacity_context_card.render),
    "lung-tumour": ("lung_tumour", lung_tumour_card.render),
}


def test_the_repository_is_in_sync_without_torch() -> None:
    hidden = "import sys; sys.modules['torch'] = None; import models.export as e; sys.argv = ['', '--check']; e.main()"
    run = subprocess.run([sys.executable, "-c", hidden], cwd=ROOT.parent, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "lobes/config.pbtxt").write_text("edited"), "config.pbtxt is not what the spec renders"),
        (lambda root: (root / "lobes/configs/gpu.pbtxt").unlink(), "configs/gpu.pbtxt is not what the spec renders"),
        (lambda root: (root / "lobes/1/model.onnx").rename(root / "lobes/model.onnx"), "is missing"),
        (lambda root: (root / "other").mkdir(), "no spec in models"),
        (lambda root: (root / "SHA256SUMS").write_text(""), "SHA256SUMS does not match"),
    ],
    ids=["config", "no config", "no model", "extra", "digest"],
)
def test_every_difference_is_named(tmp_path: Path, spoil: Callable[[Path], Any], said: str) -> None:
    root = tmp_path / "triton_repo"
    shutil.copytree(ROOT, root)
    assert differences(root) == []
    spoil(root)
    assert any(said in found for found in differences(root))


def test_the_service_loads_exactly_these_models() -> None:
    backend = OnnxBackend(ROOT)
    assert {spec.name for spec in backend.specs} == {spec.name for spec in SPECS}
    for pipeline in PIPELINES:
        for name in (role.name for role in pipeline.models):
            assert backend.spec(name).licence


def test_the_weights_are_small() -> None:
    assert sum(path.stat().st_size for path in ROOT.rglob("*.onnx")) < MAX_WEIGHTS_BYTES


SPEC_OF = {name: file.spec for name, file in model_files(ROOT).items()}


def parsed(spec: ModelSpec, variant: config.Variant, versions: tuple[str, ...] = ()) -> Any:
    """As Triton reads it: an unknown field or word is an error."""
    return text_format.Parse(config.render_config(spec, versions, variant), model_config_pb2.ModelConfig())


@pytest.mark.parametrize("variant", config.FILES)
@pytest.mark.parametrize("name", SPEC_OF)
def test_configurations_leave_nothing_to_guess(name: str, variant: config.Variant) -> None:
    spec = SPEC_OF[name]
    read = parsed(spec, variant)
    assert (read.name, read.backend, read.max_batch_size) == (name, "onnxruntime", spec.max_batch)
    for declared, tensors in ((spec.inputs, read.input), (spec.outputs, read.output)):
        assert [(t.name, tuple(t.dims)) for t in tensors] == [(t.name, t.dims) for t in declared]
    assert list(read.version_policy.specific.versions) == [int(spec.version)]
    (instances,) = read.instance_group
    on_cpu = variant == "cpu"
    assert (instances.kind == instances.KIND_CPU, instances.count) == (on_cpu, config.CPU_INSTANCES if on_cpu else 1)
    assert all(size <= spec.max_batch for size in read.dynamic_batching.preferred_batch_size)
    assert read.dynamic_batching.default_priority_level == read.dynamic_batching.priority_levels
    assert read.dynamic_batching.default_queue_policy.max_queue_size > 0


def test_versions_side_by_side_share_one_configuration() -> None:
    assert list(parsed(SPEC_OF["lobes"], "gpu", ("1", "3")).version_policy.specific.versions) == [1, 3]


@pytest.mark.parametrize("name", SPEC_OF)
def test_a_gpu_is_warmed_up_with_every_batch_size_before_it_is_ready(name: str) -> None:
    spec = SPEC_OF[name]
    for read in (parsed(spec, "gpu"), parsed(spec, "tensorrt")):
        sizes = [sample.batch_size for sample in read.model_warmup]
        assert {1, spec.call_batch, spec.max_batch} == set(sizes)
        for sample in read.model_warmup:
            assert {name: tuple(image.dims) for name, image in sample.inputs.items()} == {
                tensor.name: tensor.dims for tensor in spec.inputs
            }
            assert all(image.random_data for image in sample.inputs.values()), "zeros would be all black anyway"


def test_cuda_answers_alike_each_time_and_tensorrt_falls_back_on_it() -> None:
    accelerators = parsed(SPEC_OF["lung-opacity"], "tensorrt").optimization.execution_accelerators
    assert [one.name for one in accelerators.gpu_execution_accelerator] == ["tensorrt", "cuda"]
    tensorrt, cuda = (dict(one.parameters) for one in accelerators.gpu_execution_accelerator)
    assert (tensorrt["precision_mode"], tensorrt["trt_timing_cache_enable"]) == ("FP16", "1")
    assert cuda == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
    (only,) = parsed(SPEC_OF["lung-opacity"], "gpu").optimization.execution_accelerators.gpu_execution_accelerator
    assert dict(only.parameters) == cuda


def test_an_engine_is_never_another_models() -> None:
    """ONNX Runtime names engines after file and tensors: versions of one network would take each other's."""

    def cache(spec: ModelSpec, versions: tuple[str, ...] = ()) -> tuple[str, str | None]:
        read = parsed(spec, "tensorrt", versions).optimization.execution_accelerators.gpu_execution_accelerator[0]
        return read.parameters["trt_engine_cache_enable"], dict(read.parameters).get("trt_engine_cache_path")

    spec = SPEC_OF["lung-opacity"]
    other = replace(spec, sha256="0" * 64)
    assert cache(spec)[0] == cache(other)[0] == "1"
    assert cache(spec)[1] != cache(other)[1] != cache(SPEC_OF["lobes"])[1]
    assert cache(spec, ("2", "3")) == ("0", None)


def test_stat_goes_before_routine() -> None:
    levels = [config.priority_level(urgency) for urgency in (Urgency.STAT, Urgency.URGENT, Urgency.ROUTINE)]
    assert levels == [1, 2, 3]


@pytest.mark.parametrize("name", CARDS)
def test_cards_are_rendered_and_about_the_released_weights(name: str) -> None:
    folder, render = CARDS[name]
    metrics = json.loads((ROOT.parent / "models" / folder / METRICS).read_text())
    assert (ROOT.parent / "models" / folder / CARD).read_text() == render(metrics)
    (digest,) = [digest for path, digest in read_digests(ROOT).items() if path.startswith(f"{name}/")]
    assert metrics["sha256"] == digest


def test_figures_that_results_quote_are_those_of_the_card() -> None:
    metrics = json.loads((ROOT.parent / "models/lobes" / METRICS).read_text())
    assert SPEC_OF["lobes"].measured == {"fissure_distance_mm": metrics["mean"]["found"]["mean_mm"]}


NOISE = json.loads((ROOT.parent / "models/opacity_context" / NOISE_FILE).read_text())


def test_the_noise_floor_was_measured_on_the_released_network() -> None:
    spec = SPEC_OF["opacity-context"]
    assert NOISE["network_sha256"] == network_digest(model_path(spec))
    assert spec.noise_floor is not None and NOISE["summary"]["floor"] == dict(spec.noise_floor)
    assert NOISE["summary"]["lobes_above"] <= 0.05 * NOISE["summary"]["lobes"]


def test_a_floor_is_embedded_in_the_network_it_was_measured_on_and_in_no_other(tmp_path: Path) -> None:
    root = tmp_path / "triton_repo"
    shutil.copytree(ROOT, root)
    path = model_path(SPEC_OF["opacity-context"], root)
    released = path.read_bytes()
    embed_spec("opacity-context", root)
    assert path.read_bytes() == released and differences(root) == []
    other = onnx.load(path)
    other.graph.initializer[0].name += "2"
    onnx.save(other, path)
    with pytest.raises(ValueError, match="measured on another network"):
        embed_spec("opacity-context", root)


@pytest.mark.parametrize(
    ("name", "published", "reported"),
    [
        ("covid-ct-md/normal001", (1, "mild"), (0, "none")),
        ("lidc/LIDC-IDRI-0002", (2, "mild"), (0, "none")),
        ("lidc/LIDC-IDRI-0001", (4, "mild"), (1, "mild")),  # a mass in the left lower lobe
        ("rider-lung", (4, "mild"), (2, "mild")),  # a tumour
        ("covid-ct-md/P001", (5, "mild"), (2, "mild")),
        ("covid-ct-md/cap001", (4, "mild"), (2, "mild")),
        ("medseg9/vol9", (10, "moderate"), (10, "moderate")),
    ],
)
def test_normal_lungs_read_none_and_disease_does_not(
    name: str, published: tuple[int, str], reported: tuple[int, str]
) -> None:
    case = NOISE["cases"][name]
    assert (tuple(case["published"].values()), tuple(case["reported"].values())) == (published, reported)


@pytest.mark.parametrize("name", ["lidc/LIDC-IDRI-0001", "lidc/LIDC-IDRI-0003", "covid-ct-md/P001"])
def test_every_second_slice_gives_the_score_of_all(name: str) -> None:
    halves = (NOISE["cases"][f"{name}, {half} slices"]["reported"] for half in ("even", "odd"))
    assert [NOISE["cases"][name]["reported"]] * 2 == list(halves)
