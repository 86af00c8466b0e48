"""Measure the released network through the service's own pipeline, on CTs it was not trained on.

    python -m models.lung_opacity.evaluate --data DIR [--repository triton_repo]

DIR holds train/ (volumes held out) and dicom/. Writes metrics.json and CARD.md beside this file.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy.stats import rankdata

from models.card import write_metrics
from service.domain.ct import CT
from service.domain.findings import Analysis
from service.imaging.harmonise import MODEL_ORIENTATION
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity import CovidSeverity

from .card import render
from .data import HELD_OUT, TRAIN, read

HERE = Path(__file__).parent
LABELLED = ("covid-ct-md/P001", "covid-ct-md/cap001")
WITHOUT_PNEUMONIA = ("covid-ct-md/normal001", "rider-lung")


def analyse(ct: CT, backend: OnnxBackend) -> Analysis:
    return CovidSeverity().analyse(ct, backend, lambda stage, done: None)


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return round(2 * np.count_nonzero(found & truth) / (np.count_nonzero(found) + np.count_nonzero(truth)), 3)


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve (Mann-Whitney, ties count half)."""
    n = int(positive.sum())
    return round(float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))), 3)


def held_out(folder: Path, name: str, backend: OnnxBackend) -> dict[str, Any]:
    """Dice against the labels on the source grid."""
    source = read(folder, name)

    def oriented(array: NDArray[Any]) -> hd.Volume:
        return source.hu.with_array(array).to_patient_orientation(MODEL_ORIENTATION)

    lung, opacity = oriented(source.lung).array, oriented(source.opacity).array
    ct = CT((), oriented(source.hu.array))
    result = analyse(ct, backend)
    return {
        "lung_dice": dice(result.lobe_mask > 0, lung),
        "opacity_dice": dice(result.finding_mask > 0, opacity),
        "lung_ml": round(result.lungs["total"].volume_ml),
        "labelled_lung_ml": round(np.count_nonzero(lung) * ct.voxel_ml),
        "opacity_ml": round(result.lungs["total"].opacity_ml, 1),
        "labelled_opacity_ml": round(np.count_nonzero(opacity) * ct.voxel_ml, 1),
    }


def on_dicom(folder: Path, backend: OnnxBackend, infected: dict[str, bool] | None) -> dict[str, Any]:
    """Volumes and flags; with labels per file also the AUC of the opacity area of each slice."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    ct = read_ct(list(files.values()))
    result = analyse(ct, backend)
    total = result.lungs["total"]
    found: dict[str, Any] = {
        "lung_ml": round(total.volume_ml),
        "opacity_ml": round(total.opacity_ml, 1),
        "opacity_percent": round(total.opacity_percent, 2),
        "severity": result.severity.total,
        "flags": [flag.value for flag in result.flags],
    }
    if infected is not None:
        name_of = {str(dataset.SOPInstanceUID): name for name, dataset in files.items()}
        truth = np.array([infected[name_of[uid]] for uid in ct.sop_uids])
        area = np.count_nonzero(result.finding_mask, (1, 2)).astype(float)
        found |= {"slices": len(truth), "infected_slices": int(truth.sum()), "slice_auc": auc(area, truth)}
    return found


def evaluate(data: Path, backend: OnnxBackend) -> dict[str, Any]:
    metrics: dict[str, Any] = {"trained_on": list(TRAIN), "held_out": {}, "labelled": {}, "without_pneumonia": {}}
    for name in HELD_OUT:
        metrics["held_out"][name] = held_out(data / "train", name, backend)
        print(name, json.dumps(metrics["held_out"][name]), flush=True)
    labels = json.loads((data / "dicom/covid-ct-md/labels.json").read_text())
    for group, names in (("labelled", LABELLED), ("without_pneumonia", WITHOUT_PNEUMONIA)):
        for name in names:
            of_case = labels.get(Path(name).name)
            infected = of_case and {file: bool(label["infected"]) for file, label in of_case.items()}
            metrics[group][name] = on_dicom(data / "dicom" / name, backend, infected)
            print(name, json.dumps(metrics[group][name]), flush=True)
    return metrics | {"sha256": backend.spec("lung-opacity").sha256}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"))
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, OnnxBackend(options.repository)), render)


if __name__ == "__main__":
    main()
