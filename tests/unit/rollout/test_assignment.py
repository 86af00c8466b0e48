"""What a worker serves changes while it runs: a good version is taken up, a broken one replaces nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from helpers import tiny_models
from sqlalchemy.exc import OperationalError

from service.domain.ports import Backend
from service.domain.serving import Rule, canary, promote, rollback, shadow, withdraw
from service.errors import Permanent, Transient
from service.inference.install import prepare
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, change, create
from service.pipelines import MODEL_ROLES
from service.rollout.assignment import Models
from service.settings import default_repository


class Site:
    """A repository of the shipped models, and a worker's models from it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.told = folder / "models", []  # type: ignore[var-annotated]
        self.made, self.now_s = 0, 100.0
        self.away: set[str] = set()
        self.why_away: Exception = Transient("The server is away.")
        self.cannot_tell = False
        self.ailing: set[str] = set()
        self.why_ailing: Exception = Transient("It answers wrongly.")
        create(self.root, default_repository())
        self.models = self.start()

    def start(self) -> Models:
        def told(versions: Mapping[str, str], trouble: str) -> None:
            if self.cannot_tell:
                raise OperationalError("INSERT", {}, Exception("database is locked"))
            self.told.append((versions, trouble))

        return Models(lambda: self.root, self.make, told, pause_s=60, clock=lambda: self.now_s)

    def make(self, versions: Mapping[str, str], beside: Sequence[Backend]) -> Backend:
        self.made += 1
        if versions["lobes"] in self.away:
            raise self.why_away
        backend = OnnxBackend(self.root, 1, versions, [other for other in beside if isinstance(other, OnnxBackend)])
        backend.check = lambda: self.check(versions["lobes"])  # type: ignore[method-assign]
        return backend

    def check(self, lobes: str) -> None:
        if lobes in self.ailing:
            raise self.why_ailing

    def install_lobes(self) -> str:
        return add(self.root, prepare(self.root, tiny_models.lobes(), tiny_models.LOBES, MODEL_ROLES).content).version

    def lobes(self, study: str = "1.2.3") -> str:
        return self.models.for_study(study).backend.spec("lobes").version

    def alter(self, version: str) -> None:
        with (self.root / f"lobes/{version}/model.onnx").open("ab") as file:
            file.write(b"x")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_promotion_and_a_rollback_are_taken_up_while_it_runs(site: Site) -> None:
    assert site.lobes() == "1"
    in_flight = site.models.for_study("1.2.3").backend
    change(site.root, "lobes", promote(site.install_lobes()))
    assert site.lobes() == "2"
    assert in_flight.spec("lobes").version == "1", "what a study began with, it ends with"
    change(site.root, "lobes", rollback)
    assert site.lobes() == "1"
    assert [versions["lobes"] for versions, _ in site.told] == ["1", "2", "1"]
    assert not site.models.trouble


def test_as_long_as_nothing_changes_nothing_is_loaded(site: Site) -> None:
    for _ in range(3):
        site.models.for_study("1.2.3")
    assert site.made == 1


def test_what_both_versions_have_in_common_is_loaded_once(site: Site) -> None:
    before = site.models.active
    change(site.root, "lobes", promote(site.install_lobes()))
    after = site.models.for_study("1.2.3").backend
    assert isinstance(before, OnnxBackend) and isinstance(after, OnnxBackend)
    assert after._model("lung-opacity") is before._model("lung-opacity")
    assert after._model("lobes") is not before._model("lobes")


def test_a_candidate_that_is_promoted_is_loaded_already(site: Site) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 0.5))
    site.lobes()
    candidate = site.models._loaded.others["lobes"]
    change(site.root, "lobes", canary("2", 1.0))
    more = site.models.for_study("1.2.3").others["lobes"]
    change(site.root, "lobes", promote())
    after = site.models.for_study("1.2.3").backend
    for backend in (candidate, more, after):
        assert isinstance(backend, OnnxBackend)
        assert backend._model("lobes") is candidate._model("lobes")  # type: ignore[attr-defined]
        assert backend.spec("lobes").version == "2"


def test_a_version_that_does_not_load_replaces_nothing(site: Site) -> None:
    change(site.root, "lobes", promote(site.install_lobes()))
    site.alter("2")
    assert site.lobes() == "1"
    assert "was altered" in site.models.trouble and "The old ones go on" in site.models.trouble
    assert site.lobes() == "1"
    assert len(site.told) == 2, "told once"
    change(site.root, "lobes", rollback)
    assert (site.lobes(), site.models.trouble) == ("1", "")
    with pytest.raises(Permanent, match="was altered"):
        change(site.root, "lobes", promote("2"))


def test_nonsense_in_the_file_changes_nothing_until_it_is_gone(site: Site) -> None:
    site.install_lobes()
    said = (site.root / "serving.json").read_text()
    (site.root / "serving.json").write_text("{")
    assert site.lobes() == "1"
    assert "does not say which versions are served" in site.models.trouble
    (site.root / "serving.json").write_text(said)
    assert (site.lobes(), site.models.trouble) == ("1", "")


def test_a_server_that_is_away_is_asked_again_with_every_study(site: Site) -> None:
    change(site.root, "lobes", promote(site.install_lobes()))
    site.away = {"2"}
    assert (site.lobes(), site.lobes()) == ("1", "1")
    site.away = set()
    assert (site.lobes(), site.models.trouble) == ("2", "")


def test_a_worker_does_not_start_on_an_active_version_that_does_not_load(site: Site) -> None:
    site.alter("1")
    with pytest.raises(Permanent, match="was altered"):
        site.start()


def test_the_candidate_analyses_its_share_and_only_with_its_own_model(site: Site) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 0.5))
    studies = [f"1.2.{n}" for n in range(40)]
    first = {study: site.models.for_study(study) for study in studies}
    by_candidate = {study for study, assigned in first.items() if assigned.candidates == {"lobes"}}
    assert 5 < len(by_candidate) < 35
    for study, assigned in first.items():
        assert assigned.backend.spec("lobes").version == ("2" if study in by_candidate else "1")
        assert assigned.backend.spec("lung-opacity").version == site.models.active.spec("lung-opacity").version
    assert {s for s in studies if site.models.for_study(s).candidates} == by_candidate, "the same when analysed again"
    change(site.root, "lobes", withdraw)
    assert not any(site.models.for_study(study).candidates for study in studies)


def test_a_model_that_is_new_can_be_tried_too(site: Site) -> None:
    add(site.root, prepare(site.root, tiny_models.lungs(), tiny_models.LUNGS, MODEL_ROLES).content)
    change(site.root, "lungs", canary("1", 1.0))
    assigned = site.models.for_study("1.2.3")
    assert (assigned.backend.has("lungs"), site.models.active.has("lungs")) == (True, False)


def test_a_candidate_that_does_not_load_gets_no_study_and_harms_nobody(site: Site) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 1.0))
    site.alter("2")
    assert site.lobes() == "1"
    assert "candidate lobes version 2" in site.models.trouble
    again = site.start()
    assert again.for_study("1.2.3").backend.spec("lobes").version == "1", "nor does it keep the service from starting"


def test_a_candidate_that_does_not_load_is_tried_again_after_a_pause_or_a_change_and_nothing_else_is(
    site: Site,
) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 1.0))
    site.away = {"2"}
    assert site.lobes() == "1"
    made, active = site.made, site.models.active
    assert [site.lobes(), site.lobes(), site.made] == ["1", "1", made], "not before every study"
    site.now_s += 60
    assert [site.lobes(), site.lobes(), site.made] == ["1", "1", made + 1]
    assert site.models.active is active
    site.away = set()
    change(site.root, "lobes", shadow("2"))
    assert (site.lobes(), site.models.trouble) == ("2", "")


def test_a_candidate_that_fails_while_it_serves_gets_no_study_until_it_works_again(site: Site) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 1.0))
    assert site.lobes() == "2"
    site.ailing = {"2"}
    site.models.check()
    assert "candidate lobes version 2: It answers wrongly." in site.models.trouble
    assert site.lobes() == "1"
    assert "It answers wrongly" in site.told[-1][1]
    site.ailing = set()
    site.now_s += 60
    assert (site.lobes(), site.models.trouble) == ("2", "")
    site.ailing = {"1"}
    with pytest.raises(Transient, match="answers wrongly"):
        site.models.check()


def test_a_shadow_gets_no_study_but_stands_beside(site: Site) -> None:
    change(site.root, "lobes", shadow(site.install_lobes()))
    assert (site.lobes(), site.models.shadows()) == ("1", {"lobes": "2"})
    both = site.models.beside("lobes", "2")
    assert both is not None
    assert [one.spec("lobes").version for one in both] == ["1", "2"]
    assert site.models.beside("lobes", "3") is None
    change(site.root, "lobes", withdraw)
    assert site.models.beside("lobes", "2") is None
    assert site.models.shadows() == {}


def test_a_worker_without_studies_notices_what_is_to_be_served(site: Site) -> None:
    change(site.root, "lobes", promote(site.install_lobes()))
    site.alter("2")
    site.models.check()
    assert "was altered" in site.models.trouble and "was altered" in site.told[-1][1]
    change(site.root, "lobes", rollback)
    site.models.check()
    assert (site.models.trouble, site.told[-1][1]) == ("", "")


def test_what_cannot_be_told_is_not_taken_up_and_ends_no_check(site: Site) -> None:
    change(site.root, "lobes", promote(site.install_lobes()))
    site.cannot_tell = True
    site.models.check()
    assert site.models.active.spec("lobes").version == "1"
    site.cannot_tell = False
    site.models.check()
    assert site.models.active.spec("lobes").version == "2"


def test_a_repository_that_is_gone_stops_no_study(site: Site) -> None:
    gone = site.root.rename(site.root.with_name("gone"))
    assert (site.lobes(), site.lobes()) == ("1", "1")
    assert "No such file" in site.models.trouble
    assert len(site.told) == 2, "told once"
    gone.rename(site.root)
    assert (site.lobes(), site.models.trouble) == ("1", "")


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("no room")])
@pytest.mark.parametrize("rule", [promote("2"), canary("2", 1.0)], ids=["promoted", "candidate"])
def test_whatever_goes_wrong_while_a_version_is_loaded_is_told_once_and_stops_no_study(
    site: Site, rule: Rule, error: Exception
) -> None:
    site.install_lobes()
    change(site.root, "lobes", rule)
    site.away, site.why_away = {"2"}, error
    assert (site.lobes(), site.lobes()) == ("1", "1")
    assert f"{type(error).__name__}: no room." in site.models.trouble
    assert len(site.told) == 2


def test_a_candidate_that_raises_anything_while_it_is_checked_gets_no_study(site: Site) -> None:
    change(site.root, "lobes", canary(site.install_lobes(), 1.0))
    assert site.lobes() == "2"
    site.why_ailing, site.ailing = ZeroDivisionError("by zero"), {"2"}
    site.models.check()
    assert "ZeroDivisionError: by zero." in site.models.trouble
    assert site.lobes() == "1"
