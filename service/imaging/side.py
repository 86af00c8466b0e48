"""Right and left, as the patient has them."""

from enum import IntEnum


class Side(IntEnum):
    """Label values of a lung mask. 0 is outside the lungs."""

    RIGHT = 1
    LEFT = 2
