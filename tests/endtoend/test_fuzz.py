"""`make fuzz`, smaller, with a seed of its own: nothing crashes, hangs or fails without a name."""

from pathlib import Path

import pytest
from helpers.shared_data import absent

from tests.fuzz.associations import associations
from tests.fuzz.ct_files import ct_files
from tests.fuzz.requests import requests, schemathesis
from tests.fuzz.tally import Tally

pytestmark = pytest.mark.slow

SEED = 20


def test_malformed_associations_end_by_name_and_leave_no_thread(tmp_path: Path) -> None:
    tally = Tally("Associations", SEED, tmp_path / "found")
    associations(tmp_path / "receiver", 320, tally, print)
    assert (tally.tried, tally.findings) == (320, 0), tally
    assert tally.peaks["receiver"] < 100e6
    assert tally.ends["accepted, aborted"] > 50 and tally.ends["accepted, answered, released"] > 10, "all ways are gone"


def test_malformed_ct_files_are_analysed_or_refused_by_name(tmp_path: Path) -> None:
    tally = Tally("CT files", SEED, tmp_path / "found")
    ct_files(tmp_path / "receiver", 20, tally, print)
    assert (tally.tried, tally.findings) == (20, 0), tally
    assert tally.statuses["0x0000"] > 5 and tally.ends["analysed"] > 5 and tally.ends["UNREADABLE"] > 0, tally


def test_every_answer_of_the_api_is_one_that_its_document_tells_of(tmp_path: Path) -> None:
    if schemathesis() is None:
        absent("schemathesis is not installed")
    tally = Tally("HTTP requests", SEED, tmp_path / "found")
    requests(tmp_path, 1, tally)
    assert tally.tried > 500, tally
    assert tally.findings == 0, tally
