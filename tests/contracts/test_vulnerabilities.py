"""docker/vulnerabilities.py: what was not looked up is never called free of vulnerabilities."""

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "vulnerabilities.py"
CLEAN = {"name": "one", "version": "1.0", "vulns": []}
BAD = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
UNKNOWN = {"name": "three", "skip_reason": "Dependency not found on PyPI and could not be audited: three (3.0)"}


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([CLEAN], 0, "1 packages looked up, no known vulnerability"),
        ([CLEAN, BAD], 1, "two 2.0: PYSEC-1, fixed in: 2.1"),
        ([CLEAN, UNKNOWN], 3, "not looked up: three"),
        ([BAD, UNKNOWN], 1, "not looked up: three"),
        ([], 3, "not looked up"),
        (None, 3, "not looked up"),
    ],
)
def test_each_answer_has_its_code(script: dict[str, Any], packages: list[Any] | None, code: int, words: str) -> None:
    answer = None if packages is None else {"dependencies": packages, "fixes": []}
    found, lines = script["told"]("service.txt", answer)
    assert found == code
    assert words in "\n".join(lines)
    assert (code == 0) == ("no known vulnerability" in "\n".join(lines))


@pytest.mark.parametrize(("answer", "code"), [("", 3), ("no JSON", 3), ('{"dependencies": []}', 3)])
def test_a_scanner_without_an_answer_is_told(
    script: dict[str, Any], tmp_path: Path, answer: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\necho '{answer}'\nexit 1\n")
    program.chmod(0o755)
    assert script["main"](tmp_path) == code
    assert "service.txt: not looked up" in capsys.readouterr().out
