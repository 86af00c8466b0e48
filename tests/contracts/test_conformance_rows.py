"""Every row of the DICOM conformance statement is tried by a test, and no test names a row that is not there."""

import json
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from helpers.conformance import configured

from service.conformance.ihe import REQUIREMENTS
from service.conformance.statement import sections
from service.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def claims() -> dict[str, list[str]]:
    """Tests by the rows that they name."""
    modules = sorted(
        str(path)
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and "conformance" in path.read_text(encoding="utf-8")
    )
    options = ["--collect-only", "-q", "-p", "helpers.conformance_claims", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("CLAIMS "))
    found: dict[str, list[str]] = json.loads(line.removeprefix("CLAIMS "))
    return found


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Rows of the default statement, and of one of a configuration with callers and destinations."""
    both = (Settings(), configured(tmp_path_factory.mktemp("configured")))
    tables = [table for one in both for section in sections(one) for table in section.tables]
    return list(dict.fromkeys(name for table in tables for name in table.ids))


def test_every_row_is_tried(claims: dict[str, list[str]], rows: list[str]) -> None:
    named = set(claims)
    patterns = [name for name in named if name.endswith("/*")]
    untried = [row for row in rows if row not in named and not any(fnmatchcase(row, one) for one in patterns)]
    assert untried == []


def test_every_named_row_is_there(claims: dict[str, list[str]], rows: list[str]) -> None:
    gone = [name for name in claims if not any(row == name or _within(row, name) for row in rows)]
    assert gone == []


def test_what_is_shown_of_ihe_is_tried_where_it_says(claims: dict[str, list[str]]) -> None:
    elsewhere = [
        one.key
        for one in REQUIREMENTS
        if not any(test.startswith(f"{one.shown}::") for test in claims.get(f"air/{one.key}", []))
    ]
    assert elsewhere == []


def _within(row: str, name: str) -> bool:
    return name.endswith("/*") and fnmatchcase(row, name)
