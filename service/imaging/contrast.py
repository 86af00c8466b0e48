"""Whether a contrast agent was given into the patient's blood, from the header of one series.

What a scanner writes into Contrast/Bolus Agent (0018,0010) may be that there was none, it may be empty beside the
volume that was injected, and an agent that was swallowed changes no lung.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from pydicom import Dataset

from service.imaging.attributes import Unreadable, items, known_text, optional_number

_NONE = re.compile(
    r"\W*|0+|N|NO|NONE|NIL|NA|N A|NOT APPLICABLE|NOT GIVEN|NEG|NEGATIVE|NATIVE?|PLAIN|UNENHANCED|NON ?ENHANCED"
    r"|(NO|NON|WITHOUT|W O|OHNE|SANS|SIN|SENZA|SEM|BEZ)( IV)?"
    r"( (AGENT|CONTRAST\w*|KONTRAST\w*|KM|PDC|MDC|CM))?( AGENT| MEDI\w+)?"
)
"""An agent that is none, in capitals, with a space in place of all but letters and digits. Other words are an agent."""

_SWALLOWED = re.compile(r"\b(ORAL|ORALLY|PO|P O|PER OS|BY MOUTH|MOUTH|RECTAL|RECTALLY|ENTERAL|ENEMA)\b")
_INJECTED = re.compile(r"\b(IV|I V|INTRAVENOUS|INTRAVENOUSLY|INTRAVASCULAR|INTRA ?ARTERIAL|IA|VEIN|VENOUS)\b")

_AMOUNTS = {"ContrastBolusVolume": "mL", "ContrastBolusTotalDose": "mL"}
"""Both in mL (PS3.3 C.7.6.4)."""


def contrast_given(header: Dataset) -> tuple[str, ...]:
    """The agents by name, or the amount or route where no name is recorded; () where none was given into the blood.

    An amount is believed, whatever the agent is called; a route only where no agent is recorded. The agent stands as
    text (PS3.3 C.7.6.4), or coded, as multi-frame CT has it (C.7.6.4b), which can tell that it was not administered
    (C.7.6.16.2.12). A malformed attribute is one that is not there.
    """
    return tuple(dict.fromkeys((*_told(header), *_coded(header))))


def _told(header: Dataset) -> Iterator[str]:
    agent, route = (known_text(header, f"ContrastBolus{name}") for name in ("Agent", "Route"))
    if _only_swallowed(f"{agent} {route}"):
        return
    if not _is_none(agent):
        yield agent
        return
    amount = next(_amounts(header), None)
    if amount is not None:
        yield amount
    elif not agent.strip() and _INJECTED.search(_plain(route)):
        yield route


def _amounts(header: Dataset) -> Iterator[str]:
    for keyword, unit in _AMOUNTS.items():
        with suppress(Unreadable):
            if (amount := optional_number(header, keyword) or 0.0) > 0:
                yield f"{amount:g} {unit}"


def _coded(header: Dataset) -> Iterator[str]:
    """Meaning, or code where there is no meaning, of each agent."""
    administered = tuple(_administered(header))
    for agent in _items(header, "ContrastBolusAgentSequence"):
        number = known_text(agent, "ContrastBolusAgentNumber")
        if {value for of, value in administered if of == number} == {"NO"}:
            continue
        name = _name(agent)
        routes = [_name(route) for route in _items(agent, "ContrastBolusAdministrationRouteSequence")]
        if not (name and _is_none(name)) and not _only_swallowed(" ".join((name, *routes))):
            yield name or "agent without a name"


def _administered(header: Dataset) -> Iterator[tuple[str, str]]:
    """Number of an agent, and whether it was administered ("YES", "NO"), for the first frame: it holds for all of them
    (`gate.consistency`)."""
    groups = (
        *_items(header, "PerFrameFunctionalGroupsSequence")[:1],
        *_items(header, "SharedFunctionalGroupsSequence"),
    )
    for group in groups:
        for usage in _items(group, "ContrastBolusUsageSequence"):
            if said := known_text(usage, "ContrastBolusAgentAdministered").upper():
                yield known_text(usage, "ContrastBolusAgentNumber"), said


def _items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    with suppress(Unreadable):
        return tuple(items(dataset, keyword))
    return ()


def _name(coded: Dataset) -> str:
    return known_text(coded, "CodeMeaning") or known_text(coded, "CodeValue")


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text).upper().split())


def _is_none(text: str) -> bool:
    return _NONE.fullmatch(_plain(text)) is not None


def _only_swallowed(text: str) -> bool:
    plain = _plain(text)
    return bool(_SWALLOWED.search(plain)) and not _INJECTED.search(plain)
