"""What a PACS's answer means for an object."""

import pytest

from service.domain.commitment import Consequence, consequence, reason_in_words


@pytest.mark.parametrize(
    ("reason", "words", "meaning"),
    [
        (0x0110, "processing failure (0x0110)", Consequence.ASK_LATER),
        (0x0112, "no such object instance (0x0112)", Consequence.RESEND),
        (0x0119, "class/instance conflict (0x0119)", Consequence.REJECTED),
        (0x0122, "referenced SOP class not supported (0x0122)", Consequence.REJECTED),
        (0x0131, "duplicate transaction UID (0x0131)", Consequence.ASK_LATER),
        (0x0213, "resource limitation (0x0213)", Consequence.ASK_LATER),
        (0xC0DE, "unknown reason (0xC0DE)", Consequence.ASK_LATER),
    ],
)
def test_each_reason_has_words_and_a_meaning(reason: int, words: str, meaning: Consequence) -> None:
    assert (reason_in_words(reason), consequence(reason)) == (words, meaning)
