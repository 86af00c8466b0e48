"""The command line in a locale whose encoding is not UTF-8: nothing fails for a letter that it does not have."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.databases import open_database

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
"""As in a locale without UTF-8, which no machine is sure to have."""


def run(*words: object) -> tuple[int, str]:
    """In a process of its own: encodings are chosen when Python starts. Output as bytes in ASCII."""
    environment = os.environ | ASCII | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "service", *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("ascii")


def site(config: Path, data_dir: Path) -> None:
    data_dir.mkdir()
    open_database(data_dir / "records.db")
    document = {"data_dir": str(data_dir), "institution": "Universitätsklinikum Łódź"}
    config.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def test_help_and_answers_hold_letters_that_the_terminal_does_not_have(tmp_path: Path) -> None:
    code, output = run("jobs", "show", "--help")
    assert (code, "UnicodeEncodeError" in output) == (0, False)
    config = tmp_path / "thoracle.yaml"
    site(config, tmp_path / "data")
    code, output = run("jobs", "show", "Łódź", "--config", config)
    assert (code, "Traceback" in output) == (1, False)
    assert "is no text in the encoding ascii" in output


def test_a_folder_that_the_locale_cannot_name_is_refused_by_name(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    site(config, tmp_path / "Übung")
    code, output = run("jobs", "list", "--config", config)
    assert (code, "Traceback" in output) == (2, False)
    assert "the encoding of this locale, ascii, cannot name the folder" in output
    assert "set LC_ALL=C.UTF-8" in output
