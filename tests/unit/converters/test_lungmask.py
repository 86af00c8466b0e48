"""lungmask's networks, with random weights: converted they say what the package says, or are not installed."""

import copy
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from lungmask import LMInferer, mask, utils
from lungmask.resunet import UNet
from typer.testing import CliRunner

from converters import lungmask, slices
from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.lung_shape.spec import SPEC as LUNG_SHAPE
from models.lung_tumour.spec import SPEC as LUNG_TUMOUR
from models.opacity_context.spec import SPEC as OPACITY_CONTEXT
from models.triage_lesion.spec import SPEC as TRIAGE_LESION
from service.cli import app
from service.domain.anatomy import Lobe
from service.errors import Permanent
from service.imaging.body_crop import body_box, to_body_crops
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend

DEMO_CT = Path(__file__).resolve().parents[3] / "demo" / "ct"
NARROW = partial(UNet, wf=3)
"""The package's network with an eighth of its channels: as deep, and fast."""


def save_weights(path: Path, classes: int, make: partial[UNet] | type[UNet] = NARROW) -> Path:
    """Random weights (seeded) whose classes are about equally frequent, saved as the package's are."""
    torch.manual_seed(classes)
    network = make(
        n_classes=classes, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False
    ).train()
    noise = torch.nn.functional.interpolate(torch.rand(2, 1, 16, 16), scale_factor=8)
    with torch.no_grad():
        for _ in range(3):
            network(noise)  # the batch normalisation's statistics
        said: list[torch.Tensor] = []
        network.eval().last.register_forward_hook(lambda _module, _taken, given: said.append(given))
        network(noise)
        mean, deviation = said[0].mean((0, 2, 3)), said[0].std((0, 2, 3))
        network.last.weight /= deviation[:, None, None, None]
        network.last.bias.copy_((network.last.bias - mean) / deviation)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lungmask, "UNet", NARROW)
    monkeypatch.setattr(mask, "UNet", NARROW)


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    return slices.body_crops(DEMO_CT, lungmask.SIZE, lungmask.WINDOW_HU)


def test_the_network_at_its_full_size_is_converted(tmp_path: Path, real: np.ndarray) -> None:
    weights = save_weights(tmp_path / "full.pth", 3, UNet)
    found = lungmask.convert(weights, real[2:4])
    assert found.fidelity.difference < 1e-4
    assert found.fidelity.flipped < 1e-4
    assert found.spec.name == "lungs"
    assert found.spec.source.endswith(f"full.pth, SHA-256 {hashlib.sha256(weights.read_bytes()).hexdigest()}")
    assert b"/converters/" not in found.model, "no path of the machine that converted"


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("classes", [3, 6])
def test_labels_are_those_of_the_package(tmp_path: Path, classes: int) -> None:
    """From the CT to labels on its grid, before postprocessing: what is exported, and the package's `LMInferer`."""
    weights = save_weights(tmp_path / "random.pth", classes)
    volume = read_ct([pydicom.dcmread(path) for path in sorted(DEMO_CT.glob("*.dcm"))]).volume[::12]
    oriented = volume.to_patient_orientation("FPL").array
    package = LMInferer(modelpath=str(weights), force_cpu=True, volume_postprocessing=False, tqdm_disable=True)
    theirs = package.apply(np.rint(oriented).astype(np.int16))
    crops = to_body_crops(volume, lungmask.SIZE, lungmask.WINDOW_HU)
    served = lungmask.Served(*lungmask._network(weights)).eval()
    with torch.inference_mode():
        probability, answer = served(torch.from_numpy(np.stack([crop.array for crop in crops])))
    labels = probability.argmax(1).numpy()
    if classes == 3:
        assert np.mean((answer.numpy()[:, 0] >= 128) == (labels > 0)) > 0.9999, "the package's rule, in UINT8"
    boxes = [body_box(plane.clip(*lungmask.WINDOW_HU)) for plane in oriented]
    ours = [
        utils.reshape_mask(label.astype(np.uint8), (top, left, bottom, right), oriented.shape[1:])
        for label, ((top, bottom), (left, right)) in zip(labels, boxes, strict=True)
    ]
    assert np.mean(np.array(ours) == theirs) >= 0.999
    assert np.bincount(theirs.ravel()).min() > 0.01 * theirs.size, "random, but not one label everywhere"


class Lobes(torch.nn.Module):
    """Log-probabilities of the six classes of LTRCLobes, the same everywhere."""

    def forward(self, scaled: torch.Tensor) -> torch.Tensor:
        logarithms = torch.log(torch.tensor([0.5, 0.01, 0.02, 0.04, 0.08, 0.35]))
        self.seen = scaled
        return logarithms[None, :, None, None].expand(len(scaled), 6, *scaled.shape[2:])


def test_classes_become_lobes_and_hounsfield_units_become_what_the_network_was_trained_on() -> None:
    network = Lobes()
    hu = torch.tensor([-3000, -1024, -212, 600, 3000], dtype=torch.int16).reshape(1, 1, 1, 5)
    _, served = lungmask.Served(network, 6)(hu)
    assert network.seen.flatten().tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    parts = {lobe: served[0, lobe - 1, 0, 0].item() / 255 for lobe in Lobe}
    expected = {Lobe.LUL: 0.01, Lobe.LLL: 0.02, Lobe.RUL: 0.04, Lobe.RML: 0.08, Lobe.RLL: 0.35}
    assert parts == pytest.approx(expected, abs=0.002)


def install(data: Path, *options: object) -> tuple[int, str]:
    arguments = ["models", "add", "lungmask", *map(str, options)]
    result = CliRunner().invoke(app, arguments, env={"THORACLE_DATA_DIR": str(data)})
    return result.exit_code, " ".join(result.output.split())


def digests(*files: Path) -> list[str]:
    """The option --sha256 for each file."""
    return [word for file in files for word in ("--sha256", hashlib.sha256(file.read_bytes()).hexdigest())]


@pytest.mark.usefixtures("narrow")
def test_both_are_installed_by_one_command(tmp_path: Path) -> None:
    r231, ltrc = save_weights(tmp_path / "r231.pth", 3), save_weights(tmp_path / "ltrc.pth", 6)
    code, output = install(tmp_path, "--weights", ltrc, "--weights", r231, *digests(ltrc, r231))
    assert code == 0, output
    assert "installed lobes version 2" in output
    assert "installed lungs version 1" in output
    assert output.count("largest difference of a probability") == 2
    backend = OnnxBackend(tmp_path / "models", versions={"lobes": "2", "lungs": "1"})
    assert {spec.name: (spec.version, spec.layout) for spec in backend.specs} == {
        "lobes": ("2", "body-crop"),
        "lung-opacity": (LUNG_OPACITY.version, None),
        "lung-shape": (LUNG_SHAPE.version, LUNG_SHAPE.layout),
        "lung-tumour": (LUNG_TUMOUR.version, LUNG_TUMOUR.layout),
        "lungs": ("1", "body-crop"),
        "opacity-context": (OPACITY_CONTEXT.version, OPACITY_CONTEXT.layout),
        "triage-lesion": (TRIAGE_LESION.version, TRIAGE_LESION.layout),
    }


@pytest.mark.usefixtures("narrow")
def test_a_conversion_that_says_something_else_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = lungmask.export

    def wrong(network: torch.nn.Module, *arguments: object) -> object:
        other = copy.deepcopy(network)
        with torch.no_grad():
            other.network.last.bias[1] += 0.01
        return exported(other, *arguments)

    monkeypatch.setattr(lungmask, "export", wrong)
    weights = save_weights(tmp_path / "r231.pth", 3)
    code, output = install(tmp_path, "--weights", weights, *digests(weights))
    assert code == 1
    assert "does not repeat the original" in output
    assert not (tmp_path / "models").exists()


@pytest.mark.usefixtures("narrow")
def test_what_is_no_weight_file_is_said(tmp_path: Path, real: np.ndarray) -> None:
    text = tmp_path / "page.pth"
    text.write_text("<html>404</html>")
    with pytest.raises(Permanent, match=r"page\.pth does not hold weights of a lungmask U-Net"):
        lungmask.convert(text, real)
    other = tmp_path / "other.pth"
    torch.save({"last.bias": torch.zeros(3)}, other)
    with pytest.raises(Permanent, match="does not hold weights of a lungmask U-Net"):
        lungmask.convert(other, real)
    with pytest.raises(Permanent, match="has 4 classes; R231 has 3 and LTRCLobes 6"):
        lungmask.convert(save_weights(tmp_path / "four.pth", 4), real)
    with pytest.raises(Permanent, match="does not hold weights"):
        lungmask.convert(tmp_path / "none.pth", real)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path, real: np.ndarray) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)

    torch.save(Trap(), tmp_path / "trap.pth")
    with pytest.raises(Permanent, match="does not hold weights"):
        lungmask.convert(tmp_path / "trap.pth", real)
    assert not (tmp_path / "sprung").exists()


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A published weight file, named as torch.hub names it, behind an address."""
    content = b"weights"
    path = tmp_path / f"unet_r231-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    path.write_bytes(content)
    monkeypatch.setitem(mask.MODEL_URLS, "R231", (path.as_uri(), 3))
    yield path


def test_published_weights_are_downloaded_and_checked(published: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    assert lungmask.download("R231", tmp_path / "to").read_bytes() == b"weights"
    published.write_bytes(b"damaged")
    with pytest.raises(Permanent, match=r"is damaged: its SHA-256 is .*, and should begin with"):
        lungmask.download("R231", tmp_path / "to")


def test_weights_that_were_brought_have_to_be_the_published_ones(published: Path, tmp_path: Path) -> None:
    renamed, other, data = tmp_path / "r231.pth", tmp_path / "other.pth", tmp_path / "data"
    renamed.write_bytes(published.read_bytes())
    for path in (published, renamed):  # the digest is right: the next check refuses what is no network
        assert "does not hold weights" in install(data, "--weights", path)[1]
    published.write_bytes(b"damaged")
    other.write_bytes(b"damaged")
    digest = hashlib.sha256(b"damaged").hexdigest()
    code, output = install(data, "--weights", published)
    digits = published.stem.rsplit("-", 1)[-1]
    assert (code, f"its SHA-256 is {digest}, and should begin with {digits}" in output) == (1, True)
    code, output = install(data, "--weights", other)
    assert (code, f"is none of the published files: its SHA-256 is {digest}" in output) == (1, True)
    assert f"{digits}... ({published.name})" in output
    assert "does not hold weights" in install(data, "--weights", other, *digests(other))[1]
    assert f"not {'0' * 64}" in install(data, "--weights", other, "--sha256", "0" * 64)[1]
    assert not (data / "models").exists()


def test_a_failed_download_says_what_to_do(published: Path, tmp_path: Path) -> None:
    published.unlink()
    code, output = install(tmp_path / "data")
    assert code == 1
    assert published.as_uri() in output
    assert f"thoracle models add lungmask --weights {published.name}" in output
    assert not (tmp_path / "data" / "models").exists()


def test_too_few_slices_to_compare_on_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="holds no CT series of at least 8 slices"):
        slices.body_crops(tmp_path, 64, lungmask.WINDOW_HU)
