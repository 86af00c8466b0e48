"""Windows of one size that cover a region of a plane: a model whose input is small sees the lungs, and little else."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import ceil

from service.imaging.boxes import Box


@dataclass(frozen=True, slots=True)
class Window:
    """One window of a plane. seen: rows and columns that the model is given. own: those that it answers for, where
    windows overlap."""

    seen: tuple[slice, slice]
    own: tuple[slice, slice]

    @property
    def own_in_seen(self) -> tuple[slice, slice]:
        """`own`, counted from the window's corner."""
        (rows, columns), (own_rows, own_columns) = self.seen, self.own
        return _moved(own_rows, -rows.start), _moved(own_columns, -columns.start)


def windows(region: Box, size: tuple[int, ...], plane: tuple[int, ...]) -> Iterator[Window]:
    """Yields the fewest windows that cover the region, which lies in the plane; each of its pixels is one window's own.

    region: slices of rows and columns. size: of a window, plane: of the whole, (rows, columns).
    """
    along = [list(_along(*each)) for each in zip(region, size, plane, strict=True)]
    for (rows, own_rows), (columns, own_columns) in product(*along):
        yield Window((rows, columns), (own_rows, own_columns))


def _along(region: slice, size: int, whole: int) -> Iterator[tuple[slice, slice]]:
    """Windows along one axis and what is their own: evenly spread, the region in their middle."""
    length = region.stop - region.start
    count = ceil(length / size)
    gaps = max(1, count - 1)
    starts = [region.start + round((length - size) * (k / gaps if count > 1 else 0.5)) for k in range(count)]
    starts = [min(max(start, 0), whole - size) for start in starts]
    cuts = [starts[0], *((a + size + b) // 2 for a, b in pairwise(starts)), starts[-1] + size]
    for start, own in zip(starts, pairwise(cuts), strict=True):
        yield slice(start, start + size), slice(*own)


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
