"""Labelled CTs for the classifier, read, checked and brought onto its grid by the service's own code (no skew).

DIR/cases.csv has one line per CT:

    folder,label,part
    siteA/0001,COVID_19,train
    siteA/0002,NONE,validation

folder: below DIR, with one CT series. label: COVID_19, OTHER or NONE. part: train or validation.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from models.networks.cnn3d_classifier import SHAPE
from service.domain.eligibility import Limits
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend
from service.errors import Rejected
from service.imaging.gate import check_headers
from service.imaging.harmonise import PlaneGrid, resample_like, to_box, to_plane_grid
from service.imaging.read import read_ct
from service.pipelines.covid_severity.classification import Infection
from service.store.dicom_folder import headers, scan

GRID = PlaneGrid(spacing_mm=384 / SHAPE[1], size=SHAPE[1])
"""In-plane: the 384 mm around the body that the other models see. Along the body the whole scan makes 64 slices."""

PARTS = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of cases.csv."""

    folder: str
    label: Infection
    part: str


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A CT on the network's grid: hu int16 and lungs uint8 0/1, axes (slice to F, row to P, column to L)."""

    label: Infection
    hu: NDArray[np.int16]
    lungs: NDArray[np.uint8]
    patient: str


def read_list(path: Path) -> list[Listed]:
    """cases.csv; SystemExit names the line that is wrong."""
    found = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            label, part = row.get("label"), row.get("part")
            if not row.get("folder") or label not in Infection.__members__ or part not in PARTS:
                classes = ", ".join(Infection.__members__)
                raise SystemExit(f"{path}, line {number}: folder, label ({classes}) and part {PARTS} are wanted")
            found.append(Listed(row["folder"], Infection[label], part))
    return found


def on_network_grid(volume: hd.Volume, lungs: NDArray[np.bool_]) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """HU and lungs 0/1 of shape `SHAPE` from a CT in HU and its lung mask, both on the source grid."""
    moved = to_plane_grid(volume, GRID)
    percent = moved.with_array(resample_like(volume.with_array(lungs.astype(np.uint8) * 100), moved))
    return to_box(moved, SHAPE).array, (to_box(percent, SHAPE).array >= 50).astype(np.uint8)


def prepare(folder: Path, label: Infection, pipeline: Pipeline, backend: Backend) -> Case:
    """One case, its lungs found by `pipeline`; Rejected as in service, ValueError if `folder` is not one series."""
    series = scan([folder])
    if len(series) != 1:
        raise ValueError(f"{folder} holds {len(series)} series, wanted is one")
    eligibility = check_headers(headers(series[0]), Limits())
    if not eligibility.ok:
        raise Rejected(*eligibility.refusals)
    ct = read_ct([dcmread(path) for path in series[0].paths], eligibility.flags)
    analysis = pipeline.analyse(ct, backend, lambda stage, done: None)
    hu, lungs = on_network_grid(ct.volume, analysis.label_map("lobes").labels > 0)
    return Case(label, hu, lungs, str(ct.headers[0].get("PatientID", "")))


def load(data: Path, kept: Path, pipeline: Pipeline, backend: Backend) -> dict[str, list[Case]]:
    """All cases by part. Prepared ones are kept in `kept`; those the service rejects are named and left out.

    SystemExit if a patient is in both parts: the validation would be of no worth.
    """
    parts: dict[str, list[Case]] = {part: [] for part in PARTS}
    for listed in read_list(data / "cases.csv"):
        path = kept / f"{listed.folder}.npz"
        try:
            if not path.exists():
                _keep(path, prepare(data / listed.folder, listed.label, pipeline, backend))
            parts[listed.part].append(_kept(path, listed.label))
        except (Rejected, ValueError, FileNotFoundError) as error:
            print(f"left out {listed.folder}: {error}", flush=True)
    train, validation = ({case.patient for case in parts[part]} for part in PARTS)
    if train & validation - {""}:
        raise SystemExit(f"{len(train & validation - {''})} patients are in train and in validation")
    return parts


def _keep(path: Path, case: Case) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, hu=case.hu, lungs=case.lungs, patient=case.patient)
    part.replace(path)


def _kept(path: Path, label: Infection) -> Case:
    with np.load(path) as kept:
        return Case(label, kept["hu"], kept["lungs"], str(kept["patient"]))
