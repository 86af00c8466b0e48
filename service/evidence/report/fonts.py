"""Fonts that print names in any script, embedded in the PDF so that every reader shows the same page.

FiraGO (SIL OFL 1.1; Latin, Greek, Cyrillic, Arabic, Hebrew, Thai, ...) comes with the package pymupdf-fonts,
WenQuanYi Micro Hei (Apache 2.0; Chinese, Japanese, Korean) with paperang-p2-fonts-cjk (decision 0022).
"""

from functools import cache
from importlib.resources import as_file, files
from io import BytesIO
from itertools import groupby

import pymupdf_fonts  # type: ignore[import-untyped]
from arabic_reshaper import ArabicReshaper
from bidi import get_display
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

REGULAR, BOLD, EAST_ASIAN = "FiraGO", "FiraGO-Bold", "WenQuanYi"

_RESHAPER = ArabicReshaper({"use_unshaped_instead_of_isolated": True})

Run = tuple[str, str]
"""Font name and the text to draw with it."""


def runs(text: str, bold: bool = False) -> list[Run]:
    """The text in visual order, cut where the font changes. A glyph that no font has becomes a box."""
    letters = get_display(_RESHAPER.reshape(text))
    fonts = (BOLD, EAST_ASIAN) if bold else (REGULAR, EAST_ASIAN)
    return [(font, "".join(group)) for font, group in groupby(letters, lambda letter: _font_for(letter, fonts))]


def width(text: str, size: float, bold: bool = False) -> float:
    """Printed width in points."""
    return float(sum(pdfmetrics.stringWidth(part, registered(font), size) for font, part in runs(text, bold)))


def _font_for(letter: str, fonts: tuple[str, ...]) -> str:
    """The first font that has the letter; the East Asian one is only loaded for a letter the others lack."""
    for font in fonts:
        if ord(letter) in pdfmetrics.getFont(registered(font)).face.charToGlyph:
            return font
    return fonts[0]


@cache
def registered(name: str) -> str:
    """The font's name, after loading it once per process."""
    if name == EAST_ASIAN:
        with as_file(files("paperang_p2_fonts_cjk") / "fonts" / "wqy-microhei.ttc") as path:
            pdfmetrics.registerFont(TTFont(name, str(path), subfontIndex=0))
    else:
        key = {REGULAR: "figo", BOLD: "figbo"}[name]
        pdfmetrics.registerFont(TTFont(name, BytesIO(pymupdf_fonts.fontbuffers[key]())))
    return name
