"""A version in the shadow becomes the active one by itself where, and only where, the limits of the site hold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct, tiny_models
from helpers.databases import open_database

from service.composition.model_actions import self_promotion
from service.domain.serving import Candidate, Served
from service.errors import Permanent
from service.inference.installed_models import served_of
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, embed
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.rollout.acceptance import Acceptance
from service.rollout.model_actions import ModelActions
from service.rollout.self_promotion import PromotionLimits, SelfPromotion, why_not
from service.settings import Settings
from service.store.audit import Audit
from service.store.file_locks import FileLocks

NOW = datetime(2026, 3, 2, tzinfo=UTC)
NUMBERS = count()
LIMITS = PromotionLimits(studies=3, min_dice=0.9, headline_change={"covid-severity": 1.0})


def row(
    dice: float = 0.95,
    headline: tuple[float | None, float | None] = (9.0, 9.0),
    *,
    ml: float = 100.0,
    state: str = "compared",
    active: str = "2",
    pipeline: str = "covid-severity",
    at: datetime = NOW,
    study: str | None = None,
    scores: tuple[float | None, float | None] = (2.0, 2.0),
    classified: bool = False,
) -> dict[str, Any]:
    label = {"dice": dice, "reference_ml": ml, "candidate_ml": ml}
    names = ("reference", "candidate")
    found = {
        "labels": {"RUL": label},
        "headline": dict(zip(names, headline, strict=True)),
        "scores": {"RUL.score": dict(zip(names, scores, strict=True))},
    }
    document = {
        "pipeline": pipeline,
        "reference": [{"name": "lobes", "version": active}],
        "classified": classified,
        "difference": found,
    }
    ended = document if state == "compared" else None
    number = str(next(NUMBERS))
    return {"state": state, "at": at, "job_id": number, "study_uid": study or number, "document": ended}


def held(*rows: Mapping[str, Any]) -> bool:
    return why_not("lobes", "2", rows, LIMITS) == ""


def test_so_many_studies_within_the_limits_are_enough_and_fewer_are_not() -> None:
    assert held(row(), row(), row())
    assert not held(row(), row())
    assert why_not("lobes", "2", [row()], LIMITS) == "fewer than 3 studies of this trial have ended"


def test_a_study_counts_once_however_many_jobs_it_has_and_each_of_them_has_to_be_within() -> None:
    assert not held(row(study="S"), row(study="S"), row(), row(study="S"))
    assert held(row(study="S"), row(study="S", pipeline="covid-burden"), row(), row())
    assert not held(row(study="S"), row(0.1, study="S", pipeline="covid-burden"), row(), row())


@pytest.mark.parametrize(
    "bad",
    [
        row(0.89),
        row(headline=(9.0, 10.5)),
        row(headline=(None, 9.0)),
        row(headline=(9.0, None)),
        row(headline=(9.0, 9.1), pipeline="covid-burden"),
        row(active="1"),
        row(state="failed"),
        row(scores=(2.0, 3.0)),
        row(scores=(2.0, None)),
        row(classified=True),
    ],
    ids=[
        "Dice",
        "headline",
        "no headline before",
        "none after",
        "pipeline without limit",
        "other active",
        "failed",
        "score",
        "no score after",
        "classified",
    ],
)
def test_one_study_outside_of_the_limits_keeps_the_version_in_the_shadow(bad: Mapping[str, Any]) -> None:
    for rows in ((bad, row(), row()), (row(), row(), bad)):
        assert not held(*rows)


@pytest.mark.parametrize(
    "good",
    [
        row(0.9),
        row(0.2, ml=0.6),
        row(headline=(9.0, 10.0)),
        row(headline=(9.0, 8.0)),
        row(headline=(None, None)),
        row(headline=(5.0, 5.0), pipeline="covid-burden"),
    ],
    ids=["least Dice", "a trace", "one more", "one less", "no headline in both", "no change without a limit"],
)
def test_what_is_just_within_the_limits_passes(good: Mapping[str, Any]) -> None:
    assert held(row(), good, row())


class Site:
    """Tiny models, of which lobes version 3 can be tried, and a clock."""

    def __init__(self, folder: Path, ct: Path, limits: PromotionLimits = LIMITS) -> None:
        self.now, self.leads, self.limits = NOW, True, limits
        self.root = tiny_models.repository(folder / "models")
        tiny_models.serve(self.root, tiny_models.lobes(), tiny_models.LOBES)
        self.audit = Audit(open_database(folder / "records.db"), lambda: self.now)
        self.rows: list[dict[str, Any]] = []
        acceptance = Acceptance([CovidSeverity()], [CovidSeverity()], ct, self.on)
        self.operator = ModelActions(self._root, self._root, lambda: acceptance, self.audit, self)  # type: ignore[arg-type]
        self.task = SelfPromotion(
            self.operator, self._root, lambda: self.leads, self.limits, "service, by itself", lambda: self.now
        )

    def _root(self) -> Path:
        return self.root

    def on(self, versions: Mapping[str, str]) -> OnnxBackend:
        return OnnxBackend(self.root, 1, versions)

    def latest_studies(self, model: str, version: str, since: datetime, studies: int) -> list[dict[str, Any]]:
        """The shadow analyses, in place of their table."""
        mine = (model, version, studies) == ("lobes", "3", 3)
        return [one for one in self.rows if one["at"] >= since] if mine else []

    def install(self, model: bytes) -> None:
        add(self.root, embed(model, tiny_models.numbered(tiny_models.LOBES, 3)))

    def look(self, minutes: float) -> Served:
        self.now += timedelta(minutes=minutes)
        self.task._look()
        return served_of(self.root, "lobes")


class Asked:
    """The actions, in place of the operators': they note what is promoted."""

    def __init__(self) -> None:
        self.promoted: list[object] = []
        self.trouble: Exception | None = None

    def in_shadow_since(self, name: str, version: str) -> datetime:
        if self.trouble:
            raise self.trouble
        return NOW

    def latest_studies(self, name: str, version: str, since: datetime, studies: int) -> list[dict[str, Any]]:
        return [row(), row(), row()]

    def promote(self, name: str, version: str | None, by: str, *, because: str, judged: Served) -> None:
        self.promoted.append((name, version, judged))


def test_only_the_process_that_leads_looks_and_it_survives_what_nobody_thought_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = Served("2", "1", Candidate("3", shadow=True))
    monkeypatch.setattr("service.rollout.self_promotion.serving_of", lambda _: {"lobes": served})
    asked, leads = Asked(), False
    task = SelfPromotion(asked, Path, lambda: leads, LIMITS, "service, by itself", lambda: NOW)
    task._look()
    assert asked.promoted == []
    leads, asked.trouble = True, ZeroDivisionError("a patient's name")
    task._look()
    assert "ZeroDivisionError" in caplog.text and "a patient's name" not in caplog.text
    asked.trouble = None
    task._look()
    assert asked.promoted == [("lobes", "3", served)]


def test_a_model_that_a_person_promotes_is_left_alone_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    served = Served("2", "1", Candidate("3", shadow=True))
    monkeypatch.setattr("service.rollout.self_promotion.serving_of", lambda _: {"lobes": served})
    asked, limits = Asked(), replace(LIMITS, never=frozenset({"lobes"}))
    task = SelfPromotion(asked, Path, lambda: True, limits, "service, by itself", lambda: NOW)
    for _ in range(2):
        task._look()
    assert asked.promoted == []
    assert caplog.text.count("lobes version 3 stays in the shadow: a person promotes this model") == 1


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ct")
    make_ct.write(make_ct.make(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0).datasets, folder)
    return folder


@pytest.mark.slow
def test_it_is_promoted_by_studies_of_this_trial_and_rolled_back_as_ever(tmp_path: Path, ct: Path) -> None:
    site = Site(tmp_path, ct)
    site.install(tiny_models.lobes())
    site.rows = [row(at=NOW - timedelta(days=9)) for _ in range(3)]
    assert site.look(1) == Served("2", "1"), "nothing is in the shadow"
    site.operator.shadow("lobes", "3", "ada")
    on_trial = Served("2", "1", Candidate("3", shadow=True))
    assert site.look(1) == on_trial, "studies of an earlier trial do not count"
    site.rows = [row(at=site.now + timedelta(minutes=n)) for n in (3, 2)]
    assert site.look(5) == on_trial
    site.rows.insert(0, row(at=site.now))
    assert site.look(1) == Served("3", "2")
    entry = site.audit.entries("lobes", limit=1)[0]
    assert (entry["who"], entry["what"], entry["outcome"]) == ("service, by itself", "promote", "done")
    assert "latest 3 studies" in entry["detail"]["because"]
    assert entry["detail"]["after"]["active"]["version"] == "3"
    site.operator.rollback("lobes", "ada")
    assert site.look(1).active == "2", "a rollback ends the trial"


@pytest.mark.slow
def test_a_version_that_is_not_accepted_is_tried_again_after_an_hour(tmp_path: Path, ct: Path) -> None:
    site = Site(tmp_path, ct)
    site.install(tiny_models.lobes())
    site.operator.shadow("lobes", "3", "ada")
    (site.root / "lobes" / "3" / "model.onnx").write_bytes(b"altered")
    site.rows = [row(at=site.now) for _ in range(3)]
    for minutes in (1, 30):
        assert site.look(minutes).active == "2"
    refused = [entry for entry in site.audit.entries("lobes") if entry["what"] == "promote"]
    assert [entry["outcome"] for entry in refused] == ["refused"]
    site.look(31)
    assert len([entry for entry in site.audit.entries("lobes") if entry["what"] == "promote"]) == 2


def test_it_is_off_unless_wanted_and_a_pipeline_that_there_is_not_is_refused(tmp_path: Path) -> None:
    def tasks(**inference: object) -> int:
        settings = Settings(data_dir=tmp_path, inference=inference)
        actions = ModelActions(None, None, None, None, None)  # type: ignore[arg-type]
        return len(self_promotion(settings, actions, FileLocks(tmp_path)))

    assert tasks() == 0
    assert tasks(self_promotion={"headline_change": {"covid-burden": 1.0}}) == 1
    with pytest.raises(Permanent, match="no pipeline 'covid-berden'"):
        tasks(self_promotion={"headline_change": {"covid-berden": 1.0}})
