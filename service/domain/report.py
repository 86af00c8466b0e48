"""The body of a report: what a pipeline prints. `evidence.report` lays it out on the page.

Texts are ready to print; pictures are arrays. Use limitation, patient, warnings, models and footer are not part of it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

RgbArray = NDArray[np.uint8]
"""Axes (row, column, colour)."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a whole, 0 to 1. ticks: limits of categories, on the same scale."""

    part: float
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One text below a card's value. size: in points. wrapped: over several lines; else it is shrunk to fit."""

    text: str
    size: float = 8.5
    bold: bool = False
    wrapped: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One named number of a list, with a bar. part: of the bar, 0 to 1."""

    title: str
    value: str
    part: float


@dataclass(frozen=True, slots=True)
class Card:
    """One key result.

    value: printed large; `absent`: in grey, because there is none. beside: printed small, on its right.
    rows: a list instead of value, bar and lines.
    """

    title: str
    value: str = ""
    beside: str = ""
    bar: Bar | None = None
    lines: tuple[Line, ...] = ()
    rows: tuple[Row, ...] = ()
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """right: edge that the cells are aligned with, as a part of the table's width."""

    title: str
    right: float


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a table. bar: part, 0 to 1; None: no bar. total: printed bold, as a sum of rows above it."""

    name: str
    cells: tuple[str, ...]
    bar: float | None = None
    total: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """heading: of the first column. bar: left and right edge of the bars, as parts of the width. note: below it."""

    heading: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    bar: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """rgb: uint8, axes (row, column, colour). mm_per_pixel: the same along rows and columns."""

    rgb: RgbArray
    mm_per_pixel: float


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A picture of the patient with its caption. dark: letters on it are white.

    sides: letters of the patient's side on the left and on the right of it: right and left, or anterior and posterior.
    """

    picture: Picture
    caption: str
    dark: bool = True
    sides: tuple[str, str] = ("R", "L")


Look = Literal["thick", "thin", "dashed"]
"""How a curve is drawn, so that curves are told apart in grey print, too."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart. points: x and y, from left to right."""

    title: str
    points: tuple[tuple[float, float], ...]
    look: Look = "thin"


@dataclass(frozen=True, slots=True)
class Band:
    """A range of x that is shaded, with its meaning above it."""

    title: str
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one axis. x_ticks: where numbers stand below it, ascending; the first and the last are its ends.

    y begins at 0 and ends at the highest point; y_title: what it is, with its unit.
    """

    caption: str
    x_title: str
    y_title: str
    x_ticks: tuple[float, ...]
    curves: tuple[Curve, ...]
    bands: tuple[Band, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class LegendEntry:
    """What a mark in the figures means. swatch: a patch that looks like it."""

    swatch: RgbArray
    title: str


@dataclass(frozen=True, slots=True, eq=False)
class ReportBody:
    """What one result prints.

    cards: three. large, small: two figures each, large ones side by side; a chart may take the place of the left one.
    scale: of the figures' greys, in words. quality: sentences after the warnings. notes: how to read the numbers, by
    heading. findings: the regions, in sentences, for a report of text alone.
    """

    title: str
    cards: tuple[Card, ...]
    table: Table
    large: tuple[Figure | Chart, Figure]
    small: tuple[Figure, Figure]
    legend: tuple[LegendEntry, ...]
    scale: str
    notes_heading: str
    notes: tuple[str, ...]
    findings: tuple[str, ...]
    quality: tuple[str, ...] = ()
