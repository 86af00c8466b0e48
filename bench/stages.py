"""Single stages, in this process: reading, encoding, and writing a thin-slice SEG."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers import evidence_samples
from pydicom import dcmread

from bench.cases import SLICES, Case, cases, phantom
from bench.figures import Figure, Target, timed
from service import __version__
from service.composition.analysis import analyst, pipelines
from service.domain.ct import CT
from service.domain.ports import no_step
from service.evidence.case import Case as EvidenceCase
from service.evidence.context import EvidenceContext, segmentation_products
from service.evidence.encode import encode
from service.evidence.report import report_pdf
from service.evidence.seal import seal
from service.evidence.seg import segmentation
from service.imaging.read import read_ct
from service.settings import load

PART = "stages"
SEG_PART = "seg"

_SEG_SECONDS = Target(2.5)
_WARM = "in a process that has done it before"


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Reading and encoding of the CT that the targets name."""
    case = cases()[0]
    ct, read_s = timed(lambda: _read(case), repeat)
    yield Figure(PART, f"{case.name}: files to HU", "s", read_s, note=case.note)
    settings = load(None)
    pipeline = pipelines(settings)[0]
    ready = analyst(settings, pipeline)
    analysis = pipeline.analyse(ct, ready.backend, lambda _stage, _fraction: None)
    context = EvidenceContext(__version__, evidence_samples.ANALYSED_AT, analysis.pipeline)
    encode(
        ct, analysis, lambda: pipeline.report(ct, analysis, no_step), context
    )  # the first time, as `bench.analyse` has it, loads code tables and fonts
    _, encode_s = timed(lambda: encode(ct, analysis, lambda: pipeline.report(ct, analysis, no_step), context), repeat)
    yield Figure(PART, f"{case.name}: encode", "s", encode_s, note=_WARM)
    encoded = EvidenceCase.of(ct, analysis, context)
    _, segs_s = timed(lambda: _segmentations(encoded), repeat)
    yield Figure(PART, f"{case.name}: encode, of it both SEGs", "s", segs_s)
    _, report_s = timed(lambda: report_pdf(encoded, pipeline.report(ct, analysis, no_step)), repeat)
    yield Figure(PART, f"{case.name}: encode, of it the PDF report", "s", report_s)


def measure_seg(work: Path, repeat: int) -> Iterator[Figure]:
    """From lobe labels to the bytes of the SEG: five segments, 400 x 512 x 512."""
    ct, analysis = evidence_samples.from_phantom(phantom())
    case = EvidenceCase.of(ct, analysis, EvidenceContext(__version__, evidence_samples.ANALYSED_AT, analysis.pipeline))
    name = f"lobes SEG, {SLICES} x 512 x 512, 5 lobes"
    _, first_s = timed(lambda: _seg_bytes(case), 1)
    yield Figure(SEG_PART, f"{name}, first time", "s", first_s, note="loads code tables")
    content, seconds = timed(lambda: _seg_bytes(case), repeat)
    note = f"labels to bytes, {_WARM}; {len(content) / 1e6:.1f} MB"
    yield Figure(SEG_PART, name, "s", seconds, _SEG_SECONDS, note=note)


def _read(case: Case) -> CT:
    return read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])


def _seg_bytes(case: EvidenceCase) -> bytes:
    made, *_ = _segmentations(case, "lobes")
    return seal(made, case.context.analysed_at, case.header, case.uids)


def _segmentations(case: EvidenceCase, *names: str) -> list[Any]:
    """Segmentations of the label maps of these names, or of all."""
    label_maps = case.analysis.label_maps
    products = segmentation_products(one.kind for one in label_maps)
    made = zip(products, label_maps, strict=True)
    return [segmentation(product, case, one) for product, one in made if not names or one.name in names]
