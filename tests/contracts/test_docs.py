"""Generated pages are in step with the code, and commands printed in the README exist."""

import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [*ROOT.glob("*.md"), ROOT / "tests" / "README.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("generator", sorted((ROOT / "docs").glob("generate_*.py")), ids=lambda p: p.stem)
def test_generated_pages_are_up_to_date(generator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(generator), "--check"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(generator), run_name="__main__")
    assert stopped.value.code in (0, None), stopped.value.code


def test_a_decision_record_without_status_and_date_is_named(tmp_path: Path) -> None:
    read = runpy.run_path(str(ROOT / "docs" / "generate_decision_index.py"))["read"]
    record = tmp_path / "0007-seven.md"
    record.write_text(
        "# 7. Seven\n\n**Status.** Accepted, 2026-11-21; replaced by\n[decision 8](0008-eight.md): more.\n"
    )
    assert read(record).status == "replaced by [8](0008-eight.md)"
    record.write_text("# 7. Seven\n\n**Context.** None.\n")
    with pytest.raises(SystemExit, match=r"0007-seven\.md does not begin"):
        read(record)


def test_every_make_target_in_the_documents_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {t for page in PAGES for t in re.findall(r"(?:^|`)make ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test", "lint", "unit", "check"} <= targets
    assert [t for t in targets if not re.search(rf"^{t}:.*## ", makefile, re.MULTILINE)] == []


def test_every_thoracle_command_in_the_readme_exists_and_teaches() -> None:
    commands = set(re.findall(r"thoracle ([a-z]+) ", README))
    assert commands >= {"analyse", "serve", "send", "doctor"}
    for command in commands:
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0, command
        assert "Example" in result.output, f"{command} --help shows no example"


def test_every_link_in_the_docs_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_conformance_statement_is_that_of_this_version() -> None:
    (told,) = re.findall(
        r"^Thoracle (\S+)\. Research use only", (ROOT / "docs/reference/conformance.md").read_text(), re.M
    )
    assert told == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
