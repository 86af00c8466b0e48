"""Real lungs, as if breathed in less: registered within what the match of findings allows for."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from service.imaging.finding_match import REACH_MM, match, points_of
from service.imaging.read import read_ct
from service.imaging.registration import register

pytestmark = pytest.mark.slow

DEMO = Path(__file__).parents[3] / "demo" / "ct"
THINNED = (1, 4, 4)


@pytest.fixture(scope="module")
def lungs() -> hd.Volume:
    """A mask of the lungs of the demo CT: the largest air within the body, with the airways."""
    volume = read_ct([dcmread(path) for path in sorted(DEMO.glob("*.dcm"))]).volume
    labels, _ = ndimage.label(volume.array < -500)
    sides = (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    around = {int(n) for side in sides for n in np.unique(side)}
    sizes = np.bincount(labels.ravel())
    sizes[[0, *around]] = 0
    return volume.with_array((labels == sizes.argmax()).astype(np.uint8))


class Breath:
    """Moves tissue to the feet, front and sides, the more the nearer to the lungs' base. base_mm: how far there."""

    def __init__(self, lungs: hd.Volume, base_mm: float) -> None:
        points = points_of(lungs.array > 0, lungs.affine)
        self.base_mm, self.middle = base_mm, float(points[:, 0].mean())
        self.base, self.apex = float(points[:, 2].min()), float(points[:, 2].max())

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much points (x, y, z in LPS mm) move."""
        depth = np.clip((self.apex - points[:, 2]) / (self.apex - self.base), 0.0, 1.0)
        aside = 0.25 * depth * np.sign(points[:, 0] - self.middle)
        return self.base_mm * np.stack([aside, -0.35 * depth, -(depth**1.5)], axis=1)

    def moved(self, lungs: hd.Volume) -> hd.Volume:
        """The mask after it, on every fourth row and column."""
        fewer = lungs[tuple(slice(None, None, step) for step in THINNED)]
        index = np.indices(fewer.spatial_shape).reshape(3, -1).T
        there = fewer.map_indices_to_reference(index)
        back = lungs.map_reference_to_indices(there - self(there), round_output=False)
        labels = ndimage.map_coordinates(lungs.array, back.T, order=0, mode="constant")
        return fewer.with_array(labels.reshape(fewer.spatial_shape))


BREATHS = ((0.0, 0.93, 1.0), (15.0, 0.85, 7.5), (25.0, 0.8, 11.0))
"""The mask has holes where vessels are, so that it overlaps less than one of lobes does."""


@pytest.mark.parametrize(("base_mm", "least_overlap", "most_mm"), BREATHS)
def test_a_tumour_is_found_again_in_another_depth_of_breath(
    lungs: hd.Volume, base_mm: float, least_overlap: float, most_mm: float
) -> None:
    breath = Breath(lungs, base_mm)
    found = register(lungs, breath.moved(lungs))
    assert found is not None and found.overlap > least_overlap
    grid = np.indices((31, 31, 31)).reshape(3, -1).T - 15.0
    ball = grid[np.linalg.norm(grid, axis=1) <= 15.0]
    for height in (0.3, 0.7):
        centre = points_of(lungs.array > 0, lungs.affine)
        centre = centre[np.abs(centre[:, 2] - (breath.base + height * (breath.apex - breath.base))) < 3.0]
        then = ball + centre[centre[:, 0] < breath.middle].mean(0)
        now = then + breath(then)
        missed_mm = np.linalg.norm((found.to_now[:3, :3] @ then.mean(0) + found.to_now[:3, 3]) - now.mean(0))
        assert missed_mm < most_mm <= REACH_MM + 1.0
        assert match({"T": then}, {"N": now}, found.to_now).pairs == {"N": "T"}
