"""The results whose bytes are pinned: three phantoms and the demo CT.

Masks are given, not computed: networks round differently on different processors, encoders do not.
"""

import json
import lzma
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from helpers import evidence_samples, make_ct
from pydicom import dcmread

from golden.plain_pdf import inflated
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.evidence.case import Case
from service.evidence.context import (
    ALWAYS,
    STRUCTURE_SET,
    TEXT,
    Evidence,
    EvidenceContext,
    SegKind,
    Selection,
    Style,
)
from service.evidence.encode import encode, finished
from service.evidence.rtstruct import structure_set
from service.imaging.read import read_ct
from service.pipelines.covid_severity.flags import LOBE_MISSING, LOBES_APPROXIMATE, NO_CLASSIFIER
from service.pipelines.covid_severity.result import Measured, to_analysis
from service.pipelines.covid_severity.score import severity
from service.pipelines.shared.measure import measure

FOLDER = Path(__file__).parent
DEMO = FOLDER.parent.parent / "demo" / "ct"
AT = datetime(2024, 5, 1, 14, 5, 30, tzinfo=UTC)
CONTEXT = EvidenceContext("0.0.0", AT, evidence_samples.PIPELINE, "Golden hospital")
KINDS = ALWAYS | {TEXT.kind}
SELECTIONS = (Selection(Style(), KINDS), Selection(Style(SegKind.LABELMAP, all_frames=True), KINDS))


def digests() -> dict[str, dict[str, str]]:
    """SHA-256 of each file, by sample and file name."""
    return {name: {one.file_name: _digest(one) for one in evidence} for name, evidence in samples()}


def samples() -> Iterator[tuple[str, tuple[Evidence, ...]]]:
    """Name and evidence of each."""
    for name, options in (("findings", {"findings": make_ct.FINDINGS}), ("no findings", {})):
        scan = make_ct.make(**options)
        ct = evidence_samples.from_phantom(scan)[0]
        yield name, _encoded(ct, scan.truth.lobe_mask, scan.truth.finding_mask)
    scan = make_ct.make(findings=make_ct.FINDINGS)
    ct = evidence_samples.from_phantom(scan)[0]
    there = scan.truth.lobe_mask != Lobe.RML
    yield "a lobe missing", _encoded(ct, scan.truth.lobe_mask * there, scan.truth.finding_mask * there)
    ct = read_ct([dcmread(path) for path in sorted(DEMO.glob("*.dcm"))])
    labels = np.load(BytesIO(lzma.decompress((FOLDER / "demo_masks.npy.xz").read_bytes())))
    yield "demo CT", _encoded(ct, labels % 16, labels // 16)


def _encoded(ct: CT, lobes: np.ndarray, findings: np.ndarray) -> tuple[Evidence, ...]:
    regions = measure(ct.volume.array, lobes, findings, ct.voxel_ml)
    scored = {lobe.name: one if one.volume_ml else None for lobe, one in regions.lobes.items()}
    found = Measured(
        lobes, findings, ct.voxel_ml, regions, severity(scored, evidence_samples.FLOOR), evidence_samples.RELIABLE
    )
    missing = (LOBE_MISSING,) if found.severity.total is None else ()
    flags = (*ct.flags, LOBES_APPROXIMATE, *missing, NO_CLASSIFIER)
    analysis = to_analysis(found, evidence_samples.PIPELINE, evidence_samples.MODELS, flags)
    evidence = encode(ct, analysis, lambda: evidence_samples.body_of(ct, analysis), CONTEXT, SELECTIONS)
    case = Case.of(ct, analysis, CONTEXT)
    structures = structure_set(case)
    assert structures is not None
    return (*evidence, finished(STRUCTURE_SET, structures, case))


def _digest(one: Evidence) -> str:
    """Without what the compression library decides: the streams of a PDF count as what they hold."""
    if one.file_name.endswith(".pdf"):
        return sha256(inflated(one.content)).hexdigest()
    dataset = dcmread(BytesIO(one.content))
    if "EncapsulatedDocument" not in dataset:
        return sha256(one.content).hexdigest()
    document = inflated(dataset.EncapsulatedDocument)
    dataset.EncapsulatedDocument, dataset.EncapsulatedDocumentLength = b"", 0
    with BytesIO() as buffer:
        dataset.save_as(buffer)
        return sha256(buffer.getvalue() + document).hexdigest()


def expected() -> Mapping[str, Mapping[str, str]]:
    """The recorded digests."""
    recorded: dict[str, dict[str, str]] = json.loads((FOLDER / "digests.json").read_text(encoding="utf-8"))
    return recorded
