"""Measure the released lobe model on lobe masks that it never saw, through the service's own code.

    python -m models.lobes.evaluate --data DIR [--repository triton_repo]

DIR is RespiratoryMotionEnvironments of Med-RAD: five lobe masks of three patients. Their true lungs are given to the
model, so the numbers say how good the lobes are when the lungs are right. Writes metrics.json and CARD.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray

from models.card import write_metrics
from service.domain.findings import Lobe
from service.imaging.harmonise import MODEL_ORIENTATION, PlaneGrid, resample_like, to_plane_grid
from service.imaging.lobes import LOBES_OF, lobes_on_source, lung_boxes
from service.imaging.lungs import Lungs, Side
from service.inference.onnx import OnnxBackend

from .card import render

HERE = Path(__file__).parent
PATIENTS = ("Patient1", "Patient2", "Patient3")
LUNG_GRID = PlaneGrid(spacing_mm=1.5, size=256)
"""The grid on which the service finds lungs."""


def read_lobes(folder: Path) -> hd.Volume:
    """Labels `Lobe`, every second voxel in each direction of fine scans to save memory."""
    labels = None
    for lobe in Lobe:
        image = hd.Volume.from_nibabel(nibabel.load(folder / f"{lobe.name}.nii.gz"))
        if labels is None:
            labels = image.with_array(np.zeros(image.spatial_shape, np.uint8))
        labels.array[image.array > 0] = lobe
    assert labels is not None
    fine = labels.spacing[2] < 1.0
    return (labels[::2, ::2, ::2] if fine else labels).to_patient_orientation(MODEL_ORIENTATION)


def true_lungs(labels: hd.Volume) -> Lungs:
    """The lungs as the service would hand them to the lobe model."""
    sides = np.zeros(labels.spatial_shape, np.uint8)
    for side, lobes in LOBES_OF.items():
        sides[np.isin(labels.array, lobes)] = side
    grid = to_plane_grid(labels.with_array(np.where(sides > 0, -850.0, 40.0)), LUNG_GRID)
    on_model = np.zeros(grid.spatial_shape, np.uint8)
    for side in Side:
        on_model[resample_like(labels.with_array((sides == side) * np.uint8(255)), grid) >= 128] = side
    return Lungs(grid.with_array(on_model), sides, ())


def predict(labels: hd.Volume, backend: OnnxBackend) -> NDArray[np.uint8]:
    """Lobe labels on the grid of the true ones."""
    lungs = true_lungs(labels)
    boxes = lung_boxes(lungs.on_model, backend.spec("lobes").inputs[0].dims[-1])
    answer = backend.infer("lobes", {"lungs": np.stack([boxes[side].array for side in Side])[None]})["probability"][0]
    return lobes_on_source({Side.RIGHT: answer[:3], Side.LEFT: answer[3:]}, boxes, lungs, labels)


def evaluate(data: Path, backend: OnnxBackend) -> dict[str, Any]:
    """Dice per patient and lobe, and the part of the lungs with the right lobe."""
    cases = {}
    for patient in PATIENTS:
        truth = read_lobes(data / patient)
        found = predict(truth, backend)
        hits = {lobe: np.count_nonzero((found == lobe) & (truth.array == lobe)) for lobe in Lobe}
        sizes = {lobe: np.count_nonzero(found == lobe) + np.count_nonzero(truth.array == lobe) for lobe in Lobe}
        dice = {lobe.name: round(2 * hits[lobe] / sizes[lobe], 3) for lobe in Lobe}
        cases[patient] = {"dice": dice, "right_lobe_part": round(sum(hits.values()) / np.count_nonzero(found), 3)}
        print(patient, json.dumps(cases[patient]), flush=True)
    mean = {lobe.name: round(float(np.mean([c["dice"][lobe.name] for c in cases.values()])), 3) for lobe in Lobe}
    return {"cases": cases, "mean_dice": mean, "sha256": backend.spec("lobes").sha256}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder RespiratoryMotionEnvironments")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"))
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, OnnxBackend(options.repository)), render)


if __name__ == "__main__":
    main()
