"""Measure the lobes on people's drawings and labels, through the service's own code.

    python -m models.lobes.evaluate --data DIR [--repository triton_repo]

DIR holds lobes/ and dicom/. Given the true lungs: Dice on three patients with lobe masks, and of the prior alone on 41
more; distances to the fissures of the three and of five LIDC patients with drawn fissures. In real CTs, with the lungs
and opacities that the pipeline finds: distances to fissures marked where they can be seen, and found opacity per lobe
against radiologists' lobe labels. All but the 41 twice: as the model says ("prior") and as the service gives it
("found").
Writes metrics.json, CARD.md and the pictures of the best, the median and the worst patient.
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
from models.statistics import mean_with_interval
from service.domain.anatomy import Lobe
from service.imaging.lobes import lobes_on_source, lung_boxes
from service.imaging.lungs import Lungs, Side
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.shared.lobes import find_lobes

from .agreement import dice, distances_mm, same_lobe_part, with_slice_labels
from .card import render
from .pictures import overlay
from .summary import summarise
from .truth import FISSURES, Points, Truth, borders, lungs_of, read_drawn, read_luna16, read_masked

HERE = Path(__file__).parent
MASKED = ("Patient1", "Patient2", "Patient3")
DRAWN = ("Patient1", "Patient2", "Patient3", "Patient4", "Patient5")
REAL = ("covid-ct-md/P001", "covid-ct-md/cap001", "rider-lung")

Labels = NDArray[np.uint8]


def patients(folder: Path) -> Iterator[Truth]:
    """folder: Med-RAD_Lungs. One at a time: they are large."""
    yield from (read_masked(folder / "RespiratoryMotionEnvironments" / name) for name in MASKED)
    yield from (read_drawn(folder / "TumorTargetEnvironments" / name) for name in DRAWN)


def predict(ct: hd.Volume, lungs: Lungs, backend: OnnxBackend) -> dict[str, Labels]:
    """Lobe labels on the CT's grid: "prior" and "found"."""
    found = find_lobes(ct, lungs, backend, lambda stage, done: None)
    return {"prior": by_prior(ct, lungs, backend), "found": found}


def by_prior(ct: hd.Volume, lungs: Lungs, backend: OnnxBackend) -> Labels:
    """What the model alone says, which looks at the lungs' boxes only."""
    boxes = lung_boxes(lungs.on_model, backend.spec("lobes").inputs[0].dims[-1])
    answer = backend.infer("lobes", {"lungs": np.stack([boxes[side].array for side in Side])[None]})["probability"][0]
    return lobes_on_source({Side.RIGHT: answer[:3], Side.LEFT: answer[3:]}, boxes, lungs, ct)


def on_luna16(folder: Path, backend: OnnxBackend) -> dict[str, Any]:
    """Dice of the prior per lobe, over the patients: mean with its interval, and the worst."""
    found = {}
    for path in sorted(folder.glob("*.nii.gz")):
        truth = read_luna16(path)
        found[path.name.partition(".")[0]] = dice(by_prior(truth, lungs_of(truth), backend), truth.array)
    by_lobe = {lobe.name: [one[lobe.name] for one in found.values()] for lobe in Lobe}
    by_lobe["all"] = [float(np.mean(list(one.values()))) for one in found.values()]
    return {
        "patients": len(found),
        "mean": {name: mean_with_interval(values) for name, values in by_lobe.items()},
        "worst": {name: round(min(values), 3) for name, values in by_lobe.items()},
    }


def on_patient(truth: Truth, labels: Labels) -> dict[str, Any]:
    """Distances in mm per fissure; with true lobes also Dice."""
    ours = borders(truth.ct.with_array(labels))
    result: dict[str, Any] = {"fissure_mm": {n: distances_mm(truth.fissures[n], ours[n]) for n in FISSURES}}
    result["mean_mm"] = round(float(np.mean([f["mean"] for f in result["fissure_mm"].values()])), 1)
    if truth.lobes is not None:
        result |= {"dice": dice(labels, truth.lobes), "same_lobe_part": same_lobe_part(labels, truth.lobes)}
    return result


def on_ct(folder: Path, said: dict[str, Any] | None, marked: dict[str, Any], backend: OnnxBackend) -> dict[str, Any]:
    """said: the radiologists' lobe labels by file name. marked: points by fissure."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    name_of = {str(dataset.SOPInstanceUID): name for name, dataset in files.items()}
    ct = read_ct(list(files.values()))
    analysis = CovidSeverity().analyse(ct, backend, lambda stage, done: None)
    lungs = lungs_of(ct.volume.with_array(analysis.label_map("lobes").labels))
    result: dict[str, Any] = {}
    for method, labels in predict(ct.volume, lungs, backend).items():
        result[method] = measured = {}
        if marked:
            measured["marked_mm"] = _marked(ct.volume.with_array(labels), marked)
        if said is not None:
            named = [frozenset(Lobe[lobe] for lobe in said[name_of[uid]]["lobes"]) for uid in ct.sop_uids]
            pixel_mm2 = float(np.prod(ct.volume.spacing[1:]))
            opacity = analysis.label_map("findings").labels > 0
            measured["slices"] = with_slice_labels(labels, opacity, named, pixel_mm2)
    return result


def _marked(labels: hd.Volume, marked: dict[str, Points]) -> dict[str, dict[str, float]]:
    ours = borders(labels)
    return {name: {**distances_mm(np.array(p), ours[name]), "points": len(p)} for name, p in marked.items()}


def evaluate(data: Path, backend: OnnxBackend, pictures: Path) -> dict[str, Any]:
    """Every number of the card; `pictures` gets best.png, median.png and worst.png by mean distance."""
    cases: dict[str, Any] = {}
    found = []
    for truth in patients(data / "lobes/Med-RAD_Lungs"):
        labels = predict(truth.ct, truth.lungs, backend)
        cases[truth.name] = {method: on_patient(truth, of) for method, of in labels.items()}
        print(truth.name, json.dumps(cases[truth.name]), flush=True)
        found.append((truth, labels["found"]))
    found.sort(key=lambda pair: cases[pair[0].name]["found"]["mean_mm"])
    for name, pair in (("best", found[0]), ("median", found[len(found) // 2]), ("worst", found[-1])):
        overlay(*pair, pictures / f"{name}.png")
    said = json.loads((data / "dicom/covid-ct-md/labels.json").read_text(encoding="utf-8"))
    marked = json.loads((HERE / "marked.json").read_text(encoding="utf-8"))
    real = {}
    for name in REAL:
        short = Path(name).name
        real[short] = on_ct(data / "dicom" / name, said.get(short), marked.get(short, {}), backend)
        print(short, json.dumps(real[short]), flush=True)
    return {
        "sha256": backend.spec("lobes").sha256,
        "lung_opacity_sha256": backend.spec("lung-opacity").sha256,
        "cases": cases,
        **summarise(cases),
        "luna16": on_luna16(data / "lobes/luna16-lobes", backend),
        "real": real,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with lobes/ and dicom/")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"))
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, OnnxBackend(options.repository), HERE), render)


if __name__ == "__main__":
    main()
