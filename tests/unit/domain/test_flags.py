"""Quality warnings: what makes one, in which words and order readers meet them, and what cannot be one."""

import pickle
from dataclasses import FrozenInstanceError

import pytest

from service.domain import flags as module
from service.domain.codes import PRIVATE
from service.domain.flags import (
    AGE_UNKNOWN,
    GAS_LEFT_OUT,
    LONGEST_SENTENCE,
    LOSSY,
    LUNG_ADDED,
    LUNG_AT_EDGE,
    LUNG_DROPPED,
    OF_COMPARISON,
    OF_THE_CT,
    OF_THE_LUNGS,
    PADDING_MASKED,
    THICK_SLICES,
    UNMEASURED_MODEL,
    Flag,
    doubts,
    in_order,
)
from service.pipelines import PIPELINES

SHARED = tuple(flag for flag in vars(module).values() if isinstance(flag, Flag))
EVERY = tuple(dict.fromkeys((*SHARED, *(flag for pipeline in PIPELINES for flag in pipeline.flags))))
EDGE = LUNG_AT_EDGE.because("The right lung's area in the top slice is 5.0% of its largest.")


def test_what_there_is() -> None:
    assert {flag.code for flag in SHARED} == {
        *("THICK_SLICES", "LOSSY", "AGE_UNKNOWN", "PADDING_MASKED"),
        *("LUNG_AT_EDGE", "LUNG_DROPPED", "GAS_LEFT_OUT", "LUNG_ADDED", "UNMEASURED_MODEL"),
        *("PRIOR_CONTRADICTS", "PRIOR_UNPROVEN", "PRIOR_UNREADABLE", "PRIOR_NOT_ASKED", "COMPARISON_FAILED"),
    }
    assert {flag.code for flag in OF_COMPARISON} == {
        one.code for one in SHARED if one.code.startswith(("PRIOR", "COMP"))
    }
    assert OF_THE_CT == (THICK_SLICES, LOSSY, AGE_UNKNOWN, PADDING_MASKED)
    assert OF_THE_LUNGS == (LUNG_AT_EDGE, LUNG_DROPPED, GAS_LEFT_OUT, LUNG_ADDED)


def test_a_flag_is_told_in_a_sentence_and_with_the_values_that_raised_it() -> None:
    assert (str(EDGE), EDGE.code) == ("LUNG_AT_EDGE", "LUNG_AT_EDGE")
    assert LUNG_AT_EDGE.warning == LUNG_AT_EDGE.sentence
    assert EDGE.warning == (
        "Incomplete lungs: a lung reaches the edge of the images. "
        "The right lung's area in the top slice is 5.0% of its largest."
    )


def test_values_leave_the_constant_as_it_is() -> None:
    assert LUNG_AT_EDGE.detail == "" and EDGE is not LUNG_AT_EDGE
    assert (EDGE.sentence, EDGE.concept, EDGE.doubt) == (
        LUNG_AT_EDGE.sentence,
        LUNG_AT_EDGE.concept,
        "incomplete lungs",
    )
    with pytest.raises(FrozenInstanceError):
        LUNG_AT_EDGE.detail = "changed"  # type: ignore[misc]


def test_a_flag_is_the_same_whatever_values_raised_it() -> None:
    assert EDGE == LUNG_AT_EDGE and hash(EDGE) == hash(LUNG_AT_EDGE)
    assert EDGE in (LOSSY, LUNG_AT_EDGE) and len({EDGE, LUNG_AT_EDGE, LOSSY}) == 2
    assert pickle.loads(pickle.dumps(EDGE)).warning == EDGE.warning


def test_its_code_in_a_report_means_its_sentence() -> None:
    assert tuple(LOSSY.concept)[:3] == ("Q-LOSSY", PRIVATE, "The images were compressed with loss")
    for flag in EVERY:
        assert f"{flag.concept.meaning}." == flag.sentence, "64 characters of a Code Meaning and the stop"


@pytest.mark.parametrize("what", ["code", "sentence", "concept_value"])
def test_no_two_flags_are_taken_for_each_other(what: str) -> None:
    assert len({getattr(flag, what) for flag in EVERY}) == len(EVERY)


@pytest.mark.parametrize("sentence", ["No stop", "", "x" * LONGEST_SENTENCE + "."])
def test_a_sentence_that_is_no_code_meaning_is_refused(sentence: str) -> None:
    with pytest.raises(ValueError, match="ODD has more than 65 characters or no stop"):
        Flag("ODD", sentence, "Q-ODD")


def test_the_longest_sentence_fits() -> None:
    longest = Flag("LONG", "x" * (LONGEST_SENTENCE - 1) + ".", "Q-LONG")
    assert len(longest.concept.meaning) == 64


def test_doubts_are_told_once_in_the_order_of_the_flags() -> None:
    noisy = Flag("NOISY", "Noise.", "Q-NOISY", "noise is counted, too")
    assert doubts((noisy, LOSSY, LUNG_DROPPED, EDGE)) == ("noise is counted, too", "incomplete lungs")
    assert doubts((EDGE, noisy)) == ("incomplete lungs", "noise is counted, too")
    assert doubts((THICK_SLICES, LOSSY, AGE_UNKNOWN, UNMEASURED_MODEL, PADDING_MASKED)) == doubts(()) == ()


def test_raised_flags_come_in_the_given_order_each_once_with_their_values() -> None:
    order = (THICK_SLICES, LOSSY, LUNG_AT_EDGE)
    found = in_order((EDGE, LOSSY, LOSSY), order)
    assert found == (LOSSY, LUNG_AT_EDGE)
    assert found[1].detail == EDGE.detail, "not the constant in the order"
    assert in_order((), order) == in_order((), ()) == ()


def test_a_flag_that_is_not_declared_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="not declared: AGE_UNKNOWN, LOSSY"):
        in_order((LOSSY, THICK_SLICES, AGE_UNKNOWN), (THICK_SLICES,))


@pytest.mark.parametrize("pipeline", PIPELINES, ids=lambda pipeline: pipeline.name)
def test_every_pipeline_declares_what_reading_and_finding_the_lungs_may_raise(pipeline: object) -> None:
    declared = list(pipeline.flags)  # type: ignore[attr-defined]
    assert set(SHARED) - set(OF_COMPARISON) <= set(declared) and len(set(declared)) == len(declared)
    assert not set(OF_COMPARISON) & set(declared), "any result may carry these"
