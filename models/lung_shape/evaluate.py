"""Measure the network of the lungs' shape, and write its card.

    python -m models.lung_shape.evaluate --data DIR [--weights models/runs/lung_shape/weights.pt] [--repository DIR]

DIR holds lobes/, train/ and dicom/. Of lungs that it has not learned: masses taken away, and what is found of them
again. Of CTs, none of which it has learned, by the functions of the service: what is added to the lungs that
`lung-opacity` found, beside labels where there are some.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import dcmread

from models.card import write_metrics
from models.lung_opacity.data import LUNG1, MEDSEG9
from models.lung_opacity.data import read as read_source
from models.lung_opacity.evaluate import dice
from models.opacity_context.cases import Case
from models.opacity_context.cases import read as read_case
from models.opacity_context.data import CLEAR
from models.repository import ROOT, model_path
from models.training import config
from service.domain.ct import CT
from service.imaging.harmonise import MODEL_ORIENTATION
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import slice_answers, with_dense_lung, without_dense_lung

from .boxes import Boxes
from .card import render
from .network import build
from .spec import SPEC
from .train import HERE, OUT, Config, measured

UNLABELLED = ("covid-ct-md/P001", "covid-ct-md/cap001")

_TUMOUR = 3

Mask = NDArray[np.bool_]


def on_masks(data: Path, weights: Path) -> dict[str, Any]:
    """Measure the network on the patients that were held out in the training."""
    held_out = tuple(config.read(Config, HERE / "train.toml", {}).held_out)
    network = build()
    network.load_state_dict(torch.load(weights, weights_only=True))
    return {"patients": len(held_out)} | measured(network, Boxes.read(data / "lobes/luna16-lobes").of(held_out))


def on_ct(data: Path, name: str, backend: OnnxBackend) -> dict[str, Any]:
    """mL added, and where it is labelled what that changes."""
    case = _unlabelled(data, name) if name in UNLABELLED else read_case(data, name)
    before, after = _lungs(case.ct, backend)
    added = after & ~before
    found: dict[str, Any] = {"lung_ml": _ml(before, case), "added_ml": _ml(added, case)}
    if case.lung is not None:
        found["dice"] = [dice(before, case.lung), dice(after, case.lung)]
    if name in LUNG1:
        tumour = _tumour(data, name)
        found["tumour_ml"] = _ml(tumour, case)
        found["tumour_inside_percent"] = [round(100.0 * float(lungs[tumour].mean()), 1) for lungs in (before, after)]
    return found


def _unlabelled(data: Path, name: str) -> Case:
    """One DICOM series of which nobody labelled anything that is measured here."""
    ct = read_ct([dcmread(path) for path in sorted((data / "dicom" / name).glob("*.dcm"))])
    nothing = np.zeros(ct.volume.spatial_shape, np.bool_)
    return Case(ct, nothing, ~nothing, None)


def _lungs(ct: CT, backend: OnnxBackend) -> tuple[Mask, Mask]:
    """Without and with what is added."""
    answers = slice_answers(ct, backend, lambda done: None)
    found = without_dense_lung(ct, answers, backend, lambda done: None)
    return found.on_source > 0, with_dense_lung(found, answers.grid, ct.volume, backend).on_source > 0


def _ml(mask: Mask, case: Case) -> float:
    return round(float(np.count_nonzero(mask)) * case.ct.voxel_ml, 1)


def _tumour(data: Path, name: str) -> Mask:
    """As `read_case` has the CT: a slice of air at both ends."""
    source = read_source(data / "train", name)
    labels = source.hu.with_array(source.labels).to_patient_orientation(MODEL_ORIENTATION)
    return np.asarray(labels.pad([(1, 1), (0, 0), (0, 0)], constant_value=0).array == _TUMOUR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with lobes/, train/ and dicom/")
    parser.add_argument("--weights", type=Path, default=OUT / "weights.pt", help="default: %(default)s")
    parser.add_argument("--repository", type=Path, default=ROOT)
    options = parser.parse_args()
    backend = OnnxBackend(options.repository)
    cases = {}
    for name in dict.fromkeys((*LUNG1, *MEDSEG9, *CLEAR, *UNLABELLED)):
        cases[name] = on_ct(options.data, name, backend)
        print(name, cases[name], flush=True)
    file = model_path(SPEC, options.repository)
    metrics = {"sha256": backend.spec(SPEC.name).sha256, "bytes": file.stat().st_size}
    write_metrics(HERE, metrics | {"masks": on_masks(options.data, options.weights), "cases": cases}, render)


if __name__ == "__main__":
    main()
