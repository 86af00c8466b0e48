"""The lung that a finding lies in: that of its lobes where these hold most of it, else its side of the spine.

Where a lung is filled or has collapsed, the other one may reach across the middle: then the nearest lobe is one of the
wrong side.
"""

from enum import StrEnum

from service.pipelines.nsclc_gtv.whereabouts import SHARE_TOLD, Place

MOSTLY = 0.5
"""Part of a finding in the lungs as measured from which on its lobes tell its side."""


class Side(StrEnum):
    """A lung, by the patient's side."""

    RIGHT = "RIGHT"
    LEFT = "LEFT"


def sides_by_part(right_part: float) -> frozenset[Side]:
    """Each side that holds a part worth telling. right_part: 0 to 1."""
    parts = {Side.RIGHT: right_part, Side.LEFT: 1.0 - right_part}
    return frozenset(side for side, part in parts.items() if part >= SHARE_TOLD)


def sides_of(place: Place | None, right_by_spine: float) -> tuple[frozenset[Side], bool]:
    """The sides, and whether they are in doubt: spine and nearest lobe disagree, so both lungs are told.

    place: None where no lung is near. right_by_spine: part of the finding on the right of the spine, 0 to 1.
    """
    if place is None:
        return sides_by_part(right_by_spine), False
    if place.overlap >= MOSTLY:
        return sides_by_part(place.right_part), False
    if (place.right_part >= 0.5) != (right_by_spine >= 0.5):
        return frozenset(Side), True
    return sides_by_part(right_by_spine), False
