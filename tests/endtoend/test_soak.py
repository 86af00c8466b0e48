"""`make soak`, smaller: two workers and a receiver that are killed, and what the PACS holds in the end."""

from pathlib import Path

import pytest

from tests.soak.run import Plan, soak


@pytest.mark.peers
@pytest.mark.timeout(900)
def test_every_study_is_committed_once_whatever_is_killed(tmp_path: Path) -> None:
    outcome = soak(Plan(studies=12, workers=2, kills=4, seed=4), tmp_path, print)
    assert outcome.good, outcome.found
