"""Segmentations as OHIF shows them: names, colours and voxels, read back from the viewer's state."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import evidence_samples, make_ct, ohif
from helpers.dicom_peers import Orthanc
from pydicom.uid import generate_uid

from service.domain.anatomy import Lobe
from service.evidence.context import SegKind, Selection, Style
from service.pipelines.shared.lobe_segments import SEGMENT_OF

pytestmark = pytest.mark.peers

MIDDLE_LOBES = (Lobe.RML, Lobe.RLL, Lobe.LUL, Lobe.LLL)
"""Lobes that the middle slice of the phantom shows."""


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("ohif")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with ohif.browser() as browser:
        yield browser


@pytest.mark.parametrize("kind", SegKind)
def test_ohif_shows_names_colours_and_voxels(pacs: Orthanc, chromium: Any, tmp_path: Path, kind: SegKind) -> None:
    uid = str(generate_uid(entropy_srcs=["ohif", kind]))
    scan = make_ct.make(findings=make_ct.FINDINGS, attributes={"StudyInstanceUID": uid})
    ct, analysis = evidence_samples.from_phantom(scan)
    selection = Selection(Style(kind), frozenset(["lobes", "text"]))
    made = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), [selection])
    images = [path.read_bytes() for path in make_ct.write(scan.datasets, tmp_path)]
    ohif.store(pacs, *images, *(one.content for one in made if one.kind in ("lobes", "text")))
    with ohif.study(chromium, pacs, uid) as page:
        middle, picture = len(images) // 2, f"ohif-{kind}.png"
        shown = ohif.segments(page, "AI lobes v1 14:05", middle, picture)
        places = {lobe: inside(scan.truth.lobe_mask[middle] == lobe) for lobe in MIDDLE_LOBES}
        positions = [(scan.truth.affine @ [middle, *place, 1])[:3].tolist() for place in places.values()]
        colours = ohif.drawn(page, positions, picture)
        if kind is SegKind.BINARY:
            text = ohif.document(page, "AI text report v1", "CT severity score, Pan 2020", "ohif-text.png")
            assert "Right middle lobe: 269.6 mL" in text and "Research use only. Not for diagnostic use" in text
    assert [nearest_lobe(rgb) for rgb in colours] == list(places), f"drawn in {colours}"
    assert [(one.number, one.label) for one in shown] == [(int(lobe), SEGMENT_OF[lobe].title) for lobe in Lobe]
    for one in shown:
        lobe = Lobe(one.number)
        assert np.allclose(one.rgb, SEGMENT_OF[lobe].rgb, atol=4), (lobe, one.rgb)
        assert one.voxels == np.count_nonzero(analysis.label_map("lobes").labels == lobe), lobe


def inside(mask: np.ndarray) -> list[int]:
    """Row and column of the voxel of the mask that lies nearest to its middle."""
    voxels = np.argwhere(mask)
    return [int(n) for n in voxels[np.square(voxels - voxels.mean(0)).sum(1).argmin()]]


def nearest_lobe(rgb: tuple[int, ...]) -> Lobe | None:
    """The lobe whose colour deviates from grey the same way; None for grey.

    The viewer mixes colours with the CT's grey.
    """
    off_grey = np.array(rgb) - np.mean(rgb)
    if np.linalg.norm(off_grey) < 10:
        return None
    ways = {lobe: np.array(SEGMENT_OF[lobe].rgb) - np.mean(SEGMENT_OF[lobe].rgb) for lobe in Lobe}
    return max(ways, key=lambda lobe: float(off_grey @ ways[lobe] / np.linalg.norm(ways[lobe])))
