"""CTs of one phantom patient on two days: the second one moved, turned, stretched, and with other nodules."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from helpers import make_ct
from helpers.evidence_samples import ANALYSED_AT
from helpers.nodules import Nodules
from helpers.phantom import Ball
from service.analysis.analyst import Analyst, Outcome, Run
from service.analysis.compare_with_prior import Comparer
from service.analysis.prior_folder import PriorFolder
from service.domain.eligibility import Limits
from service.domain.pipeline import Pipeline
from service.domain.ports import unheard
from service.pipelines.shared.opacities import Opacity
from service.store.dicom_folder import scan

FIRST, SECOND, DAYS = "20240501", "20250501", 365
RIGHT, LEFT, HIGH = (-72.0, 30.0, -30.0), (75.0, 20.0, -30.0), (75.0, -20.0, 40.0)
"""Places of nodules, relative to the phantom's centre, in mm."""

RUN = Run(ANALYSED_AT)
FINE = {"slices": 110, "spacing_mm": 2.0, "rows": 144, "columns": 192, "pixel_mm": (2.0, 2.0)}


def nodule(place: tuple[float, float, float], ml: float) -> Ball:
    """A dense ball."""
    return Ball(Opacity.HIGH_OPACITY, place, ml)


def visit(day: str, *nodules: Ball, turned_deg: float = 0.0, stretched: float = 1.0, **options: Any) -> list[Dataset]:
    """A CT of that day. turned_deg: the patient lies turned about the long axis. stretched: along it, as by breath."""
    dates = {"StudyDate": day, "SeriesDate": day, "AcquisitionDate": day, "ContentDate": day}
    attributes = dates | options.pop("attributes", {})
    made = make_ct.make(findings=nodules, study=day, attributes=attributes, **(FINE | options))
    turn, scale = _about_z(turned_deg), np.diag([1.0, 1.0, stretched])
    for dataset in made.datasets:
        position = np.array(dataset.ImagePositionPatient, float)
        dataset.ImagePositionPatient = [format_number_as_ds(float(mm)) for mm in scale @ turn @ position]
        cosines = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3) @ turn.T
        dataset.ImageOrientationPatient = [format_number_as_ds(float(one)) for one in cosines.ravel()]
    return made.datasets


def _about_z(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def analysed(
    datasets: Sequence[Dataset], folder: Path, prior: Path | None = None, pipeline: Pipeline | None = None
) -> Outcome:
    """The outcome of an analysis, written to `folder` as `thoracle analyse` does. prior: such a folder of before."""
    make_ct.write(datasets, folder / "ct")
    comparer = None if prior is None else Comparer(PriorFolder(prior))
    analyst = Analyst(pipeline or Nodules(), None, Limits(), "0.1.0", comparer=comparer)  # type: ignore[arg-type]
    outcome = analyst.analyse(scan([folder / "ct"]), unheard, {}, RUN)
    for one in outcome.evidence:
        (folder / one.file_name).write_bytes(one.content)
    (folder / "result.json").write_text(json.dumps(outcome.document))
    return outcome
