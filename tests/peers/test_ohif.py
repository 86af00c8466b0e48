"""OHIF shows our Segmentations with the right names, colours and voxels, whatever their style."""

import urllib.request
from collections.abc import Iterator

import evidence_samples
import make_ct
import numpy as np
import ohif
import pytest
from dicom_peers import Orthanc
from playwright.sync_api import Browser
from pydicom import Dataset

from service.domain import codes
from service.domain.findings import Lobe
from service.evidence.context import SegKind, Style
from service.evidence.encode import encode
from service.evidence.seal import to_bytes

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("archive")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with ohif.chromium() as running:
        yield running


@pytest.mark.parametrize("kind", SegKind)
def test_names_colours_and_voxels_of_lobes(kind: SegKind, archive: Orthanc, browser: Browser) -> None:
    scan = make_ct.make(study=kind.value)
    ct, analysis = evidence_samples.from_phantom(scan)
    evidence = encode(ct, analysis, evidence_samples.context(ct), (Style(kind),))
    (lobes,) = (one for one in evidence if one.kind == "lobes")
    for content in (*map(_file, scan.datasets), lobes.content):
        store(archive, content)

    page = ohif.open_study(browser, archive, str(scan.datasets[0].StudyInstanceUID))
    shown = ohif.open_segmentation(page, "lobes")
    assert shown.labels == {lobe.value: codes.LOBES[lobe].label for lobe in Lobe}
    for lobe in Lobe:
        assert np.abs(np.subtract(shown.colours[lobe.value], codes.LOBES[lobe].rgb)).max() <= 2  # by way of CIELab
    truth = scan.truth.lobe_mask
    assert shown.voxels == {value: int(np.count_nonzero(truth == value)) for value in (0, *Lobe)}

    # What is drawn is mixed with the CT's grey: of all colours, that of the lobe is the nearest in hue.
    middle = len(truth) // 2
    drawn = [lobe for lobe in Lobe if (truth[middle] == lobe).any()]
    places = [_inside(truth[middle] == lobe) for lobe in drawn]
    positions = [(scan.truth.affine @ [middle, *place, 1])[:3].tolist() for place in places]
    picture = ohif.PICTURES / f"ohif-lobes-{kind.value}.png"
    seen = ohif.colours_at(page, middle, positions, picture)
    assert [_nearest(rgb) for rgb in seen] == drawn, f"see {picture}"
    page.context.close()


def store(archive: Orthanc, content: bytes) -> None:
    request = urllib.request.Request(f"{archive.url}/instances", data=content, method="POST")
    urllib.request.urlopen(request, timeout=30).close()


def _file(dataset: Dataset) -> bytes:
    return to_bytes(dataset)


def _inside(mask: np.ndarray) -> list[int]:
    """Row and column of the voxel of the mask that lies nearest to its middle."""
    voxels = np.argwhere(mask)
    return [int(n) for n in voxels[np.square(voxels - voxels.mean(0)).sum(1).argmin()]]


def _nearest(rgb: tuple[int, ...]) -> Lobe | None:
    """The lobe whose colour has the nearest direction from grey; None for grey."""
    chroma = np.array(rgb) - np.mean(rgb)
    if np.linalg.norm(chroma) < 10:
        return None
    ways = {lobe: np.array(codes.LOBES[lobe].rgb) - np.mean(codes.LOBES[lobe].rgb) for lobe in Lobe}
    return max(ways, key=lambda lobe: float(chroma @ ways[lobe] / np.linalg.norm(ways[lobe])))
