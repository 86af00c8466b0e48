"""Which findings are cut off: by the edge of what was imaged, or by that of the searched field."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.ct import CT
from service.imaging.boxes import Box, clipped
from service.imaging.lung_edges import imaged
from service.imaging.lungs import HALF
from service.pipelines.nsclc_gtv.field_answers import FieldAnswers
from service.pipelines.nsclc_gtv.findings import Finding, Findings

_TOUCHING = ndimage.generate_binary_structure(3, 3)
_FACES = ndimage.generate_binary_structure(3, 1)

_IN_PLANE_PIXELS = 2
"""A finding so near to pixels that were not imaged reaches them: padding spoils the value of what is beside it."""


def at_edge(ct: CT, findings: Findings) -> tuple[str, ...]:
    """Titles of the findings that reach the first or last slice, row or column, or pixels that were not imaged."""
    if not findings.every:
        return ()
    shown = imaged(ct.volume, ct.volume[:1])[0]
    return tuple(one.segment.title for one in findings.every if _reaches_edge(one, ct, ~shown))


def _reaches_edge(finding: Finding, ct: CT, unseen: NDArray[np.bool_]) -> bool:
    """unseen: pixels that were not imaged, axes (row, column)."""
    shape = ct.volume.spatial_shape
    if any(part.start == 0 or part.stop == size for part, size in zip(finding.box, shape, strict=True)):
        return True
    more = _IN_PLANE_PIXELS
    rows, columns = clipped(tuple(slice(one.start - more, one.stop + more) for one in finding.box[1:]), shape[1:])
    plane = np.zeros(shape[1:], np.bool_)
    plane[finding.box[1:]] = finding.mask.any(0)
    near = ndimage.binary_dilation(plane[rows, columns], iterations=more)
    return bool((near & unseen[rows, columns]).any())


def cut_parts(ct: CT, findings: Findings, answers: FieldAnswers) -> Mapping[str, float]:
    """Part of the border of each finding that lies outside the searched field, by title, the largest finding first.

    Measured on the network's grid, above and below, too: a connected outline there may hold several findings.
    """
    outlined = answers.probability.array >= HALF
    if not findings.every or not outlined.any():
        return {}
    pieces, _ = ndimage.label(outlined, _TOUCHING)
    titles = {one.segment.label: one.segment.title for one in findings.every}
    parts = dict.fromkeys(titles, 0.0)
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        around = clipped(tuple(slice(one.start - 1, one.stop + 1) for one in box), outlined.shape)
        piece = pieces[around] == number
        border = np.asarray(ndimage.binary_dilation(piece, _FACES)) & ~piece
        cut = int(np.count_nonzero(border & ~answers.grid.field.inside[around])) / max(1, int(border.sum()))
        if cut:
            for label in _labels_there(ct, findings, answers, piece, around):
                parts[label] = max(parts[label], cut)
    return {titles[label]: part for label, part in sorted(parts.items()) if part}


def _labels_there(
    ct: CT, findings: Findings, answers: FieldAnswers, piece: NDArray[np.bool_], box: Box
) -> tuple[int, ...]:
    """Labels of the findings that an outline on the network's grid holds."""
    voxels = np.argwhere(piece) + [part.start for part in box]
    points = answers.probability.map_indices_to_reference(voxels.astype(np.float64))
    indices = ct.volume.map_reference_to_indices(points)
    at = np.rint(indices).astype(int).clip(0, np.array(ct.volume.spatial_shape) - 1)
    labels: list[int] = np.unique(findings.labels[tuple(at.T)]).tolist()
    return tuple(label for label in labels if label)
