"""Evidence of a pipeline that the service does not know, before independent judges: dicom3tools and dcmqi."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from helpers import evidence_samples, make_ct, tiny_models, toy_pipeline
from helpers.programs import program

from service.domain.analysis import Analysis
from service.domain.ports import unheard
from service.evidence.context import ALWAYS, Selection
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend

pytestmark = pytest.mark.peers

EVERYTHING = ALWAYS | {"capture", "text", "heat-map"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, Path, Path]:
    """The analysis of a noisy phantom, the folder of its CT and that of its evidence."""
    folder = tmp_path_factory.mktemp("added")
    root = tiny_models.repository(folder / "models")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    scan = make_ct.make(slices=70, spacing_mm=3.0, noise_hu=50.0)
    make_ct.write(scan.datasets, folder / "source")
    (folder / "evidence").mkdir()
    ct = read_ct(scan.datasets)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(toy_pipeline.FOLDER)
        from emphysema_index.pipeline import EmphysemaIndex

        pipeline = EmphysemaIndex()
        analysis = pipeline.analyse(ct, OnnxBackend(root, 1), unheard)
        body = pipeline.report(ct, analysis, lambda: None)
    context = evidence_samples.context(ct, pipeline=analysis.pipeline)
    for item in encode(ct, analysis, lambda: body, context, [Selection(kinds=EVERYTHING)]):
        (folder / "evidence" / item.file_name).write_bytes(item.content)
    return analysis, folder / "source", folder / "evidence"


def errors(tool: str, *paths: Path) -> list[str]:
    outcome = subprocess.run([program(tool), *paths], capture_output=True, text=True, check=False)
    return [line for line in (outcome.stdout + outcome.stderr).splitlines() if "Error" in line]


def test_every_object_is_valid_and_the_set_is_consistent(result: tuple[Analysis, Path, Path]) -> None:
    _, source, evidence = result
    objects = sorted(evidence.glob("*.dcm"))
    assert {path.name for path in objects} >= {"lobes.seg.dcm", "emphysema.seg.dcm", "measurements.sr.dcm"}
    assert [error for path in objects for error in errors("dciodvfy", path)] == []
    assert errors("dcentvfy", source / "0000.dcm", *objects) == []


def test_dcmqi_reads_the_voxels_that_were_found(result: tuple[Analysis, Path, Path], tmp_path: Path) -> None:
    analysis, _, evidence = result
    seg = evidence / "emphysema.seg.dcm"
    command = [program("segimage2itkimage"), "--inputDICOM", seg, "--outputDirectory", tmp_path, "-t", "nrrd"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    (mask,) = tmp_path.glob("*.nrrd")
    found = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(mask)))
    labels = analysis.label_map("emphysema").labels
    assert np.count_nonzero(found) == np.count_nonzero(labels) > 1000
    voxel_ml = analysis.group("EMPHYSEMA")["volume_ml"] / np.count_nonzero(labels)
    assert voxel_ml == pytest.approx(0.027, rel=1e-6), "3 mm x 3 mm x 3 mm"
