"""How reliable opacities are, as measurements of a result and in words."""

from collections.abc import Iterator, Sequence

from service.domain import codes
from service.domain.analysis import Measurement
from service.domain.codes import private
from service.domain.flags import Flag
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.reliability import Reliability

AGREEMENT = private("AGREE-TWO", "Dice of opacities of two networks, with a slack of 20 mL")
GRADIENT = private("GRADIENT", "Clear lung, median attenuation: back minus front third")
CLEAR_LUNG = private("CLEAR-LUNG", "Clear lung, median attenuation")
AT_DOMES = private("OPAC-DOMES", "Part of the opacity within 30 mm of the diaphragm, percent")

WITHHELD = "A dash stands for what is withheld: it is not reliable here."
"""Below a table without percentages."""


def measurements(found: Reliability) -> Iterator[Measurement]:
    """The agreement of two networks first; of the lung what there is."""
    yield Measurement("agreement_two", AGREEMENT, found.agreement, codes.UNITY)
    if found.clear_hu is not None:
        yield Measurement("clear_lung_hu", CLEAR_LUNG, found.clear_hu, codes.HOUNSFIELD, derivation=codes.MEDIAN)
    if found.gradient_hu is not None:
        yield Measurement("gradient_hu", GRADIENT, found.gradient_hu, codes.HOUNSFIELD)
    yield Measurement("dome_percent", AT_DOMES, found.dome_percent, codes.PERCENT)


def why_not(flags: Sequence[Flag], withholding: Flag = NOT_RELIABLE) -> str:
    """What a headline says in place of a number, where the flag that withholds it is among the flags."""
    detail = next(flag.detail for flag in flags if flag == withholding)
    return f"not reliable here: {detail}".rstrip(": .")
