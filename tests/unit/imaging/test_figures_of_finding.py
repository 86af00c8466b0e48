"""Lines lie in pictures where they lie in the patient, whatever the order of slices, rows and columns."""

from typing import Any

import highdicom as hd
import numpy as np
import pytest
from helpers import make_ct
from pydicom import Dataset

from service.domain.ct import CT
from service.imaging.figures import Scene
from service.imaging.figures_of_finding import across, axial_with_lines
from service.imaging.render import Mark
from service.imaging.render_lines import DrawnLine, picture_with_lines

YELLOW, BLUE = (255, 235, 60), (90, 230, 255)
MARK = Mark(1, (255, 0, 255), 0.15)


def scene_of(orientation: str) -> Scene:
    """A block of label 1 on the patient's right, in front, towards the head; all of the image counts as lung."""
    spec = make_ct.Spec(
        slices=20,
        rows=60,
        columns=60,
        spacing_mm=4.0,
        pixel_mm=(2.0, 2.0),
        orientation=orientation,
        centre_mm=(0, 0, 0),
    )
    volume = hd.Volume(np.full((20, 60, 60), -800, np.int16), spec.affine, "PATIENT")
    labels = np.zeros(volume.shape, np.uint8)
    for voxel in np.argwhere(labels == 0):
        x, y, z = volume.map_indices_to_reference(voxel[None].astype(float))[0]
        labels[tuple(voxel)] = (-40 < x < -20) and (-30 < y < -10) and (8 < z < 24)
    headers = tuple(Dataset() for _ in range(20))
    ct = CT(headers, volume)
    return Scene.of(ct, labels, np.ones_like(labels), (MARK,), "finding")


def where(rgb: np.ndarray, colour: tuple[int, int, int]) -> Any:
    return np.argwhere(np.abs(rgb.astype(int) - colour).sum(-1) == 0)


@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFS", "FFDR"])
def test_axes_and_outline_are_drawn_where_they_are_in_the_patient(orientation: str) -> None:
    scene = scene_of(orientation)
    z = float(scene.ct.volume.map_indices_to_reference(np.array([[14.0, 0, 0]]))[0, 2])
    z = z if 8 < z < 24 else float(scene.ct.volume.map_indices_to_reference(np.array([[5.0, 0, 0]]))[0, 2])
    lines = [(((-40.0, -20.0, z), (-20.0, -20.0, z)), YELLOW), (((-30.0, -30.0, z), (-30.0, -10.0, z)), BLUE)]
    plain, marked = axial_with_lines(scene, lines, "both axes")
    assert f"z {z:.1f} mm" in plain.caption and marked.caption == "The same slice: both axes"
    rgb, mm = marked.picture.rgb, marked.picture.mm_per_pixel
    assert not len(where(plain.picture.rgb, YELLOW)) and not len(where(plain.picture.rgb, MARK.rgb))
    middle = (np.array(rgb.shape[:2]) - 1) / 2
    for colour, axis in ((YELLOW, 1), (BLUE, 0)):
        found = where(rgb, colour)
        assert np.ptp(found[:, axis]) * mm == pytest.approx(20.0, abs=1.5)
    row, column = (where(rgb, YELLOW).mean(0) - middle) * mm
    assert (row, column) == (pytest.approx(-20.0, abs=1.5), pytest.approx(-30.0, abs=1.5)), "in front; right is left"
    outline = (where(rgb, MARK.rgb).mean(0) - middle) * mm
    assert outline == pytest.approx([-20.0, -30.0], abs=2.5)


@pytest.mark.parametrize("orientation", ["HFS", "FFP"])
def test_planes_across_go_through_the_finding_and_tell_their_sides(orientation: str) -> None:
    scene = scene_of(orientation)
    coronal, sagittal = across(scene, 1, 1, "most of it"), across(scene, 2, 1, "most of it")
    assert coronal.caption.startswith("Coronal, y -") and sagittal.caption.startswith("Sagittal, x -")
    assert coronal.sides == ("R", "L") and sagittal.sides == ("A", "P")
    for figure, sideways_mm in ((coronal, -30.0), (sagittal, -20.0)):
        rgb = figure.picture.rgb
        middle = (np.array(rgb.shape[:2]) - 1) / 2
        down, side = (where(rgb, MARK.rgb).mean(0) - middle) * figure.picture.mm_per_pixel
        assert (down, side) == (pytest.approx(-16.0, abs=3.0), pytest.approx(sideways_mm, abs=2.5)), "head is up"


def test_without_lines_the_slice_with_most_lung_is_shown() -> None:
    scene = scene_of("HFS")
    empty = Scene.of(scene.ct, np.zeros_like(scene.marked), scene.lungs, (MARK,), "finding")
    _, marked = axial_with_lines(empty, [], "nothing found")
    assert marked.caption == "The same slice: nothing found" and not len(where(marked.picture.rgb, MARK.rgb))
    assert across(empty, 1, 1, "most of it").caption.endswith(": most lung")


def test_a_line_of_no_length_is_a_bar() -> None:
    plane = (np.full((40, 40), -800, np.int16), np.zeros((40, 40), np.uint8), np.ones((40, 40), np.uint8))
    drawn = picture_with_lines(plane, (1.0, 1.0), (), [DrawnLine(np.array([[20.0, 20.0]] * 2), YELLOW)])
    assert len(where(drawn.rgb, YELLOW)) > 10
