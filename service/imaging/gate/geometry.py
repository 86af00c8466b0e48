"""Checks the position of the slices: one orientation, one grid, one regular stack without gaps (PS3.3 C.7.6.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.domain.eligibility import Eligibility, Limits
from service.domain.flags import THICK_SLICES
from service.errors import Reason, Refusal
from service.imaging.frames import Frame
from service.imaging.gate import consistency, stack
from service.imaging.naming import named

_BESIDE_MM, _BESIDE_PIXELS, _ROUNDING_MM = 0.25, 0.25, 0.05
"""A slice may lie a quarter of a pixel or of a millimetre beside the stack, the smaller, and positions are rounded."""


def check(images: Sequence[Dataset], frames: Sequence[Frame], limits: Limits) -> Eligibility:
    """Geometry of at least one slice. The stack is measured only if all slices have one orientation."""
    in_plane = (*_orientation(frames, limits), *_grid(frames, limits), *_few(frames, limits))
    if any(refusal.reason is Reason.MIXED_ORIENTATION for refusal in in_plane):
        return Eligibility(in_plane, slices=len(frames))
    normal = _normals(frames)[0]
    measured = stack.check(frames, normal, limits)
    beside = list(_beside(frames, normal))
    refusals = (
        *in_plane,
        *beside,
        *_tilt(frames, normal, limits, straight=not beside),
        *measured.refusals,
        *_thick(measured, limits),
        *consistency.check(images, frames, normal),
    )
    flags = [] if _good(measured, limits) else [THICK_SLICES]
    return replace(measured, refusals=refusals, flags=tuple(flags))


def _normals(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Slice normals, axes (frame, LPS)."""
    cosines = np.array([frame.orientation for frame in frames]).reshape(-1, 2, 3)
    normals = np.cross(cosines[:, 0], cosines[:, 1])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(lengths > 0, lengths, 1.0), np.float64)


def _orientation(frames: Sequence[Frame], limits: Limits) -> Iterator[Refusal]:
    cosines = np.array([frame.orientation for frame in frames])
    other = np.abs(cosines - np.median(cosines, axis=0)).max(axis=1) > limits.cosine_tolerance
    if other.any():
        detail = f"Oriented differently from most: {named(frames, np.flatnonzero(other).tolist())}."
        yield Refusal(Reason.MIXED_ORIENTATION, detail)
    axial = np.abs(_normals(frames)[:, 2])
    oblique = axial < limits.min_axial_cosine
    if oblique.any():
        yield Refusal(
            Reason.NOT_AXIAL,
            f"Cosine between slice normal and patient axis {axial.min():.3f}, at least {limits.min_axial_cosine:.2f} "
            f"is required, in {np.count_nonzero(oblique)} of {len(frames)} slices.",
        )


def _grid(frames: Sequence[Frame], limits: Limits) -> Iterator[Refusal]:
    matrices = {(frame.rows, frame.columns) for frame in frames}
    if len(matrices) > 1:
        names = ", ".join(f"{rows}×{columns}" for rows, columns in sorted(matrices))
        yield Refusal(Reason.MIXED_GEOMETRY, f"Rows×Columns {names}.")
    spacing_mm = np.array([frame.pixel_spacing_mm for frame in frames])
    if np.ptp(spacing_mm, axis=0).max() > limits.pixel_spacing_tolerance_mm:
        detail = f"Pixel Spacing from {spacing_mm.min():.4f} to {spacing_mm.max():.4f} mm."
        yield Refusal(Reason.MIXED_GEOMETRY, detail)
    references = {frame.frame_of_reference_uid for frame in frames}
    if len(references) > 1:
        yield Refusal(Reason.MIXED_GEOMETRY, f"{len(references)} different frames of reference.")


def _few(frames: Sequence[Frame], limits: Limits) -> Iterator[Refusal]:
    if len(frames) < limits.min_slices:
        yield Refusal(Reason.TOO_FEW, f"{len(frames)} slices; at least {limits.min_slices} are required.")


def _beside(frames: Sequence[Frame], normal: NDArray[np.float64]) -> Iterator[Refusal]:
    """MIXED_GEOMETRY for slices that do not lie in one straight stack: the volume's affine would misplace them.

    A stack that leans evenly is straight: `_tilt` judges it.
    """
    positions = np.array([frame.position_mm for frame in frames])
    along_mm = positions @ normal
    in_plane_mm = positions - np.outer(along_mm, normal)
    off_mm = np.linalg.norm(in_plane_mm - _straight(along_mm, in_plane_mm), axis=1)
    allowed_mm = min(_BESIDE_MM, _BESIDE_PIXELS * min(frames[0].pixel_spacing_mm)) + _ROUNDING_MM
    if off_mm.max() > allowed_mm:
        where = named(frames, np.flatnonzero(off_mm > allowed_mm).tolist())
        detail = f"Up to {off_mm.max():.2f} mm beside the stack, at most {allowed_mm:.2f} mm is accepted: {where}."
        yield Refusal(Reason.MIXED_GEOMETRY, detail)


def _straight(along_mm: NDArray[np.float64], in_plane_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The straight line through most positions (median of slopes between slices half a stack apart)."""
    order = np.argsort(along_mm, kind="stable")
    lower, upper = order[: len(order) // 2], order[(len(order) + 1) // 2 :]
    rise_mm = (along_mm[upper] - along_mm[lower])[:, None]
    apart = rise_mm[:, 0] > 0
    slope = np.zeros(3)
    if apart.any():
        slope = np.median((in_plane_mm[upper] - in_plane_mm[lower])[apart] / rise_mm[apart], axis=0)
    foot_mm = np.median(in_plane_mm - np.outer(along_mm, slope), axis=0)
    return np.asarray(foot_mm + np.outer(along_mm, slope), np.float64)


def _tilt(frames: Sequence[Frame], normal: NDArray[np.float64], limits: Limits, straight: bool) -> Iterator[Refusal]:
    """TILT by the attribute, and by slices stacked obliquely to their normal; a crooked stack has no one angle."""
    stated = max(abs(((frame.tilt_degrees or 0.0) + 180.0) % 360.0 - 180.0) for frame in frames)
    if stated > limits.max_tilt_degrees:
        yield Refusal(Reason.TILT, f"Gantry/Detector Tilt is {stated:.1f} degrees.")
    if not straight:
        return
    positions = np.array([frame.position_mm for frame in frames])
    along = positions @ normal
    path = positions[along.argmax()] - positions[along.argmin()]
    length = float(np.linalg.norm(path))
    if length == 0.0:
        return
    degrees = float(np.degrees(np.arccos(min(1.0, abs(path @ normal) / length))))
    if degrees > limits.max_tilt_degrees:
        yield Refusal(Reason.TILT, f"The slices are stacked {degrees:.1f} degrees off their normal.")


def _good(measured: Eligibility, limits: Limits) -> bool:
    return measured.thickness_mm is None or measured.thickness_mm <= limits.good_thickness_mm + 1e-3


def _thick(measured: Eligibility, limits: Limits) -> Iterator[Refusal]:
    if measured.thickness_mm is not None and measured.thickness_mm > limits.max_thickness_mm + 1e-3:
        detail = f"{measured.thickness_mm:.2f} mm; at most {limits.max_thickness_mm:.1f} mm is allowed."
        yield Refusal(Reason.TOO_THICK, detail)
