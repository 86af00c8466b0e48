"""One A4 page to draw on. Lengths in points, y grows downwards from the top edge."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from typing import Literal

from PIL import Image
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from service.domain.report import RgbArray
from service.evidence.case import Filed
from service.evidence.equipment import MANUFACTURER
from service.evidence.report.fonts import REGULAR, registered, runs, width
from service.evidence.times import zoned

rl_config.useA85 = 0  # pictures as bytes, not as ASCII: a quarter smaller, and faster

WIDTH, HEIGHT = (float(side) for side in A4)
MARGIN = 36.0
INNER = WIDTH - 2 * MARGIN

INK, SOFT, RULE, PALE = HexColor("#16232E"), HexColor("#56636E"), HexColor("#B9C2C9"), HexColor("#F1F4F6")
ACCENT, WHITE = HexColor("#1F4E6B"), HexColor("#FFFFFF")
SHADE = Color(0.05, 0.07, 0.09, alpha=0.62)

Align = Literal["left", "right", "centre"]
SHRINK = 0.72
"""How far a text may shrink before it is cut."""

MOST_LETTERS = 2000
"""Most letters of one text: about as many as a page holds."""


class Page:
    """Draws text of any script, lines, boxes and pictures; `finish` gives the PDF's bytes.

    Its metadata name the software and the time of the analysis, not the clock's.
    """

    def __init__(self, title: str, case: Filed) -> None:
        self._buffer = BytesIO()
        self._canvas = Canvas(
            self._buffer, pagesize=A4, invariant=1, pageCompression=1, initialFontName=registered(REGULAR)
        )
        self._canvas.setTitle(title)
        self._canvas.setAuthor(MANUFACTURER)
        self._canvas.setCreator(f"{MANUFACTURER} {case.context.software_version}")
        created = _pdf_date(zoned(case.context.analysed_at, case.header))
        self._canvas.setDateFormatter(lambda *_clock: created)
        self._canvas.setSubject("Research use only. Not for diagnostic use")

    def finish(self) -> bytes:
        self._canvas.showPage()
        self._canvas.save()
        return self._buffer.getvalue()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 8.5,
        bold: bool = False,
        colour: Color = INK,
        align: Align = "left",
        max_width: float | None = None,
    ) -> None:
        """One line with its baseline at y; shrunk, then cut with an ellipsis, where it exceeds max_width."""
        text = _at_most(text, MOST_LETTERS)
        if max_width is not None:
            text, size = fitted(text, size, bold, max_width)
        x -= {"left": 0.0, "centre": 0.5, "right": 1.0}[align] * width(text, size, bold)
        line = self._canvas.beginText(x, HEIGHT - y)
        line.setFillColor(colour)
        for font, part in runs(text, bold):
            line.setFont(font, size)
            line.textOut(part)
        self._canvas.drawText(line)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Color = RULE, thickness: float = 0.6) -> None:
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(thickness)
        self._canvas.line(x0, HEIGHT - y0, x1, HEIGHT - y1)

    def curve(
        self, points: Sequence[tuple[float, float]], colour: Color, thickness: float, dashed: bool = False
    ) -> None:
        """Straight lines from point to point."""
        path = self._canvas.beginPath()
        for number, (x, y) in enumerate(points):
            (path.lineTo if number else path.moveTo)(x, HEIGHT - y)
        self._canvas.saveState()
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(thickness)
        if dashed:
            self._canvas.setDash(3, 2)
        self._canvas.drawPath(path)
        self._canvas.restoreState()

    def box(
        self, x: float, y: float, w: float, h: float, fill: Color | None = None, stroke: Color | None = None
    ) -> None:
        """A rectangle with its top left corner at (x, y)."""
        if fill is not None:
            self._canvas.setFillColor(fill)
        if stroke is not None:
            self._canvas.setStrokeColor(stroke)
            self._canvas.setLineWidth(0.6)
        self._canvas.rect(x, HEIGHT - y - h, w, h, stroke=int(stroke is not None), fill=int(fill is not None))

    def picture(self, x: float, y: float, w: float, h: float, rgb: RgbArray) -> None:
        """An RGB array into a rectangle, without loss."""
        self._canvas.drawImage(ImageReader(Image.fromarray(rgb)), x, HEIGHT - y - h, w, h)


def _pdf_date(moment: datetime) -> str:
    """An aware moment as PDF's metadata tell it (ISO 32000-1, 7.9.4)."""
    offset = f"{moment:%z}"
    return f"D:{moment:%Y%m%d%H%M%S}{offset[:3]}'{offset[3:5]}'"


def fitted(text: str, size: float, bold: bool, max_width: float) -> tuple[str, float]:
    """Text and size that fit: smaller down to `SHRINK`, then also shorter."""
    text = _at_most(text, MOST_LETTERS)
    wanted = max_width / max(width(text, size, bold), 1e-6)
    if wanted >= SHRINK:
        return text, size * min(wanted, 1.0)
    size *= SHRINK
    fits = bisect_left(range(1, len(text)), True, key=lambda n: width(text[:n] + "…", size, bold) > max_width)
    return text[: max(fits, 1)] + "…", size


def wrapped(text: str, size: float, max_width: float) -> list[str]:
    """Lines of whole words; a word longer than a line is cut into pieces."""
    lines = [""]
    for word in _words(_at_most(text, MOST_LETTERS), size, max_width):
        candidate = f"{lines[-1]} {word}".strip()
        if lines[-1] and width(candidate, size) > max_width:
            lines.append(word)
        else:
            lines[-1] = candidate
    return lines


def _words(text: str, size: float, max_width: float) -> Iterator[str]:
    for word in text.split():
        while width(word, size) > max_width and len(word) > 1:
            fits = bisect_left(range(1, len(word)), True, key=lambda n: width(word[:n], size) > max_width)
            yield word[: max(fits, 1)]
            word = word[max(fits, 1) :]
        yield word


def _at_most(text: str, letters: int) -> str:
    """No page shows more of a text than this, and laying out a million letters would keep a worker busy."""
    return text if len(text) <= letters else text[:letters] + "…"
