"""A network that does not fit the role is refused in words."""

from dataclasses import replace

import pytest
from helpers import tiny_tumour

from service.pipelines import MODEL_ROLES
from service.pipelines.nsclc_gtv.field_answers import rule_of

ROLE = MODEL_ROLES["lung-tumour"]


def test_a_model_that_fits_is_taken_and_its_rule_read() -> None:
    assert list(ROLE.check(tiny_tumour.LUNG_TUMOUR)) == []
    rule = rule_of(
        replace(tiny_tumour.LUNG_TUMOUR, thresholds={"tumour": 0.3}, measured={"least_ml": 1.0, "least_peak": 0.65})
    )
    assert (rule.least_ml, rule.least_peak) == (1.0, 0.65)
    assert rule.sentence == "At least 1 mL, and a peak probability of at least 0.65."


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ({}, ["least_ml", "least_peak"]),
        ({"least_ml": 0.5}, ["least_peak"]),
        ({"least_ml": 0.0, "least_peak": 0.5}, ["least_ml"]),
        ({"least_ml": 0.5, "least_peak": 1.0}, ["least_peak"]),
    ],
)
def test_a_model_without_a_rule_is_refused(measured: dict[str, float], words: list[str]) -> None:
    why = list(ROLE.check(replace(tiny_tumour.LUNG_TUMOUR, measured=measured)))
    assert len(why) == len(words) and all(word in line for word, line in zip(words, why, strict=True))


def test_a_model_of_another_layout_is_refused() -> None:
    why = list(ROLE.check(replace(tiny_tumour.LUNG_TUMOUR, layout="patches")))
    assert any("slice-stacks" in line for line in why)


def test_a_model_of_the_papers_layout_is_taken_and_one_of_another_size_refused() -> None:
    assert list(ROLE.check(tiny_tumour.PAPER)) == []
    for wrong in (
        replace(tiny_tumour.PAPER, spacing_mm=0.8),
        replace(tiny_tumour.PAPER, spacing_mm=None),
        replace(
            tiny_tumour.PAPER,
            inputs=(replace(tiny_tumour.PAPER.inputs[0], dims=(1, 256, 256)),),
            outputs=(replace(tiny_tumour.PAPER.outputs[0], dims=(1, 256, 256)),),
        ),
    ):
        assert any("512 x 512 pixels of 1 mm" in line for line in ROLE.check(wrong))
    averaged = replace(tiny_tumour.PAPER, slice_mm=2.5)
    assert list(ROLE.check(averaged)), "the paper leaves slices where they are"
