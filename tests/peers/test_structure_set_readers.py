"""The RT Structure Set, filled by a reader that radiotherapy departments use: plastimatch."""

import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.shared_data import tool
from numpy.typing import NDArray

from service.composition.destinations import selections
from service.domain.anatomy import Lobe
from service.evidence.context import STRUCTURE_SET
from service.pipelines.shared.lobe_segments import SEGMENT_OF
from service.pipelines.shared.opacities import Opacity
from service.settings import DicomDestination

pytestmark = pytest.mark.peers

SCAN: dict[str, Any] = {"findings": make_ct.FINDINGS, "slices": 44, "spacing_mm": 5.0}
ORIENTATIONS: dict[str, dict[str, Any]] = {"head first": {}, "feet first": {"orientation": "FFS"}}


def filled(folder: Path, scan: make_ct.PhantomCT) -> dict[str, NDArray[np.bool_]]:
    """Masks by the name of their ROI as plastimatch fills them on the CT, axes (slice, row, column) of the volume."""
    ct, analysis = evidence_samples.from_phantom(scan)
    wanted = selections([DicomDestination(ae_title="PLANNING", host="planning", send=("rtstruct",))])
    evidence = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), wanted)
    (content,) = [one.content for one in evidence if one.kind == STRUCTURE_SET.kind]
    images, structures, masks = folder / "ct", folder / "structures.dcm", folder / "masks"
    images.mkdir()
    structures.write_bytes(content)
    for number, image in enumerate(scan.datasets):
        image.save_as(images / f"{number}.dcm", enforce_file_format=True)
    command = [tool("plastimatch"), "convert", "--input", structures, "--referenced-ct", images]
    command += ["--output-prefix", masks, "--prefix-format", "nii.gz"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=120)
    to_voxels = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ scan.truth.affine)  # NIfTI is RAS
    return {path.name.removesuffix(".nii.gz"): _on_grid(path, to_voxels) for path in masks.glob("*.nii.gz")}


def _on_grid(path: Path, to_voxels: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The file's voxels in the order of the CT's axes, which are those of the file in another order or direction."""
    image = nibabel.Nifti1Image.from_filename(path)
    turn = to_voxels @ image.affine
    assert np.allclose(np.abs(turn[:3, :3]).round(6).sum(0), 1), "the same grid"
    inside = np.argwhere(np.asarray(image.dataobj) > 0)
    there = np.rint(inside @ turn[:3, :3].T + turn[:3, 3]).astype(int)
    shape = tuple(np.rint(np.abs(turn[:3, :3]) @ image.shape).astype(int))
    mask = np.zeros(shape, np.bool_)
    mask[tuple(there.T)] = True
    return mask


@pytest.mark.parametrize("scan", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_plastimatch_fills_the_very_regions_that_were_outlined(tmp_path: Path, scan: dict[str, Any]) -> None:
    made = make_ct.make(**SCAN, **scan)
    found = filled(tmp_path, made)
    regions = {SEGMENT_OF[lobe].name: made.truth.lobe_mask == lobe for lobe in Lobe}
    regions |= {kind.name: made.truth.finding_mask == kind for kind in Opacity}
    assert found.keys() == regions.keys()
    for name, truth in regions.items():
        assert truth.any() and found[name].shape == truth.shape
        assert np.array_equal(found[name], truth), f"{name}: {np.count_nonzero(found[name] ^ truth)} voxels differ"
