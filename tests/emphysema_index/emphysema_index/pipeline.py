"""The pipeline: lungs and lobes by the shared models, then a threshold, or a model of its own."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from emphysema_index import codes as own
from emphysema_index.flags import FLAGS, SHARP_KERNEL
from emphysema_index.measure import BELOW_HU, Region, heat, measure, widest
from emphysema_index.network import EMPHYSEMA_VOXELS, emphysema_voxels
from emphysema_index.report import report_body
from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Headline,
    HeatMap,
    LabelMap,
    LabelMapKind,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
    Site,
)
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.flags import UNMEASURED_MODEL, Flag, in_order
from service.domain.model_roles import Role
from service.domain.pipeline import Drift
from service.domain.ports import Backend, Progress, Step
from service.domain.report import ReportBody
from service.pipelines.shared import lobe_segments
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lungs import OPTIONAL, lungs_of, slice_answers
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY

NAME = "Emphysema index (LAA-950)"
SHARP_KERNELS = ("B60", "B70", "B80", "LUNG", "BONE", "FC5")


class EmphysemaIndex:
    """Voxels below -950 HU per lobe. A toy: nothing is validated."""

    name: str = "emphysema-index"
    version: str = "1.0"
    title: str = "Part of each lobe below -950 HU"
    models: tuple[Role, ...] = (LUNG_OPACITY, LOBES)
    optional_models: tuple[Role, ...] = (*OPTIONAL, EMPHYSEMA_VOXELS)
    limits: Limits = Limits(max_thickness_mm=3.0)
    flags: tuple[Flag, ...] = FLAGS
    label_maps: tuple[LabelMapKind, ...] = (lobe_segments.KIND, own.KIND)
    series_number: int = 99000
    drift: tuple[Drift, ...] = (Drift("emphysema_percent", "Lung below -950 HU in percent"),)

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        """Any reconstruction is as good as another."""
        return 0

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Rejected with NO_LUNG, TRUNCATED or LUNG_LOST."""
        stage = "lungs"
        answers = slice_answers(ct, backend, lambda done: progress(stage, 0.8 * done))
        lungs = lungs_of(ct, answers, backend, lambda done: progress(stage, 0.8 + 0.2 * done))
        lobes = lobes_of(ct, lungs, backend, progress)
        found = _emphysema(ct.volume.array, lobes > 0, backend)
        regions = measure(found, lobes, ct.voxel_ml)
        emphysema = LabelMap(own.KIND, found.astype(np.uint8), (own.EMPHYSEMA,))
        specs = [backend.spec(role.name) for role in (*self.models, *self.optional_models) if backend.has(role.name)]
        raised = [*ct.flags, *lungs.flags, *(UNMEASURED_MODEL for spec in specs if spec.source), *_sharp(ct)]
        total = _total(regions)
        return Analysis(
            pipeline=PipelineUse(self.name, self.version, self.series_number),
            label_maps=(
                lobe_segments.label_map(lobes),
                emphysema,
            ),
            voxel_ml=ct.voxel_ml,
            groups=(*_groups(regions), _emphysema_group(ct, found, total)),
            headline=Headline(NAME, round(total.percent, 1), codes.PERCENT, words="not validated"),
            models=tuple(ModelUse.of(spec) for spec in specs),
            flags=in_order(raised, self.flags),
            summary=(f"Both lungs: {total.percent:.1f} % below -950 HU.",),
            drift={"emphysema_percent": total.percent},
            explanations=tuple(_explanations(ct, found)),
        )

    def report(self, ct: CT, analysis: Analysis, step: Step) -> ReportBody:
        """What the report prints."""
        return report_body(ct, analysis, step)


def _emphysema(hu: NDArray[np.float32], lung: NDArray[np.bool_], backend: Backend) -> NDArray[np.bool_]:
    """Which voxels are emphysema, axes (slice, row, column)."""
    if backend.has(EMPHYSEMA_VOXELS.name):
        return emphysema_voxels(hu, lung, backend)
    return (hu < BELOW_HU) & lung


def _sharp(ct: CT) -> Iterator[Flag]:
    kernel = str(ct.headers[0].get("ConvolutionKernel", "")).upper()
    if any(kernel.startswith(sharp) for sharp in SHARP_KERNELS):
        yield SHARP_KERNEL.because(f"Kernel {kernel}.")


def _total(regions: Mapping[Lobe, Region]) -> Region:
    return Region(sum(r.volume_ml for r in regions.values()), sum(r.below_ml for r in regions.values()))


def _groups(regions: Mapping[Lobe, Region]) -> Iterator[MeasurementGroup]:
    total = _total(regions)
    yield MeasurementGroup("LUNGS", codes.LUNG, Site(codes.LUNG), tuple(_measurements(total)))
    for lobe, region in regions.items():
        segment = lobe_segments.SEGMENT_OF[lobe]
        measurements, site = tuple(_measurements(region)), lobe_segments.site(lobe)
        yield MeasurementGroup(
            lobe.name, segment.type, site, measurements, category=segment.category, segment=segment.name
        )


def _emphysema_group(ct: CT, found: NDArray[np.bool_], total: Region) -> MeasurementGroup:
    """Volume, and the greatest width with its two ends."""
    segment = own.EMPHYSEMA
    measured = [Measurement("volume_ml", codes.VOLUME, total.below_ml, codes.MILLILITRE)]
    if (ends := widest(found)) is not None:
        left, right = ct.volume.map_indices_to_reference(np.array(ends))
        line = ((left[0], left[1], left[2]), (right[0], right[1], right[2]))
        width_mm = float(np.linalg.norm(right - left))
        measured.append(Measurement("width_mm", own.WIDTH, width_mm, codes.MILLIMETRE, line=line))
    return MeasurementGroup(
        segment.name, segment.type, Site(codes.LUNG), tuple(measured), category=segment.category, segment=segment.name
    )


def _explanations(ct: CT, found: NDArray[np.bool_]) -> Iterator[HeatMap]:
    values = heat(ct.volume.array, found)
    if values.any():
        yield HeatMap("depth", "How far below -950 HU", own.EMPHYSEMA.name, values)


def _measurements(region: Region) -> Iterator[Measurement]:
    yield Measurement("volume_ml", codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield Measurement("below_950_ml", own.BELOW_950, region.below_ml, codes.MILLILITRE)
    yield Measurement("emphysema_percent", own.INDEX, region.percent, codes.PERCENT)
