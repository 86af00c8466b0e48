"""A version is checked before it gets any study; a broken one changes nothing, and the audit trail tells of it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import make_ct, tiny_models
from helpers.databases import open_database

from service.domain.ports import Array, Backend
from service.domain.serving import OFF, Candidate, NoSuchModel, Served, canary, withdraw
from service.errors import Permanent, Transient
from service.inference.files import read_digests, serving_of
from service.inference.installed_models import served_of
from service.inference.model_trial import checking
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, change, embed
from service.inference.serving_file import SERVING, render_serving
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.rollout.acceptance import Acceptance, On, Passed
from service.rollout.model_actions import ModelActions
from service.store.audit import Audit
from service.store.shadows import Shadows

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ct")
    make_ct.write(make_ct.make(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0).datasets, folder)
    return folder


class Site:
    """A repository of tiny models, and who may change it."""

    def __init__(self, folder: Path, ct: Path | None, server: On | None = None) -> None:
        self.root = tiny_models.repository(folder / "models")
        tiny_models.serve(self.root, tiny_models.lobes(), tiny_models.LOBES)
        engine = open_database(folder / "records.db")
        self.audit = Audit(engine, lambda: NOW)
        acceptance = Acceptance([CovidSeverity()], [CovidSeverity()], ct, self.on, server)
        self.operator = ModelActions(self._root, self._root, lambda: acceptance, self.audit, Shadows(engine))

    def _root(self) -> Path:
        return self.root

    def on(self, versions: Mapping[str, str]) -> OnnxBackend:
        return OnnxBackend(self.root, 1, versions)

    def install(self, model: bytes, version: int = 3) -> None:
        add(self.root, embed(model, tiny_models.numbered(tiny_models.LOBES, version)))

    def switch_off(self) -> None:
        (self.root / SERVING).write_text(render_serving(serving_of(self.root) | {"lobes": Served(OFF)}))

    def served(self) -> Served:
        return served_of(self.root, "lobes")

    def digest(self, version: str) -> str:
        return read_digests(self.root)[f"lobes/{version}/model.onnx"]

    def latest(self) -> Mapping[str, Any]:
        """What the audit trail holds of the last change."""
        return self.audit.entries(limit=1)[0]["detail"]

    def told(self) -> list[tuple[str, str, str]]:
        return [(entry["what"], entry["outcome"], entry["detail"].get("why", "")) for entry in self.audit.entries()]


def test_a_good_version_is_tried_promoted_and_rolled_back(tmp_path: Path, ct: Path) -> None:
    site = Site(tmp_path, ct)
    site.install(tiny_models.lobes())
    tried = site.operator.canary("lobes", "3", 0.25, "ada")
    assert tried.served == Served("2", "1", Candidate("3", 0.25))
    assert tried.difference is not None and tried.difference.worst_dice == 1.0, "the same network again"
    (listed,) = [one for one in site.operator.installed() if one["state"] == "candidate"]
    assert (listed["name"], listed["version"], listed["share"], listed["shadow"]) == ("lobes", "3", 0.25, False)
    assert site.operator.promote("lobes", None, "ada").served == Served("3", previous="2")
    assert site.operator.rollback("lobes", "eve").served == Served("2")
    entries = site.operator.history("lobes")
    assert [(e["who"], e["what"], e["outcome"]) for e in entries] == [
        ("eve", "rollback", "done"),
        ("ada", "promote", "done"),
        ("ada", "canary", "done"),
    ]
    assert entries[1]["detail"]["version"] == "3" and len(entries[1]["detail"]["sha256"]) == 64
    assert (entries[2]["detail"]["share"], entries[2]["detail"]["worst_dice"]) == (0.25, 1.0)


def test_the_audit_trail_says_which_version_went_and_which_came(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.install(tiny_models.lobes(), 3)
    change(site.root, "lobes", canary("3", 0.25))
    one, two, three = ({"version": version, "sha256": site.digest(version)} for version in "123")
    on_trial = {"active": two, "candidate": three | {"share": 0.25, "shadow": False}}

    def said(change: Callable[[], object]) -> Mapping[str, Any]:
        change()
        return site.latest()

    assert said(lambda: site.operator.withdraw("lobes", "ada")) == {
        **three,
        "before": on_trial,
        "after": {"active": two, "candidate": None},
    }
    assert said(lambda: site.operator.rollback("lobes", "ada")) == {
        **one,
        "before": {"active": two, "candidate": None},
        "after": {"active": one, "candidate": None},
    }
    assert said(lambda: site.operator.remove("lobes", "3", "ada")) == {
        **three,
        "before": {"active": one, "candidate": None},
        "after": {"active": one, "candidate": None},
    }
    with pytest.raises(Permanent, match="promote another one first"):
        site.operator.remove("lobes", None, "ada")
    assert (site.latest()["version"], site.latest()["sha256"]) == ("1", one["sha256"])
    assert "after" not in site.latest()


def test_the_audit_trail_names_the_candidate_that_the_check_refuses(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.install(tiny_models.lobes(), 3)
    change(site.root, "lobes", canary("3", 0.25))
    acceptance, begun = site.operator._acceptance, []

    def asked() -> Acceptance:
        begun.append(site.audit.entries(limit=1)[0])
        return acceptance()

    site.operator._acceptance = asked
    with pytest.raises(Permanent, match="no CT to try it on"):
        site.operator.promote("lobes", None, "ada")
    for detail in (begun[0]["detail"], site.latest()):
        assert (detail["version"], detail["sha256"]) == ("3", site.digest("3"))
        assert detail["before"]["active"] == {"version": "2", "sha256": site.digest("2")}
    assert begun[0]["outcome"] == "begun", "a kill during the check leaves as much"


def test_a_new_model_is_compared_with_its_absence_and_may_be_switched_off_again(tmp_path: Path, ct: Path) -> None:
    site = Site(tmp_path, ct)
    add(site.root, embed(tiny_models.lungs(), tiny_models.numbered(tiny_models.LUNGS, 1)))
    promoted = site.operator.promote("lungs", "1", "ada")
    assert (promoted.served, promoted.difference is None) == (Served("1", previous=OFF), False)
    assert site.operator.rollback("lungs", "ada").served == Served(OFF)


def _altered(site: Site) -> None:
    site.install(tiny_models.lobes())
    with (site.root / "lobes/3/model.onnx").open("ab") as file:
        file.write(b"x")


def _other_tensors(site: Site) -> None:
    site.install(tiny_models.lungs())


@pytest.mark.parametrize(
    ("install", "said"),
    [
        (lambda site: site.install(tiny_models.black_lobes()), "all black"),
        (_altered, "was altered"),
        (_other_tensors, "has tensors"),
        (lambda site: None, "There is no lobes version 3"),
    ],
    ids=["black", "altered", "other tensors", "missing"],
)
def test_a_broken_version_never_gets_a_study(
    tmp_path: Path, ct: Path, install: Callable[[Site], None], said: str
) -> None:
    site = Site(tmp_path, ct)
    install(site)
    before = site.served()
    ways: dict[str, Callable[[], Any]] = {
        "promote": lambda: site.operator.promote("lobes", "3", "ada"),
        "canary": lambda: site.operator.canary("lobes", "3", 0.1, "ada"),
        "shadow": lambda: site.operator.shadow("lobes", "3", "ada"),
    }
    if said == "all black":
        del ways["canary"], ways["shadow"]  # they pass the same gate, and its analysis takes a while
    for what, way in ways.items():
        with pytest.raises(Permanent, match=said):
            way()
        assert site.served() == before
        assert site.told()[0][:2] == (what, "refused")
        assert said in site.told()[0][2]


def test_the_first_version_of_a_required_model_is_not_excused_by_itself(tmp_path: Path, ct: Path) -> None:
    site = Site(tmp_path, ct)
    site.install(tiny_models.black_lobes())
    site.switch_off()
    with pytest.raises(Permanent, match=r"lobes, \w+, is all black"):
        site.operator.promote("lobes", "3", "ada")


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("another candidate", "Version 4 is the candidate: promote or withdraw it first"),
        ("another file", "lobes version 3 is another file than the one that passed"),
    ],
)
def test_only_the_version_that_passed_is_promoted(tmp_path: Path, then: str, said: str) -> None:
    """While the check tries the candidate, another one takes its place, or the file is installed anew."""
    site = Site(tmp_path, None)
    site.install(tiny_models.lobes(), 3)
    site.install(tiny_models.lobes(), 4)
    change(site.root, "lobes", canary("3", 0.1))

    class Slow(Acceptance):
        def check(self, *_: Any) -> Passed:
            if then == "another candidate":
                change(site.root, "lobes", withdraw)
                change(site.root, "lobes", canary("4", 0.1))
                return Passed(read_digests(site.root)["lobes/3/model.onnx"], None)
            return Passed("0" * 64, None)

    site.operator._acceptance = lambda: Slow([CovidSeverity()], [CovidSeverity()], None, site.on)
    with pytest.raises(Permanent, match=said):
        site.operator.promote("lobes", None, "ada")
    assert site.served().active == "2"


def test_while_another_version_is_checked_only_the_way_back_is_open(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.install(tiny_models.lobes())
    with checking(site.root, "lungs", "1", "eve"):
        with pytest.raises(Permanent, match="lungs version 1, for eve, is being checked"):
            site.operator.promote("lobes", "3", "ada")
        assert site.operator.rollback("lobes", "ada").served.active == "1"


def test_without_a_ct_to_try_it_on_nothing_is_promoted(tmp_path: Path) -> None:
    site = Site(tmp_path, None)
    site.install(tiny_models.lobes())
    with pytest.raises(Permanent, match=r"name a folder with a chest CT as `inference\.trial_ct`"):
        site.operator.promote("lobes", "3", "ada")
    assert site.served().active == "2"
    assert site.operator.rollback("lobes", "ada").served.active == "1", "the way back needs none"


def test_what_makes_no_sense_is_refused_before_anything_is_tried(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "nowhere")
    with pytest.raises(Permanent, match="active already"):
        site.operator.promote("lobes", "2", "ada")
    with pytest.raises(NoSuchModel, match="There is no model lobe"):
        site.operator.withdraw("lobe", "ada")
    assert [(what, outcome) for what, outcome, _ in site.told()] == [("promote", "refused")], "names are without end"


class InSixteenBits(OnnxBackend):
    """A server that serves another thing than the file: all black."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {key: np.zeros_like(answer) for key, answer in super().infer(name, inputs).items()}


def test_the_server_must_say_what_the_file_says(tmp_path: Path, ct: Path) -> None:
    answers: dict[str, On] = {}
    site = Site(tmp_path, ct, lambda versions: answers["now"](versions))
    site.install(tiny_models.lobes())
    answers["now"] = lambda versions: InSixteenBits(site.root, 1, versions)
    with pytest.raises(Permanent, match="all black"):
        site.operator.promote("lobes", "3", "ada")

    def away(versions: Mapping[str, str]) -> Backend:
        raise Transient("Triton is away.")

    answers["now"] = away
    with pytest.raises(Transient, match="away"):
        site.operator.promote("lobes", "3", "ada")
    assert (site.served().active, site.told()[0][1]) == ("2", "refused")


def test_triton_serves_no_two_versions_with_different_tensors_at_once(tmp_path: Path, ct: Path) -> None:
    """Version 1 of the lobes, the shipped one, takes the lungs in boxes."""
    site = Site(tmp_path, ct, lambda versions: site.on(versions))
    for way in (
        lambda: site.operator.canary("lobes", "1", 0.1, "ada"),
        lambda: site.operator.promote("lobes", "1", "ada"),
    ):
        with pytest.raises(
            Permanent, match=r"Triton cannot serve both at once: promote it with `inference\.backend: onnx`"
        ):
            way()
    assert site.served().active == "2"
