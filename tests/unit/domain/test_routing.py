from dataclasses import replace
from datetime import datetime, time

import pytest

from service.domain.routing import Rule, StudyFacts, routed

FACTS = StudyFacts(
    "CT1", "THORACLE", "CTROOM2", ("CT Thorax nativ", "Lung 1.0 B70f"), "CHEST", datetime(2026, 3, 2, 22)
)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(), True),
        (Rule(calling_ae=("ct1",)), True),
        (Rule(calling_ae=("CT2", "CT?")), True),
        (Rule(calling_ae=("CT2",)), False),
        (Rule(called_ae=("THOR*",)), True),
        (Rule(station=("CTROOM1",)), False),
        (Rule(description=("*lung*",)), True),
        (Rule(description=("*thorax*",), body_part=("ABDOMEN",)), False),
        (Rule(body_part=("CHEST",), calling_ae=("CT1",)), True),
        (Rule(between=(time(18), time(7))), True),
        (Rule(between=(time(7), time(18))), False),
        (Rule(between=(time(22), time(23))), True),
        (Rule(between=(time(21), time(22))), False),
    ],
)
def test_all_conditions_of_a_rule_must_hold(rule: Rule, matches: bool) -> None:
    assert rule.matches(FACTS) is matches


def test_one_rule_is_enough_and_none_means_everything() -> None:
    assert routed((), FACTS)
    assert routed((Rule(calling_ae=("X",)), Rule(calling_ae=("CT1",))), FACTS)
    assert not routed((Rule(calling_ae=("X",)),), FACTS)


def test_what_the_ct_does_not_say_matches_no_pattern_but_any() -> None:
    unknown = replace(FACTS, station="")
    assert Rule(station=("*",)).matches(unknown)
    assert not Rule(station=("CT*",)).matches(unknown)


SHARP = replace(
    FACTS,
    kernels=("Br40f", "3"),
    contrast=("Iomeron 400",),
    procedures=("CTTHOR", "CT Thorax"),
    age_years=59.9,
    pipeline="emphysema-index",
)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(kernel=("br4*",)), True),
        (Rule(kernel=("B70*", "3")), True),
        (Rule(kernel=("B70*",)), False),
        (Rule(contrast=True), True),
        (Rule(contrast=False), False),
        (Rule(procedure=("ct thorax",)), True),
        (Rule(procedure=("CTABD*",)), False),
        (Rule(age=(59.9, 120)), True),
        (Rule(age=(0, 59.9)), True),
        (Rule(age=(60, 120)), False),
        (Rule(pipeline=("emphysema-*",)), True),
        (Rule(pipeline=("covid-severity",)), False),
        (Rule(kernel=("br4*",), age=(60, 120)), False),
    ],
)
def test_kernel_contrast_procedure_age_and_pipeline_are_conditions(rule: Rule, matches: bool) -> None:
    assert rule.matches(SHARP) is matches


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(kernel=("B*",)), False),
        (Rule(kernel=("*",)), True),
        (Rule(contrast=True), False),
        (Rule(contrast=False), True),
        (Rule(procedure=("CT*",)), False),
        (Rule(age=(0, 130)), False),
        (Rule(pipeline=("covid-severity",)), False),
    ],
)
def test_a_ct_that_tells_nothing_matches_no_condition_but_the_absence_of_contrast(rule: Rule, matches: bool) -> None:
    assert rule.matches(FACTS) is matches
