"""Single stages, in this process: reading, encoding, and writing a thin-slice SEG."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evidence_samples
from pydicom import dcmread

from bench.cases import SLICES, Case, cases, phantom
from bench.figures import Figure, Target, timed
from service import __version__
from service.composition.analysis import analyst
from service.domain.ct import CT
from service.evidence.case import Case as EvidenceCase
from service.evidence.context import EvidenceContext
from service.evidence.encode import encode
from service.evidence.report import report_pdf
from service.evidence.seal import seal
from service.evidence.seg import findings_seg, lobes_seg
from service.imaging.read import read_ct
from service.pipelines import named
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
    ready = analyst(settings, named(settings.pipeline))
    analysis = ready.pipeline.analyse(ct, ready.backend, lambda _stage, _fraction: None)
    context = EvidenceContext(__version__, evidence_samples.ANALYSED_AT)
    encode(ct, analysis, context)  # the first time, as `bench.analyse` has it, loads code tables and fonts
    _, encode_s = timed(lambda: encode(ct, analysis, context), repeat)
    yield Figure(PART, f"{case.name}: encode", "s", encode_s, note=_WARM)
    encoded = EvidenceCase.of(ct, analysis, context)
    _, segs_s = timed(lambda: (lobes_seg(encoded), findings_seg(encoded)), repeat)
    yield Figure(PART, f"{case.name}: encode, of it both SEGs", "s", segs_s)
    _, report_s = timed(lambda: report_pdf(encoded), repeat)
    yield Figure(PART, f"{case.name}: encode, of it the PDF report", "s", report_s)


def measure_seg(work: Path, repeat: int) -> Iterator[Figure]:
    """From lobe labels to the bytes of the SEG: five segments, 400 x 512 x 512."""
    ct, analysis = evidence_samples.from_phantom(phantom())
    case = EvidenceCase.of(ct, analysis, EvidenceContext(__version__, evidence_samples.ANALYSED_AT))
    name = f"lobes SEG, {SLICES} x 512 x 512, 5 lobes"
    _, first_s = timed(lambda: _seg_bytes(case), 1)
    yield Figure(SEG_PART, f"{name}, first time", "s", first_s, note="loads code tables")
    content, seconds = timed(lambda: _seg_bytes(case), repeat)
    note = f"labels to bytes, {_WARM}; {len(content) / 1e6:.1f} MB"
    yield Figure(SEG_PART, name, "s", seconds, _SEG_SECONDS, note=note)


def _read(case: Case) -> CT:
    return read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])


def _seg_bytes(case: EvidenceCase) -> bytes:
    segmentation: Any = lobes_seg(case)
    return seal(segmentation, case.context.analysed_at, case.header, case.uids)
