"""`nodules`, a pipeline for tests: lungs by threshold, and each dense ball in them as a finding of its own.

It needs no model. What it measures is exact on the phantoms of `make_ct`.
"""

import numpy as np
from scipy import ndimage

from helpers import evidence_samples
from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Headline,
    LabelMap,
    LabelMapKind,
    Measurement,
    MeasurementGroup,
    PipelineUse,
    RoiType,
    Segment,
    Site,
)
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.model_roles import Role
from service.domain.pipeline import Compared, ComparedFindings, ComparisonRules
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.imaging.diameters import diameters
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.shared import lobe_segments

KIND = LabelMapKind("nodules", "AI nodules", codes.private("NODULES", "Nodules of the tests"))
DIAMETER = codes.private("LONGEST", "Longest axial diameter")
NODULE = codes.private("NODULE", "Nodule of the tests")
_DENSE_HU, _LUNG_HU = -300, -500


class Nodules(CovidSeverity):
    """Dense balls in the lungs, the largest first: NODULE_1, NODULE_2, ..."""

    name = "nodules"
    version = "1.0"
    models: tuple[Role, ...] = ()
    optional_models: tuple[Role, ...] = ()
    label_maps = (lobe_segments.KIND, KIND)
    comparison = ComparisonRules(
        (Compared("LUNG_TOTAL", "volume_ml", "Volume of both lungs", codes.MILLILITRE),),
        ComparedFindings(
            "nodules",
            (
                Compared("", "longest_diameter_mm", "Longest diameter", codes.MILLIMETRE),
                Compared("", "volume_ml", "Volume", codes.MILLILITRE),
            ),
        ),
    )

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Lungs are thin tissue in the body, with what they enclose."""
        lungs = _lungs(ct.volume.array)
        labels, _count = ndimage.label(lungs & (ct.volume.array > _DENSE_HU))
        sizes = np.bincount(labels.ravel())[1:]
        order = [int(n) + 1 for n in np.argsort(-sizes, kind="stable") if sizes[n] * ct.voxel_ml >= 0.1]
        nodules = np.zeros(lungs.shape, np.uint8)
        for number, label in enumerate(order, start=1):
            nodules[labels == label] = number
        segments = tuple(_segment(number) for number in range(1, len(order) + 1))
        maps = [lobe_segments.label_map(lungs.astype(np.uint8))]
        maps += [LabelMap(KIND, nodules, segments)] if segments else []
        total = Measurement("volume_ml", codes.VOLUME, int(lungs.sum()) * ct.voxel_ml, codes.MILLILITRE)
        lung_group = MeasurementGroup("LUNG_TOTAL", codes.LUNG, Site(codes.LUNG), (total,))
        return Analysis(
            pipeline=PipelineUse(self.name, self.version, self.series_number),
            label_maps=tuple(maps),
            voxel_ml=ct.voxel_ml,
            groups=(lung_group, _lobe_group(total), *(_group(ct, nodules, one) for one in segments)),
            headline=Headline("Nodules", float(len(segments)), codes.UNITY, words="of the phantom"),
            models=evidence_samples.MODELS,
            flags=(),
        )

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """A page about the same lungs, as covid-severity prints it."""
        lobes = analysis.label_map("lobes").labels
        return evidence_samples.body_of(ct, evidence_samples.analysis_of(ct, lobes, 0 * lobes))


def _lobe_group(volume: Measurement) -> MeasurementGroup:
    """About the segment that both lungs are, so that the SR of segments has one at least."""
    lobe = lobe_segments.SEGMENT_OF[Lobe(1)]
    return MeasurementGroup(
        lobe.name, lobe.type, Site(codes.LUNG), (volume,), category=lobe.category, segment=lobe.name
    )


def _lungs(hu: np.ndarray) -> np.ndarray:
    """The two largest thin parts inside the body, with the balls in them."""
    labels, _ = ndimage.label(hu < _LUNG_HU)
    outside = {int(n) for side in (labels[0], labels[-1], labels[:, 0], labels[:, :, 0]) for n in np.unique(side)}
    sizes = np.bincount(labels.ravel())
    sizes[[0, *outside]] = 0
    two = np.isin(labels, np.argsort(-sizes)[:2])
    return np.stack([ndimage.binary_fill_holes(plane) for plane in two])


def _segment(number: int) -> Segment:
    title = f"Nodule {number}"
    rgb = (255, 255 - 40 * number % 256, 0)
    return Segment(
        number, f"NODULE_{number}", title, codes.MORPHOLOGY, NODULE, rgb, roi_type=RoiType.GROSS_TUMOUR_VOLUME
    )


def _group(ct: CT, nodules: np.ndarray, segment: Segment) -> MeasurementGroup:
    mask = nodules == segment.label
    spacing = tuple(float(mm) for mm in ct.volume.spacing)
    longest = diameters(mask, spacing).longest  # type: ignore[arg-type]
    ends = ct.volume.map_indices_to_reference(np.array(longest.ends))
    line = tuple(tuple(float(mm) for mm in end) for end in ends)
    measured = (
        Measurement("volume_ml", codes.VOLUME, int(mask.sum()) * ct.voxel_ml, codes.MILLILITRE),
        Measurement("longest_diameter_mm", DIAMETER, longest.length_mm, codes.MILLIMETRE, line=line),  # type: ignore[arg-type]
    )
    return MeasurementGroup(
        segment.name, segment.type, Site(codes.LUNG), measured, category=segment.category, segment=segment.name
    )
