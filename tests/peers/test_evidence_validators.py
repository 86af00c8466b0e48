"""Evidence before independent judges: dciodvfy, dcentvfy (dicom3tools) and dcmqi, which reads SEG and SR by itself."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from helpers import enhanced_ct, evidence_samples, make_ct
from helpers.dicom_peers import dcmtk
from helpers.programs import program
from helpers.shared_data import shared_data
from pydicom import Dataset, dcmread

from service.domain import rounding
from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.evidence.context import ALWAYS, Predecessor, SegKind, Selection, Style
from service.imaging.read import read_ct
from service.pipelines.shared.opacities import Opacity

pytestmark = pytest.mark.peers

EVERYTHING = ALWAYS | {"capture", "text", "structure-set"}
SCANS = {
    "axial": {},
    "reversed": {"feet_first_numbers": True},
    "feet-first": {"orientation": "FFS"},
    "prone": {"orientation": "HFP"},
}


def phantom(name: str) -> tuple[CT, Analysis, list[Dataset]]:
    scan = make_ct.make(findings=make_ct.FINDINGS, **SCANS[name])
    ct = read_ct(scan.datasets)
    return ct, evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask), scan.datasets


def rider() -> tuple[CT, Analysis, list[Dataset]]:
    datasets = [dcmread(path) for path in sorted(shared_data("dicom/rider-lung").glob("*.dcm"))]
    ct = read_ct(datasets)
    lobe_mask, finding_mask = np.zeros(ct.volume.shape, np.uint8), np.zeros(ct.volume.shape, np.uint8)
    for lobe in Lobe:
        lobe_mask[20:90, 100 + 7 * lobe : 400, 80 * lobe - 40 : 80 * lobe + 31] = lobe
    finding_mask[40:50, 200:250, 60:100], finding_mask[50:61, 210:240, 300:333] = Opacity
    return ct, evidence_samples.analysis_of(ct, lobe_mask, finding_mask), datasets


def enhanced() -> tuple[CT, Analysis, list[Dataset]]:
    scan = make_ct.make(findings=make_ct.FINDINGS)
    datasets = [enhanced_ct.enhance(scan.datasets)]
    ct = read_ct(datasets)
    return ct, evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask), datasets


@pytest.fixture(scope="module", params=[*SCANS, "rider", "enhanced"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CT, Analysis, Path, Path]:
    """A CT, its analysis, the folder of the source files and that of the evidence."""
    makers = {"rider": rider, "enhanced": enhanced}
    made = makers[request.param]() if request.param in makers else phantom(request.param)
    ct, analysis, datasets = made
    source, results = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("evidence")
    make_ct.write(datasets, source)
    for item in evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), [Selection(kinds=EVERYTHING)]):
        (results / item.file_name).write_bytes(item.content)
    return ct, analysis, source, results


def test_every_object_is_valid_and_the_set_is_consistent(case: tuple[CT, Analysis, Path, Path]) -> None:
    ct, _, source, results = case
    objects = sorted(results.glob("*.dcm"))
    assert len(objects) == 8
    for path in objects:
        assert not errors("dciodvfy", path), path.name
    copied_from = next(p for p in source.glob("*.dcm") if dcmread(p).SOPInstanceUID == ct.sop_uids[0])
    assert not errors("dcentvfy", copied_from, *objects)


def errors(validator: str, *paths: Path) -> set[str]:
    outcome = subprocess.run([program(validator), *paths], capture_output=True, text=True, check=False)
    return {line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line}


STYLES = [Style(all_frames=True), Style(SegKind.LABELMAP), Style(SegKind.LABELMAP, all_frames=True)]
UNKNOWN_LABELMAP = {
    "Error - Information Object Not found",
    "Error - Shall not be present for Referenced SOP Class that is not segmentation - attribute "
    "<ReferencedSegmentNumber>",
}
"""What dciodvfy says of a SOP class that is younger than it."""


@pytest.fixture(scope="module", params=STYLES, ids=lambda style: style.name)
def styled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[CT, Analysis, Style, Path]:
    """A CT, its analysis, a style, and the folder of evidence in this style that replaces an earlier result."""
    ct, analysis, _ = phantom("axial")
    report, seg = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"
    study = str(ct.headers[0].StudyInstanceUID)
    earlier = (Predecessor(seg, "1.2.1.1", "1.2.1", study), Predecessor(report, "1.2.2.1", "1.2.2", study))
    results = tmp_path_factory.mktemp("styled")
    context = evidence_samples.context(ct, number=2, replaces=evidence_samples.replacing(*earlier))
    for item in evidence_samples.encoded(ct, analysis, context, [Selection(request.param, EVERYTHING)]):
        (results / item.file_name).write_bytes(item.content)
    return ct, analysis, request.param, results


def test_every_object_of_another_style_is_valid(styled: tuple[CT, Analysis, Style, Path]) -> None:
    *_, style, results = styled
    objects = sorted(results.glob("*.dcm"))
    assert len(objects) == 8
    for path in objects:
        allowed = UNKNOWN_LABELMAP if style.seg is SegKind.LABELMAP and style.name in path.name else set()
        assert errors("dciodvfy", path) <= allowed, path.name
    assert not errors("dcentvfy", *objects)


def test_dcmqi_reads_the_same_masks_in_another_style(styled: tuple[CT, Analysis, Style, Path]) -> None:
    ct, analysis, style, results = styled
    for kind, mask in zip(("lobes", "findings"), evidence_samples.masks(analysis), strict=True):
        check_masks(results / f"{kind}.{style.name}.seg.dcm", mask, ct)


def test_dcmqi_reads_the_same_masks(case: tuple[CT, Analysis, Path, Path]) -> None:
    ct, analysis, _, results = case
    lobes, findings = evidence_samples.masks(analysis)
    check_masks(results / "lobes.seg.dcm", lobes, ct)
    check_masks(results / "findings.seg.dcm", findings, ct)


def check_masks(seg: Path, mask: np.ndarray, ct: CT) -> None:
    """Every label of the mask is the segment of this number, voxel for voxel, and there are no others."""
    out = seg.with_suffix(".dcmqi")
    out.mkdir()
    arguments = ["--inputDICOM", seg, "--outputDirectory", out, "-t", "nrrd"]
    subprocess.run([program("segimage2itkimage"), *arguments], capture_output=True, check=True)
    images = [SimpleITK.ReadImage(str(path)) for path in out.glob("*.nrrd")]
    segments = {n: voxels_lps(i, n) for i in images for n in np.unique(SimpleITK.GetArrayViewFromImage(i)) if n}
    assert set(segments) == set(np.unique(mask)) - {0}
    for number, lps in segments.items():
        ours = indices_to_lps(np.argwhere(mask == number), ct.volume.affine)
        assert lps.shape == ours.shape and np.allclose(ordered(lps), ordered(ours), atol=0.02), number


def voxels_lps(image: SimpleITK.Image, number: int) -> np.ndarray:
    """LPS mm of every voxel with this number."""
    index = np.argwhere(SimpleITK.GetArrayViewFromImage(image) == number)[:, ::-1]  # (x, y, z)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    return np.array(image.GetOrigin()) + (index * np.array(image.GetSpacing())) @ direction.T


def indices_to_lps(index: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return index @ affine[:3, :3].T + affine[:3, 3]


def ordered(points: np.ndarray) -> np.ndarray:
    """Sorted by position, with coordinates rounded so that both sets sort alike."""
    rounded = np.round(points / 0.1).astype(int)
    return points[np.lexsort(rounded.T)]


def test_dcmqi_reads_the_same_measurements(case: tuple[CT, Analysis, Path, Path], tmp_path: Path) -> None:
    _, analysis, _, results = case
    out = tmp_path / "measurements.json"
    arguments = ["--inputDICOM", results / "measurements.sr.dcm", "--outputMetadata", out]
    subprocess.run([program("tid1500reader"), *arguments], capture_output=True, check=True)
    groups = {group["TrackingIdentifier"]: group for group in json.loads(out.read_text())["Measurements"]}
    assert set(groups) == {label.name for label in (*Lobe, *Opacity)}
    for name, group in groups.items():
        values = {i["quantity"]["CodeValue"]: float(i["value"]) for i in group["measurementItems"]}
        assert values["118565006"] == rounding.millilitres(analysis.group(name)["volume_ml"])
        assert values["112031"] == rounding.hounsfield(analysis.group(name)["mean_hu"])


@pytest.mark.parametrize("kind", ["measurements.sr.dcm", "study.sr.dcm", "report.sr.dcm"])
def test_dcmtk_reads_the_documents(case: tuple[CT, Analysis, Path, Path], kind: str) -> None:
    outcome = dcmtk("dsrdump", "+Pl", case[3] / kind)
    assert outcome.returncode == 0 and "Research use only. Not for diagnostic use" in outcome.stdout
    assert not [line for line in outcome.stderr.splitlines() if line.startswith(("E:", "F:"))]
    numbers = [line for line in outcome.stdout.splitlines() if " NUM:" in line]
    assert bool(numbers) is (kind != "report.sr.dcm"), "the text has none"
    assert not [line for line in numbers if '.0"' in line], "integers are written as integers"
