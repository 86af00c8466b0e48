"""The crash matrix's page is in step with its states, and its moments are in the code."""

import importlib
from functools import reduce

import pytest

from service.ops import supervisor
from tests.crash_matrix.page import PAGE, cells, text
from tests.crash_matrix.states import STATES, points


def test_the_page_has_every_state_and_every_cell_is_committed() -> None:
    assert PAGE.read_text() == text({(state.key, backend): "committed" for state, backend in cells()})


def test_every_named_state_is_in_the_matrix() -> None:
    named = ["receiving", "completing", "reading", "inferring", "encoding", "saving", "sending"]
    assert list(dict.fromkeys(state.name for state in STATES)) == [*named, "awaiting commitment", "purging"]
    assert len({state.key for state in STATES}) == len(STATES)


@pytest.mark.parametrize("function", sorted({point.function for point in points()}))
def test_the_code_has_the_function_at_which_a_process_is_held(function: str) -> None:
    module, _, name = function.partition(":")
    assert callable(reduce(getattr, name.split("."), importlib.import_module(module)))


def test_the_supervisor_still_has_the_wait_that_is_switched_off() -> None:
    assert supervisor._STEADY_AFTER_S > 0
