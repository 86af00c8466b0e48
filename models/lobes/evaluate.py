"""Measure the released lobe model on people's drawings and labels, through the service's own code.

    python -m models.lobes.evaluate --data DIR [--repository triton_repo]

DIR holds lobes/Med-RAD_Lungs and dicom/covid-ct-md. Given the true lungs: Dice on three patients with lobe masks, and
the distance of the borders to the fissures of these and of five LIDC patients with drawn fissures. Through the whole
pipeline: found opacity per lobe against the radiologists' lobe labels of two CTs. Nothing of it was used to build the
model. Writes metrics.json, CARD.md and the pictures of the best and the worst patient.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray

from models.card import write_metrics
from service.domain.findings import Lobe
from service.imaging.lobes import lobes_on_source, lung_boxes
from service.imaging.lungs import Lungs, Side
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity import CovidSeverity

from .agreement import average, dice, distances_mm, same_lobe_part, with_slice_labels
from .card import render
from .pictures import overlay
from .truth import FISSURES, Truth, borders, read_drawn, read_masked

HERE = Path(__file__).parent
MASKED = ("Patient1", "Patient2", "Patient3")
DRAWN = ("Patient1", "Patient2", "Patient3", "Patient4", "Patient5")
LABELLED = ("P001", "cap001")


def patients(folder: Path) -> Iterator[Truth]:
    """folder: Med-RAD_Lungs. One at a time: they are large."""
    yield from (read_masked(folder / "RespiratoryMotionEnvironments" / name) for name in MASKED)
    yield from (read_drawn(folder / "TumorTargetEnvironments" / name) for name in DRAWN)


def predict(grid: hd.Volume, lungs: Lungs, backend: OnnxBackend) -> NDArray[np.uint8]:
    """Lobe labels on the grid."""
    boxes = lung_boxes(lungs.on_model, backend.spec("lobes").inputs[0].dims[-1])
    answer = backend.infer("lobes", {"lungs": np.stack([boxes[side].array for side in Side])[None]})["probability"][0]
    return lobes_on_source({Side.RIGHT: answer[:3], Side.LEFT: answer[3:]}, boxes, lungs, grid)


def on_patient(truth: Truth, found: NDArray[np.uint8]) -> dict[str, Any]:
    """Distances in mm per fissure; with true lobes also Dice."""
    ours = borders(truth.grid.with_array(found))
    result: dict[str, Any] = {"fissure_mm": {n: distances_mm(truth.fissures[n], ours[n]) for n in FISSURES}}
    result["mean_mm"] = round(float(np.mean([f["mean"] for f in result["fissure_mm"].values()])), 1)
    if truth.lobes is not None:
        result |= {"dice": dice(found, truth.lobes), "same_lobe_part": same_lobe_part(found, truth.lobes)}
    return result


def on_slices(folder: Path, labels: dict[str, Any], backend: OnnxBackend) -> dict[str, Any]:
    """labels: the radiologists' words by file name."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    name_of = {str(dataset.SOPInstanceUID): name for name, dataset in files.items()}
    ct = read_ct(list(files.values()))
    result = CovidSeverity().analyse(ct, backend, lambda stage, done: None)
    said = [frozenset(Lobe[lobe] for lobe in labels[name_of[uid]]["lobes"]) for uid in ct.sop_uids]
    rows_mm, columns_mm = ct.volume.spacing[1:]
    return with_slice_labels(result.lobe_mask, result.finding_mask > 0, said, rows_mm * columns_mm)


def evaluate(data: Path, backend: OnnxBackend, pictures: Path) -> dict[str, Any]:
    """Every number of the card; `pictures` gets best.png and worst.png by mean distance."""
    cases: dict[str, Any] = {}
    best, worst = np.inf, -np.inf
    for truth in patients(data / "lobes/Med-RAD_Lungs"):
        found = predict(truth.grid, truth.lungs, backend)
        cases[truth.name] = measured = on_patient(truth, found)
        print(truth.name, json.dumps(measured), flush=True)
        if measured["mean_mm"] < best:
            best = measured["mean_mm"]
            overlay(truth, found, pictures / "best.png")
        if measured["mean_mm"] > worst:
            worst = measured["mean_mm"]
            overlay(truth, found, pictures / "worst.png")
    labels = json.loads((data / "dicom/covid-ct-md/labels.json").read_text())
    slices = {}
    for name in LABELLED:
        slices[name] = on_slices(data / "dicom/covid-ct-md" / name, labels[name], backend)
        print(name, json.dumps(slices[name]), flush=True)
    return {
        "sha256": backend.spec("lobes").sha256,
        "lung_opacity_sha256": backend.spec("lung-opacity").sha256,
        "cases": cases,
        "mean_dice": average([case["dice"] for case in cases.values() if "dice" in case], 3),
        "mean_fissure_mm": {n: average([c["fissure_mm"][n] for c in cases.values()], 1) for n in FISSURES},
        "slices": slices,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with lobes/ and dicom/")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"))
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, OnnxBackend(options.repository), HERE), render)


if __name__ == "__main__":
    main()
