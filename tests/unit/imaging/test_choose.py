"""The choice: each rule decides when all earlier ones are equal, whatever the order of the options."""

from dataclasses import replace
from itertools import permutations

import pytest
from helpers import damage_ct, make_ct
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.domain.eligibility import Eligibility, Limits
from service.errors import Reason, Refusal
from service.imaging.choose import SeriesOption, choose, is_passed_over, series_option
from service.imaging.gate import check_headers

GOOD = Eligibility(slices=200, spacing_mm=1.0, thickness_mm=1.25, extent_mm=300.0)
BEST = SeriesOption("1.2.5", GOOD, kernels=("B40f",), contrast=False, series_number=3)
REFUSED = replace(GOOD, refusals=(Refusal(Reason.TILT, ""),))


def soft(kernels: tuple[str, ...], thickness_mm: float | None) -> int:
    return 0 if kernels == ("B40f",) else 1


@pytest.mark.parametrize(
    "worse",
    [
        replace(BEST, eligibility=REFUSED, series_number=1),
        replace(BEST, eligibility=replace(GOOD, thickness_mm=2.0), series_number=1),
        replace(BEST, eligibility=replace(GOOD, thickness_mm=0.6, extent_mm=400.0)),
        replace(BEST, eligibility=replace(GOOD, thickness_mm=None)),
        replace(BEST, kernels=("B70f",), series_number=1),
        replace(BEST, kernels=(), series_number=1),
        replace(BEST, contrast=True, series_number=1),
        replace(BEST, eligibility=replace(GOOD, extent_mm=250.0), series_number=1),
        replace(BEST, series_number=4, series_uid="1.2.4"),
        replace(BEST, series_number=None, series_uid="1.2.4"),
        replace(BEST, series_uid="1.2.6"),
    ],
)
def test_each_rule_decides(worse: SeriesOption) -> None:
    for pair in ([BEST, worse], [worse, BEST]):
        assert [ranked.option for ranked in choose(pair, soft)] == [BEST, worse]


def test_earlier_rules_outweigh_later_ones() -> None:
    thin = replace(BEST, kernels=("Br59f", "3"), contrast=True, series_number=9)
    thick = replace(BEST, eligibility=replace(GOOD, thickness_mm=3.0))
    refused = replace(BEST, eligibility=REFUSED)
    for order in permutations([thin, thick, refused]):
        assert [ranked.option for ranked in choose(order)] == [thin, thick, refused]


def test_what_a_pipeline_prefers_outweighs_a_thickness_nearer_to_the_best() -> None:
    sharp = replace(BEST, kernels=("Br64d",), series_number=1)
    thicker = replace(BEST, eligibility=replace(GOOD, thickness_mm=2.0))
    first, second = choose([sharp, thicker], soft)
    assert (first.option, second.option) == (thicker, sharp)
    assert second.reasons[2] == "kernel Br64d, not a preferred one"
    assert choose([sharp, thicker])[0].option is sharp


def test_kernel_never_refuses_and_needs_no_preference() -> None:
    (ranked,) = choose([replace(BEST, kernels=("unheard of",))])
    assert ranked.option.eligibility.ok


def test_every_candidate_is_recorded_with_reasons() -> None:
    first, second = choose([BEST, replace(BEST, eligibility=REFUSED)], soft)
    assert (first.rank, second.rank) == (1, 2)
    assert first.reasons == (
        "eligible",
        "1.25 mm thick, 0.00 mm off best",
        "kernel B40f",
        "no contrast",
        "covers 300 mm",
        "series number 3",
    )
    assert second.reasons[0] == "refused: TILT"


def test_noise_in_positions_decides_nothing() -> None:
    noisy = replace(BEST, eligibility=replace(GOOD, thickness_mm=2.0001, extent_mm=300.003), series_number=2)
    clean = replace(BEST, eligibility=replace(GOOD, thickness_mm=2.0), series_number=3)
    assert choose([clean, noisy])[0].option is noisy


@pytest.mark.slow
def test_of_a_real_study() -> None:
    """Scout, thick and thin reconstruction of one study, from their headers."""
    study = {
        "scout": damage_ct.scanned(slices=2, attributes={"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
        "thick": damage_ct.scanned(slices=44, spacing_mm=5.0, attributes={"SeriesNumber": "2"}),
        "thin": damage_ct.scanned(
            slices=176,
            spacing_mm=1.25,
            attributes={"SeriesNumber": "7", "ConvolutionKernel": ["Br59f", "3"], "ContrastBolusAgent": "APPLIED"},
        ),
    }
    names = {str(datasets[0].SeriesInstanceUID): name for name, datasets in study.items()}
    ranking = choose([series_option(datasets, check_headers(datasets, Limits())) for datasets in study.values()])
    assert [names[ranked.option.series_uid] for ranked in ranking] == ["thin", "thick", "scout"]
    assert ranking[0].option.kernels == ("Br59f", "3") and ranking[0].option.contrast
    assert not ranking[2].option.eligibility.ok


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "keyword, vr, value",
    [
        ("SeriesNumber", "IS", b"four"),
        ("SeriesNumber", "IS", b"1\\2"),
        ("SeriesNumber", "ZZ", b"4"),
        ("SeriesNumber", "UN", b"\x04\x00"),
        ("ConvolutionKernel", "ZZ", b"B40f"),
        ("ContrastBolusAgent", "ZZ", b"YES"),
        ("ContrastBolusAgentSequence", "SQ", b"garbage"),
    ],
)
def test_a_malformed_attribute_counts_as_unknown(keyword: str, vr: str, value: bytes) -> None:
    dataset = make_ct.make(slices=1).datasets[0]
    dataset.ConvolutionKernel = ""
    dataset.SeriesNumber = None
    dataset[keyword] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
    found = series_option([dataset], GOOD)
    assert (found.series_number, found.kernels, found.contrast) == (None, (), False)


@pytest.mark.parametrize("written, number", [("12", 12), ("", None), (None, None)])
def test_series_number(written: str | None, number: int | None) -> None:
    dataset = make_ct.make(slices=1).datasets[0]
    dataset.SeriesNumber = written
    assert series_option([dataset], GOOD).series_number == number


def refused(reason: Reason, thickness_mm: float | None, extent_mm: float = 300.0) -> SeriesOption:
    measured = replace(GOOD, thickness_mm=thickness_mm, extent_mm=extent_mm)
    return SeriesOption("1.2.9", replace(measured, refusals=(Refusal(Reason.AGE, ""), Refusal(reason, ""))))


@pytest.mark.parametrize(
    ("one", "better"),
    [
        (refused(Reason.MISSING_SLICES, 1.5), True),
        (refused(Reason.MISSING_SLICES, 2.0, extent_mm=310.0), True),
        (refused(Reason.MISSING_SLICES, 2.0), False),
        (refused(Reason.MISSING_SLICES, 5.0), False),
        (refused(Reason.MIXED_GEOMETRY, None), False),
        (refused(Reason.LOCALIZER, 1.0), False),
        (refused(Reason.NOT_AXIAL, 1.0), False),
        (refused(Reason.DERIVED, 1.0), False),
    ],
)
def test_a_refused_series_is_better_by_thickness_and_coverage_unless_it_is_of_another_kind(
    one: SeriesOption, better: bool
) -> None:
    chosen = replace(BEST, eligibility=replace(GOOD, thickness_mm=2.0))
    assert is_passed_over(one, chosen) is better
