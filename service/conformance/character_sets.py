"""Section 8: character sets that are read, and the one that is written."""

from pydicom.charset import python_encoding

from service.conformance.rows import Section, table
from service.evidence.source import UTF8


def character_sets() -> Section:
    """The same for every configuration."""
    known = [term for term in python_encoding if term not in _NOT_DEFINED]
    rows = [(term or "none", f"`{term}`" if term else "none (ISO_IR 6)", _how(term)) for term in known]
    return Section(
        "8. Support of character sets",
        [
            f"Results are written in `{UTF8}`. Text of the CT is converted from the Defined Terms of Specific "
            "Character Set below, with or without code extensions ([decision "
            "106](../decisions/0106-escape-sequences.md)); an escape sequence names its set by itself, declared or "
            "not. Values that are not legal, or longer than their representation allows, are left empty or cut "
            "([decision 105](../decisions/0105-legal-values-in-results.md)).",
            table("character-sets", ("Specific Character Set of the CT", "Kind"), rows),
            "Series Description of results is in ASCII.",
        ],
    )


_NOT_DEFINED = ("ISO 2022 GBK", "ISO 2022 58")
"""Spellings that pydicom takes for others; the standard has no such Defined Terms (PS3.3 C.12.1.1.2)."""

_WITHOUT_EXTENSIONS = ("GB18030", "GBK", "ISO_IR 192")


def _how(term: str) -> str:
    if term.startswith("ISO 2022"):
        return "with code extensions"
    return "of several bytes, without code extensions" if term in _WITHOUT_EXTENSIONS else "single byte"
