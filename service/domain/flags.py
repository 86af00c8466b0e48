"""Quality warnings: the CT is analysed, but the reader is told.

The flags here concern the CT, the lungs or the models, whatever is analysed. A pipeline declares its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

from pydicom.sr.coding import Code

from service.domain.codes import private

LONGEST_SENTENCE = 65
"""Characters of a sentence with its full stop: without it, it is a Code Meaning (64 characters, PS3.5 6.2)."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One quality warning. Two flags of the same code are equal.

    code: shown to people and machines. sentence: the meaning, in the same words wherever a reader meets it.
    concept_value: value of the private code in SR. doubt: why the headline may be wrong, in a few words; None for a
    flag that does not concern it. detail: the values that raised it, in sentences; "" where there are none.
    """

    code: str
    sentence: str = field(compare=False)
    concept_value: str = field(compare=False)
    doubt: str | None = field(default=None, compare=False)
    detail: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if len(self.sentence) > LONGEST_SENTENCE or not self.sentence.endswith("."):
            raise ValueError(f"the sentence of {self.code} has more than {LONGEST_SENTENCE} characters or no stop")

        if len(self.concept_value) > 16:
            raise ValueError(f"the code value of {self.code} has more than 16 characters")

    def __str__(self) -> str:
        return self.code

    @property
    def concept(self) -> Code:
        """The flag as a coded value; its meaning is the sentence."""
        return private(self.concept_value, self.sentence.removesuffix("."))

    @property
    def warning(self) -> str:
        """The sentence, and the values that raised the flag."""
        return f"{self.sentence} {self.detail}".rstrip()

    def because(self, detail: str) -> Self:
        """Returns this flag with the values that raised it."""
        return replace(self, detail=detail)


THICK_SLICES = Flag("THICK_SLICES", "Slices thicker than 3 mm: small opacities may be missed.", "Q-THICK")
LOSSY = Flag("LOSSY", "The images were compressed with loss.", "Q-LOSSY")
AGE_UNKNOWN = Flag("AGE_UNKNOWN", "The patient's age is not recorded.", "Q-AGE")
LUNG_AT_EDGE = Flag(
    "LUNG_AT_EDGE", "Incomplete lungs: a lung reaches the edge of the images.", "Q-EDGE", "incomplete lungs"
)
LUNG_DROPPED = Flag(
    "LUNG_DROPPED", "Incomplete lungs: a part found as lung was left out.", "Q-LUNG-DROPPED", "incomplete lungs"
)
GAS_LEFT_OUT = Flag("GAS_LEFT_OUT", "Gas below the diaphragm was found as lung; it was left out.", "Q-GAS-LEFT-OUT")
LUNG_ADDED = Flag("LUNG_ADDED", "Dense tissue was counted as lung because of the lungs' shape.", "Q-LUNG-ADDED")
UNMEASURED_MODEL = Flag("UNMEASURED_MODEL", "A model is the site's own: not measured by Thoracle.", "Q-UNMEASURED")
PADDING_MASKED = Flag("PADDING_MASKED", "Padding outside the field of view was set to air.", "Q-PADDING")

OF_THE_CT = (THICK_SLICES, LOSSY, AGE_UNKNOWN, PADDING_MASKED)
"""Flags that the gate and the reader raise."""

OF_THE_LUNGS = (LUNG_AT_EDGE, LUNG_DROPPED, GAS_LEFT_OUT, LUNG_ADDED)
"""Flags that come with the lungs, whichever pipeline asks for them."""

PRIOR_CONTRADICTS = Flag(
    "PRIOR_CONTRADICTS", "Not compared: an earlier CT names this patient differently.", "Q-PRIOR-CONTRA"
)
PRIOR_UNPROVEN = Flag("PRIOR_UNPROVEN", "Not compared: nothing proves whose the earlier CT is.", "Q-PRIOR-UNPROVEN")
PRIOR_UNREADABLE = Flag("PRIOR_UNREADABLE", "Not compared: the earlier result cannot be used.", "Q-PRIOR-UNREAD")
PRIOR_NOT_ASKED = Flag("PRIOR_NOT_ASKED", "The archive could not be asked for earlier results.", "Q-PRIOR-NOT-ASK")
COMPARISON_FAILED = Flag("COMPARISON_FAILED", "The comparison with an earlier CT failed.", "Q-COMPARE-FAIL")

OF_COMPARISON = (PRIOR_CONTRADICTS, PRIOR_UNPROVEN, PRIOR_UNREADABLE, PRIOR_NOT_ASKED, COMPARISON_FAILED)
"""Flags that a comparison with an earlier CT raises, whatever the pipeline: none of them declares these."""


def doubts(flags: Iterable[Flag]) -> tuple[str, ...]:
    """Reasons why the headline may be wrong, each once."""
    return tuple(dict.fromkeys(flag.doubt for flag in flags if flag.doubt is not None))


def in_order(raised: Iterable[Flag], order: Iterable[Flag]) -> tuple[Flag, ...]:
    """The raised flags, each once, in the given order; ValueError for one that the order does not have."""
    by_code: dict[str, Flag] = {}
    for flag in raised:
        by_code.setdefault(flag.code, flag)
    known = [flag.code for flag in order]
    if unknown := by_code.keys() - set(known):
        raise ValueError(f"flags that are not declared: {', '.join(sorted(unknown))}")
    return tuple(by_code[code] for code in known if code in by_code)
