"""What `--labels` means."""

import pytest

from service.domain.label_selection import numbers, parse, shared

NIFTI = {1: (), 2: (), 3: ()}
SEG = {1: ("High opacity", "HIGH_OPACITY"), 2: ("Lung", "LUNG")}


def test_labels_are_named_and_merged() -> None:
    assert parse("1=lung, 2+3 = any opacity") == {"lung": ("1",), "any opacity": ("2", "3")}
    assert parse("*=all") == {"all": ("*",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not of the form"),
        ("lung", "not of the form LABEL=NAME"),
        ("1=", "'1=' is not"),
        ("=lung", "not of the form"),
        ("1+=lung", "not of the form"),
        ("1=lung,", "not of the form"),
        ("1=lung,2=lung", "write LABEL+LABEL=lung"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("wanted", "names", "expected"),
    [
        (("2", "3"), NIFTI, (2, 3)),
        (("4",), NIFTI, ()),
        (("*",), NIFTI, (1, 2, 3)),
        (("high OPACITY",), SEG, (1,)),
        (("high_opacity", "2"), SEG, (1, 2)),
        (("lungs",), SEG, ()),
    ],
)
def test_a_label_is_a_number_or_a_name_in_any_case(
    wanted: tuple[str, ...], names: dict[int, tuple[str, ...]], expected: tuple[int, ...]
) -> None:
    assert numbers(wanted, names) == expected


def test_values_match_values_and_segments_match_segments_whatever_their_numbers() -> None:
    assert set(shared({1: (), 4: ()}, NIFTI)) == {"1", "2", "3", "4"}
    other = {1: ("LUNG",), 2: ("Tumour",)}
    selection = shared(other, SEG)
    assert {name.casefold() for name in selection} == {"lung", "tumour", "high opacity"}
    lung = next(wanted for name, wanted in selection.items() if name.casefold() == "lung")
    assert numbers(lung, other) == (1,) and numbers(lung, SEG) == (2,)
    assert set(shared(None, SEG)) == {"High opacity", "Lung"}


def test_segments_and_values_are_not_matched_by_guess() -> None:
    with pytest.raises(ValueError, match="--pred-labels") as refused:
        shared(SEG, NIFTI)
    assert "PRED has 1 'High opacity' or 'HIGH_OPACITY', 2 'Lung' or 'LUNG', TRUTH has 1, 2, 3" in str(refused.value)
