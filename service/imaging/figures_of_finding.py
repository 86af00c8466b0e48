"""Figures of one finding: the axial slice of its longest diameter with its axes, and planes at right angles to it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import LabelArray, Point
from service.domain.report import Figure
from service.imaging.figures import Scene, place_in_series
from service.imaging.render_lines import DrawnLine, picture_with_lines
from service.imaging.render_slice import busiest_plane, slice_picture

Coloured = tuple[Sequence[Point], tuple[int, int, int]]
"""A line, its ends LPS in mm, and its colour."""

_PLANES = {1: ("Coronal", "y", 1, ("R", "L")), 2: ("Sagittal", "x", 0, ("A", "P"))}
"""View axis across a plane: what the plane is called, the LPS coordinate that is the same in all of it, its sides."""


def axial_with_lines(scene: Scene, lines: Sequence[Coloured], what: str) -> tuple[Figure, Figure]:
    """The axial slice that holds the first line, as it is, and with its marks and lines. what: it shows, in words.

    Lines lie in that slice; without any it is the slice with most lung.
    """
    ends = [(_in_view(scene, points), rgb) for points, rgb in lines]
    index = int(np.rint(ends[0][0][0, 0])) if ends else busiest_plane(scene.marked, scene.lungs, axis=0)[0]
    hu, marks, lungs = scene.plane((index,))
    plane, spacing_mm = (hu, marks, _shown(lungs, marks)), (scene.view.spacing_mm[1], scene.view.spacing_mm[2])
    for points, _ in ends:
        rows, columns = np.rint(points[:, 1:]).astype(int).T
        plane[2][rows.clip(0, hu.shape[0] - 1), columns.clip(0, hu.shape[1] - 1)] = 1
    number = scene.view.source_index(0, index, scene.hu.shape[0])
    z_mm = scene.position_mm(axis=0, index=index)[2]
    plain = slice_picture(plane[0], np.zeros_like(plane[1]), plane[2], spacing_mm, scene.marks)
    drawn = [DrawnLine(points[:, 1:], rgb) for points, rgb in ends]
    marked = picture_with_lines(plane, spacing_mm, scene.marks, drawn)
    caption = f"Axial, {place_in_series(scene.ct, number)}, z {z_mm:.1f} mm: unmarked"
    return Figure(plain, caption), Figure(marked, f"The same slice: {what}")


def across(scene: Scene, axis: int, label: int, what: str) -> Figure:
    """The coronal (axis 1) or sagittal (axis 2) plane with most of a label; without any, that with most lung."""
    labelled = (scene.marked == label).astype(np.uint8)
    index, found = busiest_plane(labelled, scene.lungs, axis=axis)
    where: tuple[int | slice, ...] = (slice(None), index) if axis == 1 else (slice(None), slice(None), index)
    spacing_mm = (scene.view.spacing_mm[0], scene.view.spacing_mm[3 - axis])
    hu, marks, lungs = scene.plane(where)
    picture = slice_picture(hu, marks, _shown(lungs, marks), spacing_mm, scene.marks)
    name, letter, coordinate, sides = _PLANES[axis]
    at_mm = scene.position_mm(axis=axis, index=index)[coordinate]
    return Figure(picture, f"{name}, {letter} {at_mm:.1f} mm: {what if found else 'most lung'}", sides=sides)


def _shown(lungs: LabelArray, marked: LabelArray) -> LabelArray:
    """What a picture is cropped to: the lungs, and findings beside them."""
    return ((lungs > 0) | (marked > 0)).astype(np.uint8)


def _in_view(scene: Scene, points: Sequence[Point]) -> NDArray[np.float64]:
    """Points as indices along the view axes (down, back, left); they may lie between voxels."""
    indices = scene.ct.volume.map_reference_to_indices(np.asarray(points, np.float64), round_output=False)
    view = np.empty_like(indices)
    for axis, source in enumerate(scene.view.order):
        along = indices[:, source]
        view[:, axis] = scene.hu.shape[axis] - 1 - along if scene.view.flipped[axis] else along
    return view
