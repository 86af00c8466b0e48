"""nsclc-gtv as a user runs it, what it takes beside another pipeline, and how long its SEGs and outlines take."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from helpers import evidence_samples
from highdicom import SOPClass
from pydicom import dcmread

from bench.analyse import run
from bench.cases import Case, cases
from bench.figures import Figure, Target, columns, timed
from service import __version__
from service.domain.ct import CT
from service.domain.ports import unheard
from service.evidence.case import Case as EvidenceCase
from service.evidence.context import STRUCTURE_SET, EvidenceContext, Product, segmentation_products
from service.evidence.encode import finished
from service.evidence.rtstruct import structure_set
from service.evidence.seg import segmentation
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines import named
from service.settings import default_repository

PART = "nsclc-gtv"

_SECONDS, _PEAK_GB, _WRITE_SECONDS = Target(25), Target(2), Target(2)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """The CT that the targets name."""
    case = cases()[0]
    runs = columns([run(case.folder, work / "gtv", "--pipeline", PART) for _ in range(repeat)])
    yield Figure(PART, f"{case.name}: whole command", "s", runs.pop("wall_s"), _SECONDS, note=case.note)
    yield Figure(PART, f"{case.name}: peak memory", "GB", runs.pop("peak_gb"), _PEAK_GB, note=case.note)
    yield Figure(PART, f"{case.name}: CPU time", "s", runs.pop("cpu_s"))
    for stage, seconds in runs.items():
        yield Figure(PART, f"{case.name}: {stage}", "s", seconds)
    yield from _in_this_process(case, repeat)


def _in_this_process(case: Case, repeat: int) -> Iterator[Figure]:
    """Where lungs and lobes are known, and the models loaded."""
    ct = read_ct([dcmread(path) for path in sorted(case.folder.glob("*.dcm"))])
    backend, pipeline = OnnxBackend(default_repository()), named(PART)
    named("covid-severity").analyse(ct, backend, unheard)
    seconds = []
    for _ in range(repeat):
        began = perf_counter()
        analysis = pipeline.analyse(ct, backend, unheard)
        seconds.append(perf_counter() - began)
    yield Figure(PART, f"{case.name}: analysis after covid-severity's", "s", tuple(seconds))
    context = EvidenceContext(__version__, evidence_samples.ANALYSED_AT, analysis.pipeline)
    encoded = EvidenceCase.of(ct, analysis, context)
    _, write_s = timed(lambda: _written(encoded), repeat)
    note = f"{', '.join(one.name for one in analysis.label_maps)}; {_slices(ct)} slices"
    yield Figure(PART, f"{case.name}: SEGs and structure set to bytes", "s", write_s, _WRITE_SECONDS, note=note)


def _slices(ct: CT) -> int:
    return int(ct.volume.spatial_shape[0])


def _written(case: EvidenceCase) -> int:
    """Bytes of every SEG and of the structure set."""
    label_maps = case.analysis.label_maps
    products = segmentation_products(one.kind for one in label_maps)
    made: list[tuple[Product, SOPClass | None]] = [
        (product, segmentation(product, case, one)) for product, one in zip(products, label_maps, strict=True)
    ]
    made.append((STRUCTURE_SET, structure_set(case)))
    return sum(len(finished(product, one, case).content) for product, one in made if one is not None)
