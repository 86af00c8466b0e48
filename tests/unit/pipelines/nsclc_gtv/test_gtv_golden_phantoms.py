"""Golden phantoms: tumours of known volume and diameters, in every position of the patient, found where they are.

The stand-in network answers the true outline on its own grid, so these numbers test the way there and back.
"""

from functools import cache

import numpy as np
import pytest
from helpers import make_ct, tiny_tumour
from helpers.tumours import Tumour

from service.domain.analysis import Analysis, MeasurementGroup
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.ports import Backend, unheard
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.nsclc_gtv.pipeline import NsclcGtv
from service.pipelines.shared.lobe_segments import site

pytestmark = pytest.mark.slow

PIXEL_MM = 2.0
ELLIPSOID = Tumour((-76.0, -28.0, 34.0), (24.0, 17.0, 20.0), turned_degrees=25.0)
SPICULATED = Tumour((80.0, -8.0, -36.0), (18.0, 18.0, 18.0), turned_degrees=10.0, spikes=5, spike_mm=5.0)
SCAN = {"slices": 88, "spacing_mm": 2.5, "rows": 176, "columns": 176, "pixel_mm": (PIXEL_MM, PIXEL_MM)}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return OnnxBackend(tiny_tumour.repository(tmp_path_factory.mktemp("gtv") / "models"), 1)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """The stand-in network, fed as the paper has it."""
    return OnnxBackend(tiny_tumour.repository(tmp_path_factory.mktemp("paper") / "models", paper=True), 1)


@cache
def found_in(backend: Backend, tumour: Tumour, **options: object) -> tuple[CT, Analysis]:
    """The CT and its analysis; made once for several tests."""
    ct = read_ct(make_ct.make(**SCAN | {"tumours": (tumour,)} | options).datasets)
    return ct, NsclcGtv().analyse(ct, backend, unheard)


def line_of(group: MeasurementGroup, name: str) -> np.ndarray:
    return np.array(next(one.line for one in group.measurements if one.name == name))


def longest_mm(tumour: Tumour) -> float:
    """The longest diameter in a plane across, from its outline in the middle, every half degree."""
    angles = np.radians(np.arange(0.0, 360.0, 0.5))
    radii = np.arange(1.0, 60.0, 0.05)
    x, y = radii * np.cos(angles)[:, None], radii * np.sin(angles)[:, None]
    centre = tumour.centre_mm
    inside = tumour.holds(centre[0] + x, centre[1] + y, np.full_like(x, centre[2]))
    reach = radii[inside.sum(1) - 1]
    outline = np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
    return float(np.linalg.norm(outline[:, None] - outline[None], axis=2).max())


@pytest.mark.parametrize("orientation", make_ct.ORIENTATIONS)
@pytest.mark.parametrize(("tumour", "lobe"), [(ELLIPSOID, Lobe.RUL), (SPICULATED, Lobe.LLL)], ids=["smooth", "spiked"])
def test_volume_diameters_and_lobe_are_right_in_every_position(
    backend: Backend, tumour: Tumour, lobe: Lobe, orientation: str
) -> None:
    ct, found = found_in(backend, tumour, orientation=orientation)
    gtv = found.group("GTV_1")
    assert gtv["volume_ml"] == pytest.approx(tumour.ml, rel=0.02)
    assert gtv["longest_diameter_mm"] == pytest.approx(longest_mm(tumour), abs=PIXEL_MM)
    assert gtv.site == site(lobe)
    positive = {name: found.group(name).evaluations[0].value.meaning for name in ("LUNG_RIGHT", "LUNG_LEFT")}
    right = lobe is Lobe.RUL
    assert positive == dict(
        zip(("LUNG_RIGHT", "LUNG_LEFT"), ("Positive", "Negative")[:: 1 if right else -1], strict=True)
    )
    assert found.group("TUMOUR")["finding_count"] == 1
    if not tumour.spikes:
        assert gtv["perpendicular_diameter_mm"] == pytest.approx(2 * tumour.half_axes_mm[1], abs=PIXEL_MM)
        assert gtv["longest_3d_diameter_mm"] == pytest.approx(2 * tumour.half_axes_mm[0], abs=PIXEL_MM)
    labels = found.label_map("tumour").labels
    voxels = np.argwhere(labels == 1)
    middle = ct.volume.map_indices_to_reference(voxels).mean(0)
    truth = np.array(tumour.centre_mm) + make_ct.Spec().centre_mm
    assert np.abs(middle - truth).max() < 0.5


@pytest.mark.parametrize("orientation", make_ct.ORIENTATIONS)
def test_axes_lie_along_the_tumour_in_the_patient(backend: Backend, orientation: str) -> None:
    _, found = found_in(backend, ELLIPSOID, orientation=orientation)
    gtv = found.group("GTV_1")
    long, short = (line_of(gtv, name) for name in ("longest_diameter_mm", "perpendicular_diameter_mm"))
    angle = np.radians(ELLIPSOID.turned_degrees)
    along = (long[1] - long[0]) / np.linalg.norm(long[1] - long[0])
    assert abs(along @ [np.cos(angle), np.sin(angle), 0.0]) == pytest.approx(1.0, abs=0.01)
    assert abs(along @ (short[1] - short[0])) < 0.1 * np.linalg.norm(short[1] - short[0])
    truth = np.array(ELLIPSOID.centre_mm) + make_ct.Spec().centre_mm
    assert np.abs(long.mean(0) - truth).max() < PIXEL_MM + 1.25
    assert long[0, 2] == pytest.approx(long[1, 2])
    assert np.linalg.norm(long[1] - long[0]) == pytest.approx(gtv["longest_diameter_mm"])


@pytest.mark.parametrize(("spacing_mm", "slices"), [(1.25, 176), (5.0, 44), (8.0, 28), (10.0, 22)])
def test_thin_and_thick_slices_give_the_same_tumour(backend: Backend, spacing_mm: float, slices: int) -> None:
    _, found = found_in(backend, ELLIPSOID, spacing_mm=spacing_mm, slices=slices)
    tolerance = 0.02 if spacing_mm <= 2.5 else 0.02 * spacing_mm / 2.5
    assert found.group("GTV_1")["volume_ml"] == pytest.approx(ELLIPSOID.ml, rel=tolerance)
    assert found.group("GTV_1")["longest_diameter_mm"] == pytest.approx(48.0, abs=PIXEL_MM)


@pytest.mark.parametrize("orientation", ["HFS", "HFDL", "FFP"])
def test_the_papers_layout_finds_the_same_tumour(paper: Backend, orientation: str) -> None:
    """In all eight positions the way there and back is tried by the layout's property tests."""
    ct, found = found_in(paper, ELLIPSOID, orientation=orientation)
    gtv = found.group("GTV_1")
    assert gtv["volume_ml"] == pytest.approx(ELLIPSOID.ml, rel=0.02)
    assert gtv["longest_diameter_mm"] == pytest.approx(48.0, abs=PIXEL_MM)
    assert gtv["perpendicular_diameter_mm"] == pytest.approx(34.0, abs=PIXEL_MM)
    assert gtv.site == site(Lobe.RUL) and found.group("TUMOUR")["finding_count"] == 1
    middle = ct.volume.map_indices_to_reference(np.argwhere(found.label_map("tumour").labels == 1)).mean(0)
    assert np.abs(middle - ELLIPSOID.centre_mm - make_ct.Spec().centre_mm).max() < 0.6
