"""Reconstruction kernels that are known to be soft or sharp, by the names that scanners write.

Sharp ones raise the noise, and with it the volume below -950 HU: by 7 percentage points on average between kernels that
are used side by side (Gallardo-Estrella 2016). The table is ours, after the makers' names; no source was found that
compares the kernels of all. What the table does not name is unknown, never soft: CHST and BODY of GE, for instance.
"""

import re
from collections.abc import Iterable
from enum import Enum


class Sharpness(Enum):
    SOFT = 1
    SHARP = 2
    UNKNOWN = 3


_SIEMENS = re.compile(r"[BDHIJQTUV][A-Z]?(\d\d)[A-Z]*[1-5]?")
"""One or two letters, the sharpness in tens, how it was scanned, and a strength: B31f, Br40d, D40s, Br36d3."""

_CANON = re.compile(r"FC(\d\d)(-[A-Z]+)?")
"""FC13, and FC13-H."""

_UNITED_IMAGING = re.compile(r"[A-Z]+(_[A-Z]+)+")
"""Words: B_SOFT_B, B_SHARP_C, LUNG_A."""

_SIEMENS_SOFT = range(20, 45)
"""B30 and B40 are the standard of the maker, B20 is softer; B10 is "extremely soft": what it smooths away is low
attenuation, too (SOMATOM Sensation, operating instructions)."""

_SIEMENS_SHARP_FROM = 45
_SIEMENS_ITERATIVE = re.compile(r"([IJ][A-Z]?|Q)\d\d[A-Z]*[1-5]?|[BDHTUVQ][A-Z]?\d\d[A-Z]+[1-5]")
"""Kernels that are for iterative reconstruction alone, I31f, J30s, Q40; and those with a strength, Br36d3. Qr and the
like are for quantities, not iterative by their name."""

_STRENGTH = re.compile(r"[1-5]|AR\d+")
"""Of an iterative reconstruction, as a value beside the kernel: Br40d and 3, STANDARD and AR50."""

_CANON_SOFT = (*range(1, 6), *range(10, 16))
"""Around FC03 and FC13, the usual ones for soft tissue. Of FC06 to FC09 and FC16 to FC19 no source tells how sharp they
are, nor of those for the head, FC20 to FC29."""

_CANON_SHARP_FROM = 30

_NAMED = {
    **dict.fromkeys(("SOFT", "STANDARD", "STND"), Sharpness.SOFT),
    **dict.fromkeys(("DETAIL", "LUNG", "LUNG+", "BONE", "BONE+", "BONEPLUS", "EDGE", "ULTRA"), Sharpness.SHARP),
    **dict.fromkeys(("A", "B"), Sharpness.SOFT),
    **dict.fromkeys(("D", "E", "F", "L", "YA", "YB", "YC", "YD", "YE"), Sharpness.SHARP),
}
"""The first two lines: GE; the others: Philips."""

_WORDS = {"SOFT": Sharpness.SOFT, "SHARP": Sharpness.SHARP, "LUNG": Sharpness.SHARP, "BONE": Sharpness.SHARP}
"""What a word in a kernel of United Imaging says."""


def sharpness(kernels: Iterable[str]) -> Sharpness:
    """Sharp if any value of Convolution Kernel (0018,1210) names a sharp one, else soft if any names a soft one.

    Some scanners write a second value, for instance the strength of an iterative reconstruction.
    """
    return _sharpest(_one(kernel.strip().upper()) for kernel in kernels)


def is_iterative(kernels: Iterable[str]) -> bool:
    """Whether a value of Convolution Kernel names an iterative reconstruction: by a letter, or by its strength."""
    values = [kernel.strip().upper() for kernel in kernels]
    return any(map(_SIEMENS_ITERATIVE.fullmatch, values)) or any(map(_STRENGTH.fullmatch, values[1:]))


def _sharpest(found: Iterable[Sharpness]) -> Sharpness:
    every = set(found)
    return next((one for one in (Sharpness.SHARP, Sharpness.SOFT) if one in every), Sharpness.UNKNOWN)


def _one(kernel: str) -> Sharpness:
    if written := _SIEMENS.fullmatch(kernel):
        number = int(written[1])
        soft = Sharpness.SOFT if number in _SIEMENS_SOFT else Sharpness.UNKNOWN
        return Sharpness.SHARP if number >= _SIEMENS_SHARP_FROM else soft
    if written := _CANON.fullmatch(kernel):
        number = int(written[1])
        soft = Sharpness.SOFT if number in _CANON_SOFT else Sharpness.UNKNOWN
        return Sharpness.SHARP if number >= _CANON_SHARP_FROM else soft
    if _UNITED_IMAGING.fullmatch(kernel):
        return _sharpest(_WORDS.get(word, Sharpness.UNKNOWN) for word in kernel.split("_"))
    return _NAMED.get(kernel, Sharpness.UNKNOWN)
