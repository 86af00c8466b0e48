"""Measure the released network through the service's own pipeline, on CTs it was not trained on.

    python -m models.lung_opacity.evaluate --data DIR [--repository triton_repo]

DIR holds dicom/. Writes metrics.json and CARD.md beside this file. The released network learned every labelled
volume, so Dice comes from cross-validation (cross_validation.json, made by `models.lung_opacity.cross_validate`).
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from models.card import write_metrics
from models.statistics import mean_with_interval
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.pipeline import CovidSeverity

from .card import render
from .data import LUNG1, MEDSEG9, read

HERE = Path(__file__).parent
FOLDS_FILE = "cross_validation.json"
DICES = ("lung_dice", "opacity_dice")
LABELLED = ("covid-ct-md/P001", "covid-ct-md/cap001")
WITHOUT_PNEUMONIA = ("covid-ct-md/normal001", "rider-lung")

TUMOURS = {"rider-lung": ((-51.5, 56.3, -121.3), 40.0)}
"""A ball around each tumour, seen in the images: centre in LPS and radius, mm."""


def analyse(ct: CT, backend: OnnxBackend) -> Analysis:
    return CovidSeverity().analyse(ct, backend, lambda stage, done: None)


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return round(float(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth))), 3)


def rank_correlation(folds: Mapping[str, Mapping[str, float]], first: str, second: str) -> float:
    """Spearman's, over the volumes."""
    return round(
        float(spearmanr(*([volume[key] for volume in folds.values()] for key in (first, second))).statistic), 2
    )


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half)."""
    n = int(positive.sum())
    return round(float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))), 3)


@dataclass(frozen=True, slots=True, eq=False)
class ComparingBackend:
    """A labelled volume and what was found in it. lung, opacity: labels, bool (slice, row, column) as `ct`."""

    ct: CT
    lung: NDArray[np.bool_]
    opacity: NDArray[np.bool_]
    result: Analysis


def compare(folder: Path, name: str, backend: OnnxBackend) -> ComparingBackend:
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
    return ComparingBackend(ct, lung, opacity, analyse(ct, backend))


def agreement_with_labels(case: ComparingBackend) -> dict[str, float]:
    """Dice and volumes on the source grid; voxel volumes of medseg9 are nominal."""
    result, total = case.result, case.result.group("LUNG_TOTAL")
    lungs, opacity = result.label_map("lobes").labels > 0, result.label_map("findings").labels > 0
    return {
        "lung_dice": dice(lungs, case.lung),
        "opacity_dice": dice(opacity, case.opacity),
        "lung_ml": round(total["volume_ml"]),
        "labelled_lung_ml": round(np.count_nonzero(case.lung) * case.ct.voxel_ml),
        "opacity_ml": round(total["opacity_ml"], 1),
        "labelled_opacity_ml": round(float(np.count_nonzero(case.opacity) * case.ct.voxel_ml), 1),
    } | _agreement(result)


def _agreement(result: Analysis) -> dict[str, float]:
    values = {one.name: one.value for one in result.uncertainty}
    return {
        "lung_agreement": round(values["agreement_lungs"], 3),
        "opacity_agreement": round(values["agreement_opacities"], 3),
    }


def false_percent(ct: CT, result: Analysis, tumour: tuple[tuple[float, float, float], float] | None) -> float:
    """Opacity as a percentage of the lungs, in a CT without pneumonia, outside the ball around its tumour."""
    outside = np.ones(ct.volume.spatial_shape, np.bool_)
    if tumour:
        centre, radius_mm = tumour
        at = ct.volume.map_reference_to_indices(np.array([centre]))[0]
        axes = np.ogrid[tuple(slice(size) for size in outside.shape)]
        squares = [((axis - a) * mm) ** 2 for axis, a, mm in zip(axes, at, ct.volume.spacing, strict=True)]
        outside = squares[0] + squares[1] + squares[2] > radius_mm**2
    lungs, opacity = (_voxels(result, name, outside) for name in ("lobes", "findings"))
    return round(100.0 * opacity / lungs, 2)


def _voxels(result: Analysis, name: str, where: NDArray[np.bool_]) -> int:
    return np.count_nonzero((result.label_map(name).labels > 0) & where)


def on_dicom(folder: Path, backend: OnnxBackend, infected: dict[str, bool] | None) -> dict[str, Any]:
    """Volumes and flags; with labels per file also the AUC of the opacity area of each slice, without the percentage
    of false opacity."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    ct = read_ct(list(files.values()))
    result = analyse(ct, backend)
    total = result.group("LUNG_TOTAL")
    found: dict[str, Any] = {
        "lung_ml": round(total["volume_ml"]),
        "opacity_ml": round(total["opacity_ml"], 1),
        "opacity_percent": round(total["opacity_percent"], 2),
        "severity": result.headline.value,
        "flags": [flag.code for flag in result.flags],
    } | _agreement(result)
    if infected is None:
        found["false_percent"] = false_percent(ct, result, TUMOURS.get(folder.name))
    else:
        name_of = {str(dataset.SOPInstanceUID): name for name, dataset in files.items()}
        truth = np.array([infected[name_of[uid]] for uid in ct.sop_uids])
        area = np.count_nonzero(result.label_map("findings").labels, (1, 2)).astype(float)
        found |= {"slices": len(truth), "infected_slices": int(truth.sum()), "slice_auc": auc(area, truth)}
    return found


def evaluate(data: Path, backend: OnnxBackend) -> dict[str, Any]:
    metrics: dict[str, Any] = {"trained_on": [*MEDSEG9, *LUNG1], "labelled": {}, "without_pneumonia": {}}
    folds = json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8"))
    metrics["cross_validation"] = {
        "volumes": folds,
        "mean": {key: mean_with_interval([volume[key] for volume in folds.values()]) for key in DICES},
        "rank_correlation": rank_correlation(folds, "opacity_agreement", "opacity_dice"),
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
