"""The comparison of providers, on the released network: it sees what differs and nothing else."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from bench.providers import _models, parity, speeds
from bench.quantise import quantised, with_probability
from bench.variants import BATCH, SERVICE, VARIANTS, session, why_absent
from service.inference.installed_models import installed as installed_models

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
AT = np.full((2, 1, 1), 0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released network that also gives its probability."""
    repository = ROOT / "triton_repo"
    spec = next(
        one.spec for one in installed_models(repository) if one.state == "active" and one.spec.name == "lung-opacity"
    )
    released = repository / spec.name / spec.version / "model.onnx"
    return with_probability(released, tmp_path_factory.mktemp("model") / "float.onnx")


@pytest.fixture(scope="module")
def hu() -> NDArray[np.int16]:
    """One batch of smooth slices."""
    coarse = np.random.default_rng(0).normal(-500.0, 400.0, (BATCH, 1, 16, 16))
    return coarse.repeat(16, 2).repeat(16, 3).astype(np.int16)


def test_the_probability_is_what_the_service_rounds(model: Path, hu: NDArray[np.int16]) -> None:
    rounded, probability = session(SERVICE, model).run(None, {"hu": hu})
    assert np.array_equal(np.rint(255.0 * probability).astype(np.uint8), rounded)


def test_the_service_s_way_equals_itself_and_takes_as_long(model: Path, hu: NDArray[np.int16]) -> None:
    one = session(SERVICE, model)
    assert parity(one, one, hu, AT).difference == 0.0
    assert speeds({SERVICE: one}, hu, 2) == {SERVICE: (1.0, 1.0)}


def test_int8_runs_and_is_another_network(model: Path, hu: NDArray[np.int16], tmp_path: Path) -> None:
    small = session("CPU, int8", quantised(model, hu[:2], tmp_path / "int8.onnx"))
    apart = parity(session(SERVICE, model), small, hu, AT)
    assert 0.0 < apart.difference < 0.9
    assert not apart.passed


def test_openvino_repeats_the_service_when_told_to_be_exact(model: Path, hu: NDArray[np.int16]) -> None:
    if why := why_absent("OpenVINO, fp32"):
        pytest.skip(why)
    other = session("OpenVINO, fp32", model)
    assert isinstance(other, ort.InferenceSession)
    assert parity(session(SERVICE, model), other, hu, AT).passed


def test_every_variant_can_be_asked_about_again_and_again() -> None:
    """The installed plugin is registered once, whether it offers a device here or not."""
    first, second = ({name: why_absent(name) for name in VARIANTS} for _ in range(2))
    assert first == second and first[SERVICE] is first["CPU, int8"] is None


def test_without_the_plugin_only_the_service_s_provider_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.variants.find_spec", lambda _name: None)
    assert [name for name in VARIANTS if why_absent(name) is None] == [SERVICE, "CPU, int8"]


def test_a_plugin_without_a_device_for_this_processor_is_left_out_with_the_reason(
    model: Path,
    hu: NDArray[np.int16],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OpenVINO 1.8.1 offers no CPU device on an AMD EPYC."""
    monkeypatch.setattr("bench.variants.find_spec", lambda _name: object())
    monkeypatch.setattr("bench.variants._cpu_of_openvino", lambda: None)
    monkeypatch.setattr("bench.providers.with_probability", lambda _released, path: path)
    monkeypatch.setattr("bench.providers.quantised", lambda _plain, _slices, path: path)
    assert list(_models(model, hu, tmp_path)) == [SERVICE, "CPU, int8"]
    assert "OpenVINO, int8 is left out: OpenVINO's plugin is installed, but offers no CPU" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match=r"OpenVINO, fp32 cannot run here: .* no CPU device on this processor"):
        session("OpenVINO, fp32", model)
