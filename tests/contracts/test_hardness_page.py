"""The page of hardness is what was measured, and that is what the project wants."""

import pytest

from tests.fuzz.page import PAGE, read, text

WANTED = {"Associations": 2000, "CT files": 500, "Bombs": 20, "HTTP requests": 1000}
"""How many inputs of each kind were tried at least."""


def test_the_page_is_written_from_the_results() -> None:
    assert PAGE.read_text() == text(read())


@pytest.mark.parametrize("kind", WANTED)
def test_no_malformed_input_was_a_finding(kind: str) -> None:
    (found,) = (one for one in read()["fuzz"]["kinds"] if one["kind"] == kind)
    assert (found["crashes"], found["hangs"], found["unnamed"]) == (0, 0, 0)
    assert found["tried"] >= WANTED[kind]


def test_steady_load_lost_and_repeated_nothing() -> None:
    found = read()["soak"]
    assert (found["lost"], found["duplicated"], found["orphans"]) == (0, 0, 0)
    assert found["committed"] == found["sent"] > 0
