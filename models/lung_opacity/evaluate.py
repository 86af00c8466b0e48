"""Measure the released network through the service's own pipeline, on CTs it was not trained on.

    python -m models.lung_opacity.evaluate --data DIR [--repository triton_repo]

DIR holds dicom/. Writes metrics.json and CARD.md beside this file. The released network learned every labelled
volume, so Dice comes from cross-validation (cross_validation.json, made by `models.lung_opacity.cross_validate`).
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.card import write_metrics
from models.statistics import mean_with_interval
from service.domain.ct import CT
from service.domain.flags import Flag
from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import slice_answers, without_dense_lung
from service.pipelines.shared.opacities import find_opacities

from .card import render
from .data import LUNG1, MEDSEG9, read

HERE = Path(__file__).parent
FOLDS_FILE = "cross_validation.json"
DICES = ("lung_dice", "opacity_dice")
LABELLED = ("covid-ct-md/P001", "covid-ct-md/cap001")
WITHOUT_PNEUMONIA = ("covid-ct-md/normal001", "rider-lung")

TUMOURS = {"rider-lung": ((-51.5, 56.3, -121.3), 40.0)}
"""A ball around each tumour, seen in the images: centre in LPS and radius, mm."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """lungs, opacity: bool (slice, row, column) of the CT, opacity within the lungs. flags: about the lungs."""

    lungs: Mask
    opacity: Mask
    flags: tuple[Flag, ...]

    @property
    def opacity_percent(self) -> float:
        return 100.0 * np.count_nonzero(self.opacity) / np.count_nonzero(self.lungs)


def find(ct: CT, backend: OnnxBackend) -> Found:
    """What this network alone finds, by the functions of the service."""
    answers = slice_answers(ct, backend, lambda done: None)
    lungs = without_dense_lung(ct, answers, backend, lambda done: None)
    opacity = find_opacities(answers.grid.with_array(answers.opacity), lungs.on_model.array > 0, ct.volume)
    inside = lungs.on_source > 0
    return Found(inside, opacity & inside, lungs.flags)


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return round(float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))), 3)


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half)."""
    n = int(positive.sum())
    return round(float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))), 3)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A labelled volume and what was found in it. lung, opacity: labels, bool (slice, row, column) as `ct`."""

    ct: CT
    lung: Mask
    opacity: Mask
    found: Found


def compare(folder: Path, name: str, backend: OnnxBackend) -> Compared:
    """One volume of medseg9 through the service.

    A slice of air is put at both ends: some volumes hold a part of the lungs only, which the service would refuse.
    """
    source = read(folder, name)
    assert source.opacity is not None

    def oriented(array: NDArray[Any], outside: float) -> hd.Volume:
        volume = source.hu.with_array(array).to_patient_orientation(MODEL_ORIENTATION)
        return volume.pad([(1, 1), (0, 0), (0, 0)], constant_value=outside)

    ct = CT((), oriented(source.hu.array, AIR_HU))
    lung, opacity = (oriented(mask.astype(np.uint8), 0).array > 0 for mask in (source.lung, source.opacity))
    return Compared(ct, lung, opacity, find(ct, backend))


def agreement_with_labels(case: Compared) -> dict[str, float]:
    """Dice and volumes on the source grid; voxel volumes of medseg9 are nominal."""
    ml = case.ct.voxel_ml
    return {
        "lung_dice": dice(case.found.lungs, case.lung),
        "opacity_dice": dice(case.found.opacity, case.opacity),
        "lung_ml": round(np.count_nonzero(case.found.lungs) * ml),
        "labelled_lung_ml": round(np.count_nonzero(case.lung) * ml),
        "opacity_ml": round(float(np.count_nonzero(case.found.opacity) * ml), 1),
        "labelled_opacity_ml": round(float(np.count_nonzero(case.opacity) * ml), 1),
    }


def false_percent(ct: CT, found: Found, tumour: tuple[tuple[float, float, float], float] | None) -> float:
    """Opacity as a percentage of the lungs, in a CT without pneumonia, outside the ball around its tumour."""
    outside = np.ones(ct.volume.spatial_shape, np.bool_)
    if tumour:
        centre, radius_mm = tumour
        at = ct.volume.map_reference_to_indices(np.array([centre]))[0]
        axes = np.ogrid[tuple(slice(size) for size in outside.shape)]
        squares = [((axis - a) * mm) ** 2 for axis, a, mm in zip(axes, at, ct.volume.spacing, strict=True)]
        outside = squares[0] + squares[1] + squares[2] > radius_mm**2
    lungs, opacity = (np.count_nonzero(mask & outside) for mask in (found.lungs, found.opacity))
    return round(100.0 * opacity / lungs, 2)


def on_dicom(folder: Path, backend: OnnxBackend, infected: dict[str, bool] | None) -> dict[str, Any]:
    """Volumes and flags; with labels per file also the AUC of the opacity area of each slice, without the percentage
    of false opacity."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    ct = read_ct(list(files.values()))
    said = find(ct, backend)
    found: dict[str, Any] = {
        "lung_ml": round(np.count_nonzero(said.lungs) * ct.voxel_ml),
        "opacity_ml": round(float(np.count_nonzero(said.opacity) * ct.voxel_ml), 1),
        "opacity_percent": round(said.opacity_percent, 2),
        "flags": [flag.code for flag in said.flags],
    }
    if infected is None:
        found["false_percent"] = false_percent(ct, said, TUMOURS.get(folder.name))
    else:
        name_of = {str(dataset.SOPInstanceUID): name for name, dataset in files.items()}
        truth = np.array([infected[name_of[uid]] for uid in ct.sop_uids])
        area = np.count_nonzero(said.opacity, (1, 2)).astype(float)
        found |= {"slices": len(truth), "infected_slices": int(truth.sum()), "slice_auc": auc(area, truth)}
    return found


def evaluate(data: Path, backend: OnnxBackend) -> dict[str, Any]:
    metrics: dict[str, Any] = {"trained_on": [*MEDSEG9, *LUNG1], "labelled": {}, "without_pneumonia": {}}
    folds = json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8"))
    metrics["cross_validation"] = {
        "volumes": folds,
        "mean": {key: mean_with_interval([volume[key] for volume in folds.values()]) for key in DICES},
    }
    labels = json.loads((data / "dicom/covid-ct-md/labels.json").read_text(encoding="utf-8"))
    for group, names in (("labelled", LABELLED), ("without_pneumonia", WITHOUT_PNEUMONIA)):
        for name in names:
            of_case = labels.get(Path(name).name)
            infected = of_case and {file: bool(label["infected"]) for file, label in of_case.items()}
            metrics[group][name] = on_dicom(data / "dicom" / name, backend, infected)
            print(name, json.dumps(metrics[group][name]), flush=True)
    return metrics | {"sha256": backend.spec("lung-opacity").sha256}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with dicom/")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"))
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, OnnxBackend(options.repository)), render)


if __name__ == "__main__":
    main()
