"""A few cells of `make crash-matrix`: on either backend, a kill of the receiver or of the worker in several states."""

from pathlib import Path

import pytest

from tests.crash_matrix.cell import leftovers, run
from tests.crash_matrix.hospital import hospital
from tests.crash_matrix.states import STATES, points

_CELLS = {
    "sqlite": ("completing-job", "sending-3-half", "awaiting-unkept"),
    "postgresql-s3": ("saving-half", "sending-3-taken"),
}


@pytest.mark.peers
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", _CELLS)
def test_a_kill_loses_and_repeats_nothing(backend: str, tmp_path: Path) -> None:
    sent: list[str] = []
    with hospital(tmp_path, backend, points()) as here:
        for state in STATES:
            if state.key in _CELLS[backend]:
                study, outcome = run(here, state, sent, tmp_path / "ct")
                sent.append(study)
                assert outcome.word == "committed", f"{state.key}: {outcome.wrong}"
        assert len(sent) == len(_CELLS[backend])
        left = leftovers(here, sent)
    assert left.clean, left
