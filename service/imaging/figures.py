"""Figures of a report: the CT's planes with marked labels and a view in 3D, each with a caption of what it shows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import LabelArray
from service.domain.ct import CT, Hounsfield
from service.domain.report import Figure
from service.imaging.attributes import known_text
from service.imaging.render import Mark, Palette, View, view_of
from service.imaging.render_3d import picture_3d
from service.imaging.render_slice import WINDOW_HU, busiest_plane, coloured_picture, slice_picture

SCALE = f"Grey scale {WINDOW_HU[0]:.0f} to {WINDOW_HU[1]:.0f} HU"

_MUCH_LUNG = 0.5
"""Part of the largest area of lung: a coronal plane at the back shows ribs and spine rather than lungs."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What figures show, with view axes (down, back, left).

    marked: labels, of which each mark shows one. lungs: labels of the lungs. noun: what is marked ("opacity").
    """

    ct: CT
    view: View
    hu: Hounsfield
    marked: LabelArray
    lungs: LabelArray
    marks: Sequence[Mark]
    noun: str

    @classmethod
    def of(cls, ct: CT, marked: LabelArray, lungs: LabelArray, marks: Sequence[Mark], noun: str) -> Self:
        """marked, lungs: axes (slice, row, column) of the CT."""
        view = view_of(ct.volume.affine)
        return cls(ct, view, view(ct.volume.array), view(marked), view(lungs), marks, noun)

    def plane(self, index: tuple[int | slice, ...]) -> tuple[Hounsfield, LabelArray, LabelArray]:
        """HU, marked and lung labels of one plane."""
        return self.hu[index], self.marked[index], self.lungs[index]

    def position_mm(self, axis: int, index: int) -> NDArray[np.float64]:
        """LPS position of the first voxel of a plane across a view axis."""
        voxel = np.zeros(4)
        voxel[self.view.order[axis]] = self.view.source_index(axis, index, self.hu.shape[axis])
        voxel[3] = 1.0
        position: NDArray[np.float64] = (np.asarray(self.ct.volume.affine) @ voxel)[:3]
        return position


def axial(scene: Scene) -> tuple[Figure, Figure]:
    """The slice with most marked voxels as it is, and with its marks."""
    index, affected = busiest_plane(scene.marked, scene.lungs, axis=0)
    hu, marked, lungs = scene.plane((index,))
    spacing_mm = (scene.view.spacing_mm[1], scene.view.spacing_mm[2])
    number = scene.view.source_index(0, index, scene.hu.shape[0])
    z_mm = scene.position_mm(axis=0, index=index)[2]
    place = f"Axial, {place_in_series(scene.ct, number)}, z {z_mm:.1f} mm"
    which = "most affected slice" if affected else f"no {scene.noun} found; slice with the most lung"
    plain = slice_picture(hu, np.zeros_like(marked), lungs, spacing_mm, scene.marks)
    with_marks = slice_picture(hu, marked, lungs, spacing_mm, scene.marks)
    return Figure(plain, f"{place}: unmarked"), Figure(with_marks, f"The same slice, marked: {which}")


def overlay(scene: Scene, what: str) -> Figure:
    """The axial slice with most marked voxels, with its marks. what: they show, in a few words, and where it is nowhere
    the caption says so."""
    index, affected = busiest_plane(scene.marked, scene.lungs, axis=0)
    picture = slice_picture(*scene.plane((index,)), (scene.view.spacing_mm[1], scene.view.spacing_mm[2]), scene.marks)
    number = scene.view.source_index(0, index, scene.hu.shape[0])
    which = what if affected else f"no {scene.noun} found; slice with the most lung"
    return Figure(picture, f"Axial, {place_in_series(scene.ct, number)}: {which}")


def coronal(scene: Scene) -> Figure:
    """A plane through much of the lungs, with as many marked voxels as such a plane has."""
    index, affected = busiest_plane(scene.marked, scene.lungs, axis=1, least_lung=_MUCH_LUNG)
    spacing_mm = (scene.view.spacing_mm[0], scene.view.spacing_mm[2])
    picture = slice_picture(*scene.plane((slice(None), index)), spacing_mm, scene.marks)
    y_mm = scene.position_mm(axis=1, index=index)[1]
    which = f"most {scene.noun}" if affected else "most lung"
    return Figure(picture, f"Coronal, y {y_mm:.1f} mm: {which}")


def coloured_coronal(scene: Scene, palette: Palette) -> Figure:
    """The coronal plane with most lung, which is coloured by its attenuation; marks are not shown."""
    index = busiest_plane(scene.lungs, scene.lungs, axis=1)[0]
    hu, _, lungs = scene.plane((slice(None), index))
    picture = coloured_picture(hu, lungs, (scene.view.spacing_mm[0], scene.view.spacing_mm[2]), palette)
    y_mm = scene.position_mm(axis=1, index=index)[1]
    return Figure(picture, f"Coronal, y {y_mm:.1f} mm: most lung, coloured by attenuation")


def front(scene: Scene) -> Figure:
    """The lungs from the front."""
    picture = picture_3d(scene.lungs, scene.marked, scene.view.spacing_mm, scene.marks)
    return Figure(picture, "3D rendering, seen from the front", dark=False)


def place_in_series(ct: CT, index: int) -> str:
    """How a reader finds slice `index` of the volume in the source series."""
    if ct.frame_numbers:
        return f"frame {ct.frame_numbers[index]}"
    instance = known_text(ct.headers[index], "InstanceNumber")
    return f"image {instance}" if re.fullmatch(r"\d{1,10}", instance) else f"slice {index + 1}"
