"""Contours of segments on the slices of the CT (PS3.3 C.8.8.6), as items of a Contour Sequence."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.charset import default_encoding
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from scipy.ndimage import find_objects

from service.domain.analysis import LabelMap
from service.domain.ports import Step
from service.evidence.case import Case
from service.evidence.source import sop_reference
from service.imaging.attributes import numbers
from service.imaging.outlines import Polygon, outlines

MOST_CORNERS = 1600
"""A contour has at most so many: in Explicit VR a value of DS holds 65534 bytes (PS3.5 7.1.2), 40 for each corner."""

MOST_CONTOURS = 20_000
"""A label has at most so many. A lung of 1,000 slices has a tenth of it. Scattered voxels of a CT with noise have
hundreds of thousands, for which neither the memory here nor a planning system has room."""

_LONGEST = 65534
_CONTOUR_DATA = Tag("ContourData")

Points = NDArray[np.float64]
"""LPS mm (PS3.3 C.7.6.2.1.1), shape (n, 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Where the slices of a CT lie, in the order of its volume.

    origins_mm: centre of each slice's first pixel as its own header tells it, shape (slice, LPS): a contour lies in the
    plane of its image, also where positions are rounded. step_mm: to the next row and to the next column, shape
    (2, LPS). images: a reference to each (PS3.3 Table 10-3).
    """

    origins_mm: Points
    step_mm: Points
    images: tuple[Dataset, ...]

    @classmethod
    def of(cls, case: Case) -> Self:
        """The planes of the analysed CT; of an Enhanced CT its frames."""
        frames = case.ct.frame_numbers
        sources = [(case.header, frame) for frame in frames] or [(source, 1) for source in case.sources]
        origins = [numbers(header, "ImagePositionPatient", 3, frame) for header, frame in sources]
        images = [_image(header, frame if frames else None) for header, frame in sources]
        return cls(np.array(origins), case.ct.volume.affine[:3, 1:3].T, tuple(images))

    def points(self, number: int, polygon: Polygon) -> Points:
        """A polygon of the slice of that number, from 0, in the patient."""
        points: Points = self.origins_mm[number] + polygon @ self.step_mm
        return points


def contours(label_map: LabelMap, planes: Planes, step: Step) -> dict[int, list[Dataset] | None]:
    """Items of the Contour Sequence by label, slice by slice; a label without voxels has none.

    None for a label with more than `MOST_CONTOURS`. step: called for each slice.
    """
    boxes = enumerate(find_objects(label_map.labels), start=1)
    found: dict[int, list[Dataset] | None] = {}
    for label, box in boxes:
        if box is not None:
            items = list(islice(_of_label(label_map, label, box, planes, step), MOST_CONTOURS + 1))
            found[label] = items if len(items) <= MOST_CONTOURS else None
    return found


def _of_label(label_map: LabelMap, label: int, box: tuple[slice, ...], planes: Planes, step: Step) -> Iterator[Dataset]:
    slices, rows, columns = box
    corner = (rows.start, columns.start)
    count = 0
    for number in range(slices.start, slices.stop):
        step()
        for polygon in outlines(label_map.labels[number, rows, columns] == label, MOST_CORNERS):
            count += 1
            yield _item(count, planes.points(number, polygon + corner), planes.images[number])


def _item(number: int, points: Points, image: Dataset) -> Dataset:
    item = Dataset()
    item.ContourNumber = number
    item.ContourImageSequence = [image]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    value = _decimals(points)
    # As bytes, written as they are: an object for each number would take ten times as long.
    item.set_original_encoding(False, True, default_encoding)
    item[_CONTOUR_DATA] = RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, False, True)
    return item


def _decimals(points: Points) -> bytes:
    """DS in micrometres, of even length; ValueError for more than an element of Explicit VR holds."""
    rounded = np.round(points.ravel(), 3) + 0.0  # no -0
    text = "\\".join(["%.3f"] * len(rounded)) % tuple(rounded.tolist())
    value = (text + " " * (len(text) % 2)).encode("ascii")
    if len(value) > _LONGEST:
        raise ValueError(f"a contour takes {len(value)} bytes, more than {_LONGEST}")
    return value


def _image(header: Dataset, frame: int | None) -> Dataset:
    item = sop_reference(header)
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item
