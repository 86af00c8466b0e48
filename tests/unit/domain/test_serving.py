"""Which version analyses which study: the rules as a table, and the share of the studies that a canary gets."""

from collections.abc import Callable

import pytest

from service.domain.serving import (
    OFF,
    Candidate,
    Rule,
    Served,
    as_judged,
    canary,
    chosen_for,
    promote,
    rollback,
    shadow,
    withdraw,
    without,
)
from service.errors import Permanent

ONE = Served("1")
TRIAL = Served("1", candidate=Candidate("2", 0.1))
BESIDE = Served("1", candidate=Candidate("2", shadow=True))
TWO = Served("2", previous="1")
NEW = Served(OFF)

TABLE: list[tuple[Served, Rule, Served]] = [
    (ONE, canary("2", 0.1), TRIAL),
    (TRIAL, canary("2", 0.5), Served("1", candidate=Candidate("2", 0.5))),
    (TRIAL, shadow("2"), Served("1", candidate=Candidate("2", 0.1, True))),
    (ONE, shadow("2"), BESIDE),
    (BESIDE, canary("2", 1.0), Served("1", candidate=Candidate("2", 1.0, True))),
    (TRIAL, promote(), TWO),
    (TRIAL, promote("2"), TWO),
    (ONE, promote("2"), TWO),
    (TWO, promote("3"), Served("3", previous="2")),
    (TWO, rollback, ONE),
    (Served("2", "1", Candidate("3", 0.5)), rollback, ONE),
    (TRIAL, withdraw, ONE),
    (Served("2", "1", Candidate("3", 0.5)), withdraw, TWO),
    (NEW, promote("1"), Served("1", previous=OFF)),
    (Served("1", previous=OFF), rollback, NEW),
    (NEW, canary("1", 0.1), Served(OFF, candidate=Candidate("1", 0.1))),
]

REFUSED: list[tuple[Served, Callable[[], Rule], str]] = [
    (ONE, lambda: canary("1", 0.1), "Version 1 is active already"),
    (ONE, lambda: canary("2", 0.0), "A share lies above 0"),
    (ONE, lambda: canary("2", 1.1), "A share lies above 0"),
    (ONE, lambda: canary("2", float("nan")), "A share lies above 0"),
    (ONE, lambda: shadow("1"), "Version 1 is active already"),
    (TRIAL, lambda: canary("3", 0.1), "Version 2 is the candidate: promote or withdraw it first"),
    (TRIAL, lambda: shadow("3"), "Version 2 is the candidate"),
    (TRIAL, lambda: promote("3"), "Version 2 is the candidate"),
    (ONE, lambda: promote(), "There is no candidate; name the version"),
    (ONE, lambda: promote("1"), "Version 1 is active already"),
    (ONE, lambda: rollback, "There is no earlier version to go back to"),
    (ONE, lambda: withdraw, "There is no candidate"),
]


@pytest.mark.parametrize(("before", "rule", "after"), TABLE)
def test_what_is_served_changes_by_rules(before: Served, rule: Rule, after: Served) -> None:
    assert rule(before) == after


@pytest.mark.parametrize(("before", "rule", "said"), REFUSED)
def test_what_makes_no_sense_is_refused_in_words(before: Served, rule: Callable[[], Rule], said: str) -> None:
    with pytest.raises(Permanent, match=said):
        rule()(before)


@pytest.mark.parametrize(
    ("before", "gone", "after"),
    [
        (TWO, "2", ONE),
        (TWO, "1", Served("2")),
        (TRIAL, "2", ONE),
        (Served("3", "1", Candidate("2", 0.1)), "1", Served("3", None, Candidate("2", 0.1))),
        (Served("1", OFF), "1", NEW),
    ],
)
def test_a_version_that_is_removed_leaves_the_one_before(before: Served, gone: str, after: Served) -> None:
    assert without(before, gone) == after


@pytest.mark.parametrize("served", [Served("3"), Served("1", candidate=Candidate("2", 0.1))])
def test_nothing_takes_the_place_of_an_active_version_that_had_none_before_it(served: Served) -> None:
    """Any other one was never promoted, or was rolled back from."""
    with pytest.raises(Permanent, match=f"Version {served.active} is active, and none was before it: promote another"):
        without(served, served.active)


def test_every_version_has_a_state_in_one_word() -> None:
    served = Served("2", "1", Candidate("3"))
    assert [served.state_of(v) for v in "1234"] == ["previous", "active", "candidate", "installed"]


STUDIES = [f"1.2.840.{n}" for n in range(4000)]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_canary_gets_its_share_of_the_studies(share: float) -> None:
    serving = {"lobes": Served("1", candidate=Candidate("2", share)), "lungs": ONE}
    chosen = [chosen_for(study, serving) for study in STUDIES]
    assert set(chosen) <= {frozenset(), frozenset({"lobes"})}
    assert chosen.count(frozenset({"lobes"})) / len(STUDIES) == pytest.approx(share, abs=0.03)


def test_a_study_stays_where_it_is_whatever_else_is_on_trial_and_however_the_share_grows() -> None:
    def gets(share: float, version: str = "2") -> set[str]:
        serving = {"lobes": Served("1", candidate=Candidate(version, share))}
        return {study for study in STUDIES if chosen_for(study, serving)}

    assert gets(0.1) < gets(0.5) < gets(1.0)
    assert gets(0.5) == gets(0.5, version="3")
    both = {"lobes": Served("1", candidate=Candidate("2", 0.5)), "lungs": Served("1", candidate=Candidate("2", 0.5))}
    assert {study for study in STUDIES if "lobes" in chosen_for(study, both)} == gets(0.5)
    together = sum(len(chosen_for(study, both)) == 2 for study in STUDIES) / len(STUDIES)
    assert together == pytest.approx(0.25, abs=0.03), "one model's choice says nothing about another's"


def test_a_shadow_gets_no_study_of_its_own() -> None:
    assert not any(chosen_for(study, {"lobes": BESIDE}) for study in STUDIES)


@pytest.mark.parametrize("now", [ONE, TRIAL, Served("1", candidate=Candidate("2", 0.5, shadow=True)), TWO])
def test_what_was_judged_is_promoted_only_where_nothing_was_changed_since(now: Served) -> None:
    rule = as_judged(BESIDE, promote("2"))
    assert rule(BESIDE) == TWO
    with pytest.raises(Permanent, match="changed since it was judged"):
        rule(now)
