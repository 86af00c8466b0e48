"""Measure how much opacity the service finds in lobes without pneumonia, and what the noise floor does to every score.

    python -m models.opacity_context.noise_floor --data DIR [--folds models/runs/opacity_context_folds] [--only ...]

DIR holds dicom/ and train/. What the released network has learned is measured by the fold of the cross-validation
(`models.opacity_context.cross_validate`) that has not. Writes noise_floor.json beside this file and renders CARD.md.
--only: measure these cases again and no other (none: score again, after the floor in spec.py has changed); the network
must be the same. Then `python -m models.export opacity-context --spec-only` embeds the floor in the model file.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.card import METRICS, write_metrics
from models.lung_opacity.data import MEDSEG9
from models.repository import ROOT, model_path, network_digest
from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.covid_severity.score import NoiseFloor, severity
from service.pipelines.shared.measure import Region

from .card import render
from .cross_validate import FOLDS, RUNS
from .noise_card import NOISE
from .series import CAP001, LIDC_1, LIDC_2, LIDC_3, NORMAL, P001, RIDER, Point, Series, load
from .spec import NOISE_FLOOR, SPEC

HERE = Path(__file__).parent
PERCENTILE = 95

LESION_RADIUS_MM = 8.0

Mask = NDArray[np.bool_]


SERIES = (
    *(NORMAL, RIDER, *RIDER.halves, LIDC_1, *LIDC_1.halves, LIDC_2, LIDC_3, *LIDC_3.halves),
    *(P001, *P001.halves, CAP001, *(Series(f"train/{name}", True) for name in MEDSEG9)),
)


def measure(ct: CT, series: Series, result: Analysis) -> dict[str, Any]:
    """Opacity of every lobe, and without pneumonia what of it is false: all that touches no known lesion."""
    opacity, labels = result.label_map("findings").labels > 0, result.label_map("lobes").labels
    false = None if series.pneumonia else away_from(ct.volume, opacity, series.lesions)
    lobes = {}
    for lobe in Lobe:
        region = result.group(lobe.name)
        lobes[lobe.name] = {"volume_ml": round(region["volume_ml"], 2), "opacity_ml": round(region["opacity_ml"], 3)}
        if false is not None:
            voxels = np.count_nonzero(false & (labels == lobe))
            lobes[lobe.name]["false_ml"] = round(float(voxels * ct.voxel_ml), 3)
    return {
        "pneumonia": series.pneumonia,
        "lesions": len(series.lesions),
        "slice_distance_mm": round(ct.volume.spacing[0], 2),
        "lobes": lobes,
    }


def away_from(volume: hd.Volume, opacity: Mask, points: tuple[Point, ...]) -> Mask:
    """Opacity without its connected parts that come within `LESION_RADIUS_MM` of one of the points (LPS mm)."""
    parts, _ = ndimage.label(opacity, np.ones((3, 3, 3)))
    axes = np.ogrid[tuple(slice(size) for size in opacity.shape)]
    touched = {0}
    for at in volume.map_reference_to_indices(np.array(points)) if points else ():
        squares = [((axis - a) * mm) ** 2 for axis, a, mm in zip(axes, at, volume.spacing, strict=True)]
        touched |= set(np.unique(parts[squares[0] + squares[1] + squares[2] < LESION_RADIUS_MM**2]).tolist())
    return np.asarray(~np.isin(parts, list(touched)))


def scores(case: Mapping[str, Any], floor: NoiseFloor = NOISE_FLOOR) -> dict[str, Any]:
    """A measured case's score by the published rule, and the reported one."""
    found = severity(
        {name: Region(lobe["volume_ml"], lobe["opacity_ml"], 0.0, None) for name, lobe in case["lobes"].items()}, floor
    )
    return {
        "published": {"score": found.without_floor.total, "category": found.without_floor.category},
        "reported": {"score": found.total, "category": found.category},
    }


def false_opacity(cases: Mapping[str, Any]) -> list[Region]:
    """False opacity of every lobe of every case without pneumonia."""
    lobes = [lobe for case in cases.values() if not case["pneumonia"] for lobe in case["lobes"].values()]
    return [Region(lobe["volume_ml"], lobe["false_ml"], 0.0, None) for lobe in lobes]


def summary(cases: Mapping[str, Any], floor: NoiseFloor = NOISE_FLOOR) -> dict[str, Any]:
    """How the floor lies to the false opacity that was found."""
    regions = false_opacity(cases)
    values = {"ml": [r.opacity_ml for r in regions], "percent": [r.opacity_percent for r in regions]}
    return {
        "floor": asdict(floor),
        "lobes": len(regions),
        "lobes_above": sum(not floor.covers(region) for region in regions),
        **{
            f"percentile_{PERCENTILE}_{unit}": round(float(np.percentile(v, PERCENTILE)), 2)
            for unit, v in values.items()
        },
        **{f"largest_{unit}": round(max(v), 2) for unit, v in values.items()},
    }


def evaluate(data: Path, folds: Path, repository: Path, only: list[str] | None) -> dict[str, Any]:
    """Every case, or those named and of the others what was measured before; ValueError if that was another network.

    A CT that the released network has learned is measured by the fold that has not.
    """
    digest = network_digest(model_path(SPEC, repository))
    before = (
        {"cases": {}, "network_sha256": digest}
        if only is None
        else json.loads((HERE / NOISE).read_text(encoding="utf-8"))
    )
    if before["network_sha256"] != digest:
        raise ValueError(f"{NOISE} was measured on another network: measure all cases again")
    cases = before["cases"]
    for series in SERIES:
        if only is None or series.name in only:
            backend = OnnxBackend(repository_of(series, folds, repository))
            ct = load(data, series)
            found = measure(ct, series, CovidSeverity().analyse(ct, backend, lambda stage, done: None))
            cases[series.name] = found | {"sha256": backend.spec(SPEC.name).sha256}
            print(series.name, json.dumps(cases[series.name]), flush=True)
    scored = {series.name: cases[series.name] | scores(cases[series.name]) for series in SERIES}
    return {"network_sha256": digest, "summary": summary(scored), "cases": scored}


def repository_of(series: Series, folds: Path, released: Path) -> Path:
    """The model repository of the fold that has not learned a series; the released one if none has."""
    name = series.name.partition(",")[0]
    for number, held_out in enumerate(FOLDS, 1):
        if name in held_out:
            return folds / str(number) / "repository"
    return released


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with dicom/ and train/")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="of the cases, as in noise_floor.json")
    parser.add_argument("--folds", type=Path, default=RUNS, help="of the cross-validation, %(default)s")
    parser.add_argument("--repository", type=Path, default=ROOT)
    options = parser.parse_args()
    measured = evaluate(options.data, options.folds, options.repository, options.only)
    (HERE / NOISE).write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    write_metrics(HERE, json.loads((HERE / METRICS).read_text(encoding="utf-8")), render)


if __name__ == "__main__":
    main()
