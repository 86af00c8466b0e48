"""Pictures always show the patient's right on the left, anterior or the head up, whatever the source order."""

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import masks
from helpers.make_ct import Ball

from service.imaging import render, render_3d, render_slice
from service.pipelines.shared.opacities import Opacity
from service.pipelines.shared.opacity_report import MARKS

pytestmark = pytest.mark.slow

RIGHT_FRONT_HIGH = (Ball(Opacity.HIGH_OPACITY, (-72.0, -35.0, 35.0), 40.0),)


def saturation(rgb: np.ndarray) -> np.ndarray:
    """0 for greys; findings are the only colour in slices."""
    return np.ptp(rgb.astype(int), axis=-1)


def centre(mask: np.ndarray) -> np.ndarray:
    """Centre of a mask as fractions of its shape."""
    return np.argwhere(mask).mean(axis=0) / mask.shape


@pytest.fixture(params=[*make_ct.ORIENTATIONS, "reversed"])
def turned(request: pytest.FixtureRequest) -> tuple:
    options = {"feet_first_numbers": True} if request.param == "reversed" else {"orientation": request.param}
    side = {"rows": 128, "columns": 128}
    ct, analysis = evidence_samples.phantom(**options, **side, findings=RIGHT_FRONT_HIGH)
    view = render.view_of(ct.volume.affine)
    lobes, findings = masks(analysis)
    return view, view(ct.volume.array), view(findings), view(lobes)


def test_axial_shows_right_on_the_left_and_front_up(turned: tuple) -> None:
    view, hu, findings, lobes = turned
    index, affected = render_slice.busiest_plane(findings, lobes, axis=0)
    assert affected
    picture = render_slice.slice_picture(hu[index], findings[index], lobes[index], view.spacing_mm[1:], MARKS)
    row, column = centre(saturation(picture.rgb) > 40)
    assert row < 0.45 and column < 0.4


def test_coronal_shows_right_on_the_left_and_head_up(turned: tuple) -> None:
    view, hu, findings, lobes = turned
    index, _ = render_slice.busiest_plane(findings, lobes, axis=1)
    spacing = (view.spacing_mm[0], view.spacing_mm[2])
    picture = render_slice.slice_picture(hu[:, index], findings[:, index], lobes[:, index], spacing, MARKS)
    row, column = centre(saturation(picture.rgb) > 40)
    assert row < 0.45 and column < 0.4


def test_lungs_are_coloured_by_their_attenuation_alone_and_right_is_on_the_left(turned: tuple) -> None:
    """The finding lies at the front of the right lung; soft tissue around the lungs stays grey."""
    view, hu, findings, lobes = turned
    palette = render.Palette(((-1000.0, (0, 0, 200)), (-600.0, (0, 200, 0)), (0.0, (200, 0, 0))))
    index, _ = render_slice.busiest_plane(findings, lobes, axis=0)
    picture = render_slice.coloured_picture(hu[index], lobes[index], view.spacing_mm[1:], palette)
    red, green, blue = (picture.rgb[..., channel].astype(int) for channel in range(3))
    row, column = centre(red > green + blue)
    assert row < 0.45 and column < 0.4, "as dense as soft tissue"
    coloured = saturation(picture.rgb) > 0
    assert 0.2 < coloured.mean() < 0.7
    air = coloured & (blue > red)
    assert air.sum() > 0.6 * coloured.sum(), "the lungs' -850 HU lie between the first two stops"


def test_a_palette_is_straight_between_its_stops_and_constant_beyond() -> None:
    palette = render.Palette(((-1000.0, (0, 10, 200)), (-600.0, (100, 20, 0))))
    assert palette(np.array([-1024, -1000, -800, -600, 40])).tolist() == [
        [0.0, 10.0, 200.0],
        [0.0, 10.0, 200.0],
        [50.0, 15.0, 100.0],
        [100.0, 20.0, 0.0],
        [100.0, 20.0, 0.0],
    ]
    patch = render_slice.gradient(palette)
    assert patch[0, 0].tolist() == [0, 10, 200] and patch[-1, -1].tolist() == [100, 20, 0]


def test_a_coronal_plane_goes_through_much_lung_where_such_a_plane_has_a_finding() -> None:
    lobes, findings = np.zeros((4, 9, 4), np.uint8), np.zeros((4, 9, 4), np.uint8)
    lobes[:, 2:6] = 1
    lobes[:2, 8] = 1
    findings[:2, 8], findings[0, 3] = 1, 1
    assert render_slice.busiest_plane(findings, lobes, axis=1) == (8, True)
    assert render_slice.busiest_plane(findings, lobes, axis=1, least_lung=0.6) == (3, True)
    findings[0, 3] = 0
    assert render_slice.busiest_plane(findings, lobes, axis=1, least_lung=0.6) == (8, True)
    assert render_slice.busiest_plane(0 * findings, lobes, axis=1, least_lung=0.6) == (2, False)


def test_3d_shows_right_on_the_left_and_head_up(turned: tuple) -> None:
    view, _, findings, lobes = turned
    picture = render_3d.picture_3d(lobes, findings, view.spacing_mm, MARKS)
    red, blue = picture.rgb[..., 0].astype(int), picture.rgb[..., 2].astype(int)
    row, column = centre(red - blue > 40)
    assert row < 0.45 and column < 0.4


def test_pixels_are_square_millimetres() -> None:
    ct, analysis = evidence_samples.phantom(spacing_mm=5.0, slices=44)
    view = render.view_of(ct.volume.affine)
    lobes = view(masks(analysis)[0])
    plane = lobes.shape[1] // 2
    spacing = (view.spacing_mm[0], view.spacing_mm[2])
    picture = render_slice.slice_picture(
        view(ct.volume.array)[:, plane], np.zeros_like(lobes[:, plane]), lobes[:, plane], spacing, MARKS
    )
    dark = picture.rgb[..., 0] < 110
    column = dark[:, int(0.2 * dark.shape[1]) : int(0.35 * dark.shape[1])].sum(axis=0).max()
    assert column * picture.mm_per_pixel == pytest.approx(190.0, abs=8.0)  # the right lung is 190 mm high


def test_a_clean_lung_has_no_colour_and_says_so() -> None:
    ct, analysis = evidence_samples.phantom()
    view = render.view_of(ct.volume.affine)
    lobes, findings = map(view, masks(analysis))
    index, affected = render_slice.busiest_plane(findings, lobes, axis=0)
    assert not affected and index == int(np.argmax((lobes > 0).sum(axis=(1, 2))))
    picture = render_slice.slice_picture(
        view(ct.volume.array)[index], findings[index], lobes[index], view.spacing_mm[1:], MARKS
    )
    assert saturation(picture.rgb).max() == 0


def test_window_is_lung_window() -> None:
    hu = np.array([[-1250.0, -500.0], [250.0, 3000.0]], np.float32).repeat(8, 0).repeat(8, 1)
    nothing = np.zeros(hu.shape, np.uint8)
    rgb = render_slice.slice_picture(hu, nothing, nothing, (1.0, 1.0), MARKS).rgb[..., 0]
    assert (rgb[0, 0], rgb[-1, 0], rgb[-1, -1]) == (0, 255, 255) and rgb[0, -1] in (127, 128)


def test_the_kinds_of_opacity_differ_in_grey_print() -> None:
    ground_glass, high = (render_slice.swatch(m).astype(float) @ (0.299, 0.587, 0.114) for m in MARKS)
    assert high[8:-8, 8:-8].std() > 3 * ground_glass[8:-8, 8:-8].std()  # hatched against plain


def test_empty_masks_give_pictures_too() -> None:
    hu = np.zeros((20, 20), np.float32)
    nothing = np.zeros((20, 20), np.uint8)
    assert render_slice.slice_picture(hu, nothing, nothing, (1.0, 1.0), MARKS).rgb.shape == (720, 720, 3)
    empty = np.zeros((10, 10, 10), np.uint8)
    assert (render_3d.picture_3d(empty, empty, (3.0, 3.0, 3.0), MARKS).rgb == 255).all()


def test_axes_that_share_a_direction_are_refused() -> None:
    with pytest.raises(ValueError, match="oblique"):
        render.view_of(np.array([[0, 1, 1, 0], [0, 0.5, -0.5, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float))


def test_source_index_undoes_the_view() -> None:
    ct, analysis = evidence_samples.phantom(orientation="FFS", findings=RIGHT_FRONT_HIGH)
    view = render.view_of(ct.volume.affine)
    lobes, findings = masks(analysis)
    index, _ = render_slice.busiest_plane(view(findings), view(lobes), axis=0)
    source = view.source_index(0, index, ct.volume.shape[0])
    counts = np.count_nonzero(findings, axis=(1, 2))
    assert counts[source] == counts.max()
