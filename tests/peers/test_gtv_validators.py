"""Evidence of nsclc-gtv before dicom3tools and dcmqi: with findings, without any, and without lungs."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers import evidence_samples, make_ct, tiny_tumour
from helpers.programs import program
from helpers.tumours import Tumour
from pydicom import Dataset, dcmread

from service.domain.ports import no_step, unheard
from service.errors import Reason, Refusal, Rejected
from service.evidence.context import ALWAYS, Selection
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv import anatomy as anatomy_module
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv

pytestmark = pytest.mark.peers

LARGE, SMALL = Tumour((-76.0, -28.0, 34.0), (22.0, 16.0, 18.0)), Tumour((80.0, -20.0, -20.0), (8.0, 8.0, 8.0))
KINDS = ALWAYS | {"capture", "text", "structure-set"}


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


def items(dataset: Dataset) -> list[Dataset]:
    return [dataset, *(one for child in dataset.get("ContentSequence", ()) for one in items(child))]


def said(dataset: Dataset) -> set[tuple[str, str]]:
    """Concept and value of all coded statements in an SR."""
    codes = [one for one in items(dataset) if one.get("ValueType") == "CODE"]
    return {(str(one.ConceptNameCodeSequence[0].CodeValue), str(one.ConceptCodeSequence[0].CodeValue)) for one in codes}


@pytest.mark.parametrize(
    ("tumours", "lungs"),
    [((LARGE, SMALL), True), ((), True), ((LARGE,), False), ((), False)],
    ids=["two", "none", "no-lungs", "nothing"],
)
def test_every_object_is_valid_and_says_what_was_found(
    tumours: tuple[Tumour, ...], lungs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not lungs:

        def refuse(*_: object) -> None:
            raise Rejected(Refusal(Reason.NO_LUNG, "Right 40 mL."))

        monkeypatch.setattr(anatomy_module, "lungs_of", refuse)
    options = {"slices": 88, "pixel_mm": (2.0, 2.0), "rows": 128, "columns": 176}
    scan = make_ct.make(**options, tumours=tumours, orientation="FFP")
    make_ct.write(scan.datasets, tmp_path / "source")
    ct, pipeline = read_ct(scan.datasets), NsclcGtv()
    backend = OnnxBackend(tiny_tumour.repository(tmp_path / "models"), 1)
    analysis = pipeline.analyse(ct, backend, unheard)
    body = pipeline.report(ct, analysis, no_step)
    context = evidence_samples.context(ct, pipeline=analysis.pipeline)
    objects = {}
    for item in encode(ct, analysis, lambda: body, context, [Selection(kinds=KINDS)]):
        (tmp_path / item.file_name).write_bytes(item.content)
        if item.file_name.endswith(".dcm"):
            objects[item.file_name] = tmp_path / item.file_name
    assert [error for path in objects.values() for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", tmp_path / "source/0000.dcm", *objects.values()) == []
    assert ("tumour.seg.dcm" in objects, "lobes.seg.dcm" in objects) == (bool(tumours), lungs)
    study = dcmread(objects["study.sr.dcm"])
    assert (("TUMOUR-DETECT", "NO-TUMOUR") in said(study)) != bool(tumours)
    assert ("TUMOUR-DETECT", "260385009") in said(study) or len(tumours) == 2
    if not tumours:
        assert "axes.sr.dcm" not in objects
        return
    assert _read_by_dcmqi(objects["tumour.seg.dcm"], tmp_path)["GTV-1"] == "Neoplasm"
    axes = dcmread(objects["axes.sr.dcm"])
    lines = [one for one in items(axes) if one.get("ValueType") == "SCOORD"]
    assert len(lines) == 2 * len(tumours)
    assert "SCOORD3D" not in {one.get("ValueType") for one in items(axes)}
    structures = dcmread(objects["structure-set.rt.dcm"])
    types = {
        roi.ROIName: seen.RTROIInterpretedType
        for roi, seen in zip(structures.StructureSetROISequence, structures.RTROIObservationsSequence, strict=True)
    }
    assert types["GTV_1"] == "GTV" and set(types.values()) <= {"GTV", "", "ORGAN"}
    gtv = dcmread(objects["tumour.seg.dcm"])
    assert gtv.SegmentSequence[0].TrackingID == "GTV_1"
    area = np.count_nonzero(analysis.label_map("tumour").labels == 1)
    assert area == np.count_nonzero(gtv.pixel_array[_frames_of(gtv, 1)])


def _frames_of(seg: Dataset, number: int) -> list[int]:
    """Frames of a segment; with a single one what they share says it."""
    groups = seg.PerFrameFunctionalGroupsSequence
    if "SegmentIdentificationSequence" in seg.SharedFunctionalGroupsSequence[0]:
        return list(range(len(groups)))
    numbers = [one.SegmentIdentificationSequence[0].ReferencedSegmentNumber for one in groups]
    return [k for k, found in enumerate(numbers) if found == number]


def _read_by_dcmqi(path: Path, folder: Path) -> dict[str, str]:
    """Type of each segment by its label, as dcmqi reads them."""
    out = folder / "dcmqi"
    out.mkdir()
    command = [program("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", out, "--outputType", "nrrd"]
    subprocess.run([str(one) for one in command], check=True, capture_output=True)
    meta = json.loads(next(out.glob("*.json")).read_text(encoding="utf-8"))
    attributes = [one for group in meta["segmentAttributes"] for one in group]
    return {one["SegmentLabel"]: one["SegmentedPropertyTypeCodeSequence"]["CodeMeaning"] for one in attributes}
