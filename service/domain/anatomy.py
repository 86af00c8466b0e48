"""The lobes of the lungs."""

from enum import IntEnum


class Lobe(IntEnum):
    """Label values of a lobe mask. 0 is outside the lungs."""

    RUL = 1
    RML = 2
    RLL = 3
    LUL = 4
    LLL = 5


RIGHT_LOBES = (Lobe.RUL, Lobe.RML, Lobe.RLL)
LEFT_LOBES = (Lobe.LUL, Lobe.LLL)
