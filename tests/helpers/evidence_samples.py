"""CTs and analyses for the tests of evidence, made from the phantom without running a model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset

from helpers import make_ct
from service.domain.analysis import Analysis, LabelArray, ModelUse, PipelineUse
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import CT
from service.domain.flags import Flag
from service.domain.ports import no_step
from service.domain.report import ReportBody
from service.evidence.context import Earlier, Evidence, EvidenceContext, Predecessor, Selection
from service.evidence.encode import encode
from service.pipelines.covid_severity.flags import LOBES_APPROXIMATE, NO_CLASSIFIER
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.covid_severity.result import Measured, to_analysis
from service.pipelines.covid_severity.score import NoiseFloor, severity
from service.pipelines.shared.measure import Measurements, OpacityRegion, Region
from service.pipelines.shared.opacities import Opacity
from service.pipelines.shared.reliability import Reliability

ANALYSED_AT = datetime(2024, 5, 1, 14, 5, 30, tzinfo=UTC)
PIPELINE = PipelineUse("covid-severity", "1.0", 9000)
CONTEXT = EvidenceContext("0.1.0", ANALYSED_AT, PIPELINE)
MODELS = (ModelUse("lung-opacity-2d", "1", "ab" * 32), ModelUse("lobe-prior", "2", "cd" * 32))

FLOOR = NoiseFloor(opacity_ml=5.0, opacity_percent=0.7)
RELIABLE = Reliability(agreement=0.987, clear_hu=-850.0, gradient_hu=21.0, dome_percent=40.0)


def phantom(**options: Any) -> tuple[CT, Analysis]:
    """A phantom CT and the analysis that finds exactly its truth."""
    return from_phantom(make_ct.make(**options))


def from_phantom(scan: make_ct.PhantomCT) -> tuple[CT, Analysis]:
    datasets = in_volume_order(scan.datasets, scan.truth.affine)
    hu = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in datasets])
    ct = ct_of(datasets, hu.astype(np.float32), scan.truth.affine)
    return ct, analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask)


def in_volume_order(datasets: Sequence[Dataset], affine: np.ndarray) -> list[Dataset]:
    """Sorted along the volume's slice axis."""
    return sorted(datasets, key=lambda d: float(np.dot(np.array(d.ImagePositionPatient, float), affine[:3, 0])))


def ct_of(datasets: Sequence[Dataset], hu: np.ndarray, affine: np.ndarray) -> CT:
    headers = tuple(without_pixels(d) for d in datasets)
    volume = hd.Volume(hu, affine, hd.CoordinateSystemNames.PATIENT, str(headers[0].FrameOfReferenceUID))
    return CT(headers, volume)


def without_pixels(dataset: Dataset) -> Dataset:
    header = Dataset()
    header.update({e.tag: e for e in dataset if e.keyword != "PixelData"})
    header.file_meta = dataset.file_meta
    return header


def measured_of(
    ct: CT, lobe_mask: np.ndarray, finding_mask: np.ndarray, probabilities: Mapping[str, float] | None = None
) -> Measured:
    """What the covid-severity pipeline would find with these masks."""
    hu, ml = ct.volume.array, ct.voxel_ml

    def region(mask: np.ndarray) -> Region:
        ggo, high = (int(np.count_nonzero(finding_mask[mask] == f)) * ml for f in Opacity)
        return Region(int(np.count_nonzero(mask)) * ml, ggo, high, float(hu[mask].mean()) if mask.any() else None)

    lobes = {lobe: region(lobe_mask == lobe) for lobe in Lobe}
    sides = {"left": LEFT_LOBES, "right": RIGHT_LOBES, "total": tuple(Lobe)}
    lungs = {side: region(np.isin(lobe_mask, labels)) for side, labels in sides.items()}
    found = {f: finding_mask == f for f in Opacity}
    total = lungs["total"].volume_ml
    opacities = {
        f: OpacityRegion(
            int(np.count_nonzero(m)) * ml,
            100 * int(np.count_nonzero(m)) * ml / total if total else 0.0,
            float(hu[m].mean()) if m.any() else None,
        )
        for f, m in found.items()
    }
    scored = severity({lobe.name: r if r.volume_ml else None for lobe, r in lobes.items()}, FLOOR)
    regions = Measurements(lobes, lungs, opacities)
    return Measured(lobe_mask, finding_mask, ml, regions, scored, RELIABLE, probabilities)


def analysis_of(
    ct: CT,
    lobe_mask: np.ndarray,
    finding_mask: np.ndarray,
    probabilities: Mapping[str, float] | None = None,
    flags: tuple[Flag, ...] = (LOBES_APPROXIMATE, NO_CLASSIFIER),
) -> Analysis:
    """What the covid-severity pipeline would say of these masks."""
    return to_analysis(measured_of(ct, lobe_mask, finding_mask, probabilities), PIPELINE, MODELS, flags)


def remeasured(ct: CT, analysis: Analysis, **changes: Any) -> Analysis:
    """The same analysis if other things had been measured. changes: of the `Measured` of its masks."""
    found = replace(measured_of(ct, *masks(analysis)), **changes)
    return to_analysis(found, analysis.pipeline, analysis.models, analysis.flags)


def masks(analysis: Analysis) -> tuple[LabelArray, LabelArray]:
    """Labels of the lobes and of the opacities."""
    return analysis.label_map("lobes").labels, analysis.label_map("findings").labels


def body_of(ct: CT, analysis: Analysis) -> ReportBody:
    """What the report of the analysis prints."""
    return CovidSeverity().report(ct, analysis, no_step)


def encoded(
    ct: CT, analysis: Analysis, context: EvidenceContext, selections: Sequence[Selection] = (Selection(),)
) -> tuple[Evidence, ...]:
    """All evidence of the analysis."""
    return encode(ct, analysis, lambda: body_of(ct, analysis), context, selections)


def replacing(*objects: Predecessor, notice: bool = False) -> Earlier:
    """The first result of the study, or its notice."""
    return Earlier(1, ANALYSED_AT - timedelta(minutes=7), notice, objects)


def context(ct: CT, **changes: Any) -> EvidenceContext:
    return replace(CONTEXT, **changes)
