"""`thoracle models compare`: figures of different files are never made one, and every changed score counts."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from helpers.databases import open_database
from typer.testing import CliRunner

from service.cli import app
from service.store.shadows import Shadow, Shadows
from service.store.tables import shadows

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SCORES = ((3, 3), (3, 4), (None, None), (None, 5))


def document(
    active: str,
    candidate: str,
    score: tuple[int | None, int | None],
    dice: float,
    pipeline: str = "covid-severity",
    label: str = "RUL",
) -> Mapping[str, Any]:
    before, after = score
    return {
        "pipeline": pipeline,
        "reference": [{"name": "lobes", "version": "1", "sha256": active * 64}],
        "candidate": [{"name": "lobes", "version": "2", "sha256": candidate * 64}],
        "difference": {
            "worst_dice": dice,
            "headline_change": None if before is None or after is None else after - before,
            "headline": {"reference": before, "candidate": after},
            "labels": {label: {"dice": dice}},
        },
    }


def of_0_2(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same document as version 0.2 wrote it: those that are there stay as they are."""
    then = dict(found["difference"])
    then |= {"score_change": then.pop("headline_change"), "score": then.pop("headline")}
    return {**{name: value for name, value in found.items() if name != "pipeline"}, "difference": then}


def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documents: Sequence[Mapping[str, Any]]) -> sa.Engine:
    """The tables of a service in which these were compared, the last one last."""
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path))
    engine = open_database(tmp_path / "records.db")
    alone = sa.create_engine(f"sqlite:///{tmp_path}/records.db")  # without the jobs that the table refers to
    with alone.begin() as connection:
        for number, found in enumerate(documents):
            row: dict[str, Any] = {"job_id": f"job{number}", "model": "lobes", "version": "2", "state": Shadow.COMPARED}
            row |= {"at": NOW + timedelta(minutes=number), "results": "", "document": found, "error": ""}
            connection.execute(sa.insert(shadows).values(row))
    return engine


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    documents = [
        *(document("a", "b", score, 0.5) for score in SCORES),
        document("a", "c", (3, 4), 0.9),
        of_0_2(document("d", "c", (3, 3), 1.0)),
    ]
    return stored(tmp_path, monkeypatch, documents)


def test_each_pair_of_files_has_its_own_table(table: sa.Engine) -> None:
    done = CliRunner().invoke(app, ["models", "compare", "lobes"])
    assert done.exit_code == 0, done.output
    said = re.findall(r"1 \((\w)\1{11}\) → 2 \((\w)\2{11}\): (\d) studies .* changes in (\d)", done.output)
    assert said == [("d", "c", "1", "0"), ("a", "c", "1", "1"), ("a", "b", "4", "2")]
    values = re.findall(r"(job\d) .* (\S+) → (\S+)", done.output)
    assert values == [
        ("job5", "3", "3"),
        ("job4", "3", "4"),
        ("job3", "–", "5"),
        ("job2", "–", "–"),
        ("job1", "3", "4"),
        ("job0", "3", "3"),
    ]
    assert re.findall(r"RUL +(\S+) +(\S+)", done.output) == [(f"{d:.4f}", f"{d:.4f}") for d in (1.0, 0.9, 0.5)]


def test_only_the_latest_are_shown(table: sa.Engine) -> None:
    assert [one["job_id"] for one in Shadows(table).of("lobes", limit=2)] == ["job5", "job4"]
    done = CliRunner().invoke(app, ["models", "compare", "lobes", "--limit", "1"])
    assert ("job5" in done.output, "job4" in done.output) == (True, False)


def test_pipelines_and_old_documents_have_tables_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are of the same two files of the model; each pipeline has labels of its own."""
    documents = [
        of_0_2(document("a", "b", (3, 3), 0.4, label="LUL")),
        document("a", "b", (40, 41), 0.6, "emphysema-index", "EMPHYSEMA"),
        document("a", "b", (3, 3), 0.5),
        document("a", "b", (3, 4), 0.7),
        document("a", "b", (3, 4), 0.8, label="NEW"),
    ]
    stored(tmp_path, monkeypatch, documents)
    done = CliRunner().invoke(app, ["models", "compare", "lobes"])
    assert done.exit_code == 0, done.output
    said = re.findall(r"^(.+), 1 \(a+\) → 2 \(b+\): (\d) studies .* changes in (\d)", done.output, re.MULTILINE)
    assert said == [("covid-severity", "3", "2"), ("emphysema-index", "1", "1"), ("pipeline not recorded", "1", "0")]
    assert re.findall(r"^ ?([A-Z]+) +(\S+) +(\S+) +(\d)", done.output, re.MULTILINE) == [
        ("NEW", "0.8000", "0.8000", "1"),
        ("RUL", "0.6000", "0.5000", "2"),
        ("EMPHYSEMA", "0.6000", "0.6000", "1"),
        ("LUL", "0.4000", "0.4000", "1"),
    ]
