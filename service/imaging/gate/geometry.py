"""Where the slices lie: one axial orientation, one grid, one regular stack without gaps (PS3.3 C.7.6.2)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.domain.eligibility import Eligibility, Limits
from service.errors import Flag, Reason, Refusal
from service.imaging.frames import Frame
from service.imaging.gate import stack


def check(frames: Sequence[Frame], limits: Limits) -> Eligibility:
    """Geometry of at least one slice. The stack is measured only if all slices have one orientation."""
    in_plane = (*_orientation(frames, limits), *_grid(frames, limits), *_few(frames, limits))
    if any(refusal.reason is Reason.MIXED_ORIENTATION for refusal in in_plane):
        return Eligibility(in_plane, slices=len(frames))
    normal = _normals(frames)[0]
    measured = stack.check(frames, normal, limits)
    refusals = (*in_plane, *_tilt(frames, normal, limits), *measured.refusals, *_thick(measured, limits))
    flags = [] if _good(measured, limits) else [Flag.THICK_SLICES]
    return replace(measured, refusals=refusals, flags=tuple(flags))


def _normals(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """Slice normals, axes (frame, LPS)."""
    cosines = np.array([frame.orientation for frame in frames]).reshape(-1, 2, 3)
    normals = np.cross(cosines[:, 0], cosines[:, 1])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.where(lengths > 0, lengths, 1.0), np.float64)


def _orientation(frames: Sequence[Frame], limits: Limits) -> Iterator[Refusal]:
    cosines = np.array([frame.orientation for frame in frames])
    other = np.abs(cosines - cosines[0]).max(axis=1) > limits.cosine_tolerance
    if other.any():
        detail = f"{np.count_nonzero(other)} of {len(frames)} slices are oriented differently from the first."
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


def _tilt(frames: Sequence[Frame], normal: NDArray[np.float64], limits: Limits) -> Iterator[Refusal]:
    """TILT by the attribute, and by slices stacked obliquely to their normal."""
    stated = max(abs(((frame.tilt_degrees or 0.0) + 180.0) % 360.0 - 180.0) for frame in frames)
    if stated > limits.max_tilt_degrees:
        yield Refusal(Reason.TILT, f"Gantry/Detector Tilt is {stated:.1f} degrees.")
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
