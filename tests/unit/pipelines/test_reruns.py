"""The same CT gives the same bytes: every pipeline, its models loaded anew, alone or after the others."""

from hashlib import sha256
from pathlib import Path

import pytest
from helpers import evidence_samples
from pydicom import dcmread

from service import __version__
from service.domain.ct import CT
from service.domain.pipeline import Pipeline
from service.domain.ports import no_step, unheard
from service.evidence.context import EvidenceContext
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines import BUILT_IN
from service.settings import default_repository

pytestmark = pytest.mark.slow

_DEMO = Path(__file__).resolve().parents[3] / "demo" / "ct"


def objects(pipeline: Pipeline, ct: CT, backend: OnnxBackend) -> dict[str, str]:
    """Digests of all files that the pipeline makes of the CT, by name."""
    analysis = pipeline.analyse(ct, backend, unheard)
    context = EvidenceContext(__version__, evidence_samples.ANALYSED_AT, analysis.pipeline)
    made = encode(ct, analysis, lambda: pipeline.report(ct, analysis, no_step), context)
    return {one.file_name: sha256(one.content).hexdigest() for one in made}


def test_every_pipeline_gives_the_same_bytes_again() -> None:
    ct = read_ct([dcmread(path) for path in sorted(_DEMO.glob("*.dcm"))[::2]])
    together, alone = (OnnxBackend(default_repository()) for _ in range(2))
    first = {one.name: objects(one, ct, together) for one in BUILT_IN}
    again = {one.name: objects(one, ct.afresh(), alone) for one in reversed(BUILT_IN)}
    assert first == again
    assert len(first) >= 3 and all(len(files) >= 5 for files in first.values())
