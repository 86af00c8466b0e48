"""How far the patient breathed in: air makes the lung thinner, so that LAA-950 rises and HAA falls with each breath.

It is judged by the volume of both lungs, where a capacity is predicted, and by what the series is called.
"""

import re
from collections.abc import Iterator

from pydicom import Dataset

from service.domain.flags import Flag
from service.imaging.attributes import known_text
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density.limits import apart

LEAST_PART = 0.7
"""Of the predicted total lung capacity. Its lower limit of normal is 0.84 of it for a man of 1.80 m (1.64 standard
deviations of 0.70 L; Quanjer 1993), and of a full breath in lying patients CT finds 0.83 of what plethysmography does
(5.34 and 6.46 L; Garfield 2012)."""

_IN = re.compile(r"(?<![A-Z])INS(P|PIR[A-Z]*)?(?![A-Z])")
_OUT = re.compile(r"(?<![A-Z])(EXP|EXPIR[A-Z]*|EXSP|EXSPIR[A-Z]*|ESPIR[A-Z]*)(?![A-Z])")


def breath(header: Dataset, part: float | None) -> Iterator[Flag]:
    """NOT_INSPIRED, with what tells it. part: volume of both lungs / predicted capacity; None where none is predicted.

    Small lungs may be shrunken lungs: their densities are not those of a full breath either.
    """
    if part is not None and part < LEAST_PART:
        volume = f"{apart(part, LEAST_PART, 2)} of the predicted capacity, below {LEAST_PART:g}."
        yield warnings.NOT_INSPIRED.because(volume)
    elif _breathed_out(description := known_text(header, "SeriesDescription")):
        yield warnings.NOT_INSPIRED.because(f'The series is called "{description[:40]}".')


def _breathed_out(description: str) -> bool:
    """Whether it names breathing out and not in."""
    capitals = description.upper()
    return bool(_OUT.search(capitals)) and not _IN.search(capitals)
