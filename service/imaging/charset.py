"""Text as a header carries it: code extensions decoded, control characters left out (PS3.5 6.1.2.5, Annexes H to K).

pydicom leaves the escape sequences of ISO 2022 IR 58 in the text, and those of a set that Specific Character Set does
not declare. An escape sequence names its set by itself, so it is followed here whether or not it was declared.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

ESCAPE = b"\x1b"

_ESCAPES = {
    b"(B": ("ascii", None),
    b"(J": ("ascii", None),  # JIS X 0201 Romaji: its yen sign is DICOM's backslash
    b"$@": ("iso2022_jp", None),
    b"$B": ("iso2022_jp", None),
    b"$(D": ("iso2022_jp_2", None),
    b")I": (None, "shift_jis"),
    b"$)A": (None, "gb2312"),
    b"$)C": (None, "euc_kr"),
    b"-A": (None, "iso8859_1"),
    b"-B": (None, "iso8859_2"),
    b"-C": (None, "iso8859_3"),
    b"-D": (None, "iso8859_4"),
    b"-F": (None, "iso8859_7"),
    b"-G": (None, "iso8859_6"),
    b"-H": (None, "iso8859_8"),
    b"-L": (None, "iso8859_5"),
    b"-M": (None, "iso8859_9"),
    b"-T": (None, "tis_620"),
}
"""Codec for bytes below 0x80 (G0) or above (G1) after each escape sequence of PS3.3 tables C.12-3 and C.12-4."""

_DESIGNATORS = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_SEGMENT = re.compile(rb"\x1b([ -/]*[0-~])|([^\x1b]+)|\x1b")
_ESCAPED = re.compile("\x1b[ -/]*[0-~]?")
_DEFAULT = ("iso8859", "iso2022_jp", "iso2022_jp_2")
"""Encodings whose bytes above 0x80 mean nothing before an escape sequence; the default's own name comes first."""

_LATIN, _UTF8 = ("iso8859", "latin_1"), "UTF8"
_C1 = re.compile(rb"[\x80-\x9f]")
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn the direction of what follows, which may then read as another name."""

_WITHOUT_EXTENSIONS = ("UTF8", "GB18030", "GBK")
_LINE_CONTROLS = "\t\n\f\r"


@dataclass(frozen=True, slots=True)
class _Sets:
    """Codecs of the bytes below 0x80 and of those above."""

    low: str
    high: str


def is_plain(value: bytes) -> bool:
    """Whether the bytes mean the same in every character set."""
    return value.isascii() and ESCAPE not in value


def actual_encodings(value: bytes, declared: Sequence[str]) -> Sequence[str]:
    """The declared encodings (Python's names), or UTF-8 or Latin-1 where the bytes contradict them.

    What is strictly UTF-8 hardly is anything else: it counts where nothing is declared, and where Latin-1 is declared
    but would give control characters. Declared as UTF-8, but without one character of it, it is Latin-1.
    """
    if value.isascii() or ESCAPE in value:
        return declared
    if declared[0] in _LATIN and (declared[0] == _DEFAULT[0] or _C1.search(value)):
        return [_UTF8] if _is_utf8(value) else declared
    if declared[0] == _UTF8 and not _is_utf8(value) and value.decode("utf-8", "ignore").isascii():
        return ["latin_1"]
    return declared


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def decoded(value: bytes, encodings: Sequence[str], delimiters: bytes = b"") -> str:
    """Text of a value with escape sequences; bytes that make no character become U+FFFD.

    encodings: Python's names, the first one for the bytes before any escape sequence.
    delimiters: characters that end what an escape sequence chose, "^=" in names; a backslash and controls always do.
    """
    if encodings[0] in _WITHOUT_EXTENSIONS:
        return value.decode(encodings[0], "replace")
    initial, text = _initial(encodings[0]), []
    sets, ends = initial, b"\\\t\n\f\r" + delimiters
    for escape, segment in _SEGMENT.findall(value):
        low, high = _ESCAPES.get(escape, (None, None))
        sets = _Sets(low or sets.low, high or sets.high)
        for part in _parts(segment, ends, sets):
            text.append(_converted(part, sets))
            # The default repertoire has no second half, so nothing is lost where a sender does not repeat the escape.
            if len(part) == 1 and part in ends and encodings[0] not in _DEFAULT:
                sets = initial
    return "".join(text)


def _initial(encoding: str) -> _Sets:
    return _Sets("ascii", "iso8859_1" if encoding in _DEFAULT else encoding)


def _parts(segment: bytes, delimiters: bytes, sets: _Sets) -> list[bytes]:
    """Delimiters apart from what is between them; a half of a Japanese character may look like one, but is none."""
    if sets.low != "ascii":
        return [segment]
    return re.findall(rb"[^%b]+|[%b]" % ((re.escape(delimiters),) * 2), segment)


def _converted(part: bytes, sets: _Sets) -> str:
    text = []
    for run in re.findall(rb"[\x80-\xff]+|[\x00-\x7f]+", part):
        if run[0] >= 0x80:
            text.append(run.decode(sets.high, "replace"))
        else:
            text.append((_DESIGNATORS.get(sets.low, b"") + run).decode(sets.low, "replace"))
    return "".join(text)


def printable(text: str, lines: bool = False) -> str:
    """Text without escape sequences, control characters and what turns its direction.

    lines: the controls of paragraphs stay (PS3.5 6.1.3).
    """
    if text.isprintable():
        return text
    kept = _LINE_CONTROLS if lines else ""
    return "".join(
        letter
        for letter in _ESCAPED.sub("", text)
        if letter in kept or (unicodedata.category(letter) not in ("Cc", "Cs") and letter not in _DIRECTIONS)
    )
