"""The networks of the package `lungmask` (Apache-2.0; Hofmanninger 2020, doi:10.1186/s41747-020-00173-2).

R231 (3 classes: background, right lung, left lung) becomes the model `lungs`, LTRCLobes (6 classes: background and five
lobes) becomes `lobes`. R231CovidWeb is another R231. The number of classes tells which one a weight file is.
"""

import hashlib
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import onnxruntime as ort
import torch
from lungmask.mask import MODEL_URLS
from lungmask.resunet import UNet
from numpy.typing import NDArray
from torch import nn

from converters.onnx_export import export
from converters.onnx_graph import without_output
from service.domain.anatomy import Lobe
from service.domain.model_spec import ModelSpec, TensorSpec
from service.errors import Permanent
from service.inference.conversion import Fidelity, check_conversion
from service.pipelines.shared.model_roles import LOBES, LUNGS

SIZE = 256
WINDOW_HU = (-1024, 600)
PUBLISHED = ("R231", "LTRCLobes")

MAX_BATCH = 2
"""Slices; twice as many saves a tenth of the time on a CPU and costs 0.4 GiB for both networks."""

_LOBES = {Lobe.LUL: 1, Lobe.LLL: 2, Lobe.RUL: 3, Lobe.RML: 4, Lobe.RLL: 5}
"""The classes of LTRCLobes, as the package's documentation numbers them."""

_LUNG_CLASSES, _LOBE_CLASSES = 3, 6
_FLOAT = "probability_float"
_PLANE = ("row to P", "column to L")
_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Converted:
    """An ONNX file, without its spec inside, and what is known of it."""

    model: bytes
    spec: ModelSpec
    fidelity: Fidelity


class Served(nn.Module):  # type: ignore[misc]
    """The network with what belongs before and after it: INT16 HU in, UINT8 probabilities (255 = certain) out."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        self.lobes = [_LOBES[lobe] for lobe in Lobe] if classes == _LOBE_CLASSES else None

    def forward(self, hu: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """hu: (batch, 1, row, column). Returns the probabilities of all classes, and the served ones as UINT8."""
        low, high = WINDOW_HU
        scaled = (hu.to(torch.float32).clamp(low, high) - low) / (high - low)
        probability = self.network(scaled).exp()
        if self.lobes is None:
            lung, other = probability[:, 1:].amax(1, keepdim=True), probability[:, :1]
            served = lung / (lung + other)  # at least 0.5 where the package's label is a lung
        else:
            served = probability[:, self.lobes]
        return probability, torch.round(255.0 * served).to(torch.uint8)


def convert(weights: Path, hu: NDArray[np.int16]) -> Converted:
    """Weights as published (a state dict) to an ONNX graph.

    hu: real slices to compare torch and ONNX Runtime on, as `imaging.body_crop` makes them, (slice, 1, SIZE, SIZE).
    Permanent if the file is not such weights, or if ONNX Runtime does not repeat torch.
    """
    network, classes = _network(weights)
    spec = _spec(weights, classes)
    taken, given = spec.inputs[0].name, spec.outputs[0].name
    served = Served(network, classes).eval()
    model = export(served, torch.zeros((2, 1, SIZE, SIZE), dtype=torch.int16), taken, [_FLOAT, given], MAX_BATCH)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    original, converted = [], []
    for slices in hu[:, None]:
        with torch.inference_mode():
            original.append(served(torch.from_numpy(slices))[0].numpy())
        converted.append(session.run([_FLOAT], {taken: slices})[0])
    fidelity = check_conversion(np.concatenate(original), np.concatenate(converted))
    return Converted(without_output(model, _FLOAT), spec, fidelity)


def download(name: str, folder: Path) -> Path:
    """Published weights, by the address that the package names, into `folder`.

    The first digits of the file's SHA-256 stand in its name (the convention of torch.hub) and are compared. Permanent,
    saying what to do instead, if it cannot be had.
    """
    url: str = MODEL_URLS[name][0]
    path = folder / url.rsplit("/", 1)[-1]
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, path.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, HTTPException) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        raise Permanent(
            f"The weights {name} cannot be downloaded from {url} ({reason}). Fetch that file on a machine that can, "
            f"bring it here, and run: thoracle models add lungmask --weights {path.name}"
        ) from exc
    digits, digest = _digits(path.name), hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest.startswith(digits):
        raise Permanent(f"What came from {url} is damaged: its SHA-256 is {digest}, and should begin with {digits}.")
    return path


def check_published(path: Path, digest: str) -> None:
    """Compare the digest of a weight file that was brought here with the published one; Permanent if it is another.

    digest: SHA-256 of the file. The published files have the first digits of it in their names; a file with another
    name counts as published if its digest begins with any of them.
    """
    published = [url.rsplit("/", 1)[-1] for url, _ in MODEL_URLS.values()]
    if path.name in published:
        if not digest.startswith(_digits(path.name)):
            begin = _digits(path.name)
            raise Permanent(
                f"{path} is not the published file: its SHA-256 is {digest}, and should begin with {begin}."
            )
    elif not any(digest.startswith(_digits(name)) for name in published):
        known = ", ".join(f"{_digits(name)}... ({name})" for name in published)
        raise Permanent(
            f"{path} is none of the published files: its SHA-256 is {digest}, and theirs begin with {known}. If it is "
            "the file that you want, name its digest with --sha256."
        )


def _digits(name: str) -> str:
    """The first digits of the SHA-256 of a published file, which stand in its name; Permanent if there are none."""
    digits = Path(name).stem.rsplit("-", 1)[-1]
    if len(digits) < _HASH_DIGITS:
        raise Permanent(f"The name {name} does not tell the digest of the file.")
    return digits


def _network(weights: Path) -> tuple[nn.Module, int]:
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        classes = len(state["last.bias"])
        network = UNet(n_classes=classes, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
        network.load_state_dict(state)
    except (OSError, UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as exc:
        why = " ".join(str(exc).split())[:200]
        raise Permanent(f"{weights} does not hold weights of a lungmask U-Net ({type(exc).__name__}: {why}).") from exc
    if classes not in (_LUNG_CLASSES, _LOBE_CLASSES):
        raise Permanent(f"{weights} has {classes} classes; R231 has {_LUNG_CLASSES} and LTRCLobes {_LOBE_CLASSES}.")
    return network.eval(), classes


def _spec(weights: Path, classes: int) -> ModelSpec:
    name, channels = (
        (LUNGS.name, ("lung",)) if classes == _LUNG_CLASSES else (LOBES.name, tuple(lobe.name for lobe in Lobe))
    )
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    plane = (SIZE, SIZE)
    return ModelSpec(
        name=name,
        version="",
        inputs=(TensorSpec("hu", "int16", (1, *plane), ("channel", *_PLANE)),),
        outputs=(TensorSpec("probability", "uint8", (len(channels), *plane), (", ".join(channels), *_PLANE)),),
        max_batch=MAX_BATCH,
        window_hu=WINDOW_HU,
        thresholds={"lung": 0.5} if name == LUNGS.name else {},
        licence="Apache-2.0, as the package lungmask",
        layout="body-crop",
        source=f"lungmask {version('lungmask')}, {weights.name}, SHA-256 {digest}",
    )
