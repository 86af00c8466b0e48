"""The neutral result: what is found by name, in words, in order, and what cannot be built."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Classification,
    ClassProbability,
    Evaluation,
    Headline,
    HeatMap,
    LabelMap,
    LabelMapKind,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
    Segment,
    Site,
)
from service.domain.flags import AGE_UNKNOWN, LOSSY, LUNG_AT_EDGE, LUNG_DROPPED, Flag

NODULE: Code = dictionary.SCT.Nodule
KIND = LabelMapKind("nodules", "AI nodules", codes.private("OBJ-NODULES", "Segmentation of nodules"))
SHAPE = (2, 3, 4)


def segment(label: int, name: str) -> Segment:
    return Segment(label, name, name.title(), codes.MORPHOLOGY, NODULE, (label, 0, 0))


SEGMENTS = (segment(7, "LARGE"), segment(255, "LAST"), segment(1, "SMALL"))


def label_map(labels: dict[tuple[int, int, int], int], name: str = "nodules") -> LabelMap:
    """Voxels with a label, all others are background."""
    array = np.zeros(SHAPE, np.uint8)
    for voxel, label in labels.items():
        array[voxel] = label
    return LabelMap(replace(KIND, name=name), array, SEGMENTS)


def millilitres(name: str, value: float) -> Measurement:
    return Measurement(name, codes.VOLUME, value, codes.MILLILITRE)


def group(name: str, *measurements: Measurement) -> MeasurementGroup:
    return MeasurementGroup(name, NODULE, Site(codes.LUNG), measurements)


def analysis(**changes: Any) -> Analysis:
    values: dict[str, Any] = {
        "pipeline": PipelineUse("nodules", "2.1", 11000),
        "label_maps": (label_map({}),),
        "voxel_ml": 0.5,
        "groups": (),
        "headline": Headline("Nodules", 2, codes.UNITY),
        "models": (),
        "flags": (),
    }
    return Analysis(**{**values, **changes})


class TestLabelMap:
    def test_it_has_the_name_of_its_kind(self) -> None:
        assert label_map({}).name == KIND.name == "nodules"

    def test_segments_are_present_that_have_a_voxel_in_the_order_of_the_segments(self) -> None:
        assert [one.name for one in label_map({(0, 0, 0): 1, (1, 2, 3): 255}).present] == ["LAST", "SMALL"]
        assert label_map({(0, 0, 0): 1, (1, 2, 3): 7, (0, 1, 2): 255}).present == SEGMENTS
        assert label_map({}).present == ()

    def test_a_label_without_a_segment_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="2"):
            label_map({(0, 0, 0): 2}).present  # noqa: B018

    def test_it_is_itself_alone(self) -> None:
        """Comparing voxels by accident would take seconds."""
        one = label_map({})
        assert one == one and one != label_map({})


class TestGroup:
    FOUND = group("N1", millilitres("volume_ml", 3.25), millilitres("solid_ml", 0.0))

    def test_a_value_is_found_by_the_name_of_its_measurement(self) -> None:
        assert (self.FOUND["volume_ml"], self.FOUND["solid_ml"]) == (3.25, 0.0)

    def test_a_value_that_was_not_measured_is_no_zero(self) -> None:
        with pytest.raises(KeyError, match="diameter_mm"):
            self.FOUND["diameter_mm"]


@pytest.mark.parametrize(
    ("headline", "value", "sentence"),
    [
        (
            Headline("CT severity score", 3, codes.SCORE, 25, "mild", "involvement: mild", "4 without noise floor"),
            "3 of 25",
            "CT severity score: 3 of 25, involvement: mild; 4 without noise floor.",
        ),
        (
            Headline("CT severity score", None, codes.SCORE, 25, words="no total score, a lobe was not found"),
            "no value",
            "CT severity score: no total score, a lobe was not found.",
        ),
        (Headline("CT severity score", 0, codes.SCORE, 25), "0 of 25", "CT severity score: 0 of 25."),
        (Headline("Agatston score", 412, codes.SCORE), "412", "Agatston score: 412."),
        (Headline("Probability", 0.25, codes.UNITY), "0.25", "Probability: 0.25."),
        (
            Headline("Nodules", 12.5, codes.MILLILITRE, words="three", remark="not validated"),
            "12.5 mL",
            "Nodules: 12.5 mL, three; not validated.",
        ),
        (Headline("Emphysema index", 12.5, codes.PERCENT), "12.5 %", "Emphysema index: 12.5 %."),
        (Headline("Lungs", -842, codes.HOUNSFIELD), "-842 Hounsfield unit", "Lungs: -842 Hounsfield unit."),
    ],
)
def test_a_headline_in_words(headline: Headline, value: str, sentence: str) -> None:
    assert (headline.value_in_words, headline.sentence) == (value, sentence)


VOLUME = millilitres("volume_ml", 1.0)
TYPE = Classification("TYPE", NODULE, codes.CLASSIFICATION)
SOLID = codes.private("SOLID", "solid")
TWO = replace(TYPE, probabilities=(ClassProbability(codes.class_probability("solid"), "solid", 0.7),))
UNKNOWABLE = ClassProbability(codes.class_probability("solid"), "solid", float("nan"))


ORIGIN, NOWHERE = (0.0, 0.0, 0.0), (0.0, float("inf"), 0.0)
HEAT = np.ones((2, 3, 4), np.uint8)


def heat_map(**changes: Any) -> HeatMap:
    return replace(HeatMap("heat", "What counted", "TYPE", HEAT), **changes)


class TestAnalysis:
    def test_maps_and_groups_are_found_by_name(self) -> None:
        maps = (replace(label_map({}, "airways"), segments=(segment(1, "TRACHEA"),)), label_map({}, "nodules"))
        groups = (group("N2", millilitres("volume_ml", 2.0)), group("N1", millilitres("volume_ml", 1.0)))
        found = analysis(label_maps=maps, groups=groups)
        assert found.label_map("nodules") is maps[1] and found.label_map("airways") is maps[0]
        assert found.group("N1")["volume_ml"] == 1.0
        assert [one.name for one in found.groups] == ["N2", "N1"], "in the order to show them"

    def test_a_name_that_is_not_there_is_named(self) -> None:
        with pytest.raises(KeyError, match="lobes"):
            analysis().label_map("lobes")
        with pytest.raises(KeyError, match="RUL"):
            analysis().group("RUL")

    def test_label_maps_of_two_grids_are_refused(self) -> None:
        other = LabelMap(replace(KIND, name="airways"), np.zeros((2, 3, 5), np.uint8), ())
        with pytest.raises(ValueError, match=r"not on one grid: .*\(2, 3, 5\)"):
            analysis(label_maps=(label_map({}), other))

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"groups": (group("N1"), group("N1"))}, "two of group N1"),
            ({"label_maps": (label_map({}), label_map({}))}, "two of label map"),
            ({"groups": (replace(group("N1"), segment="HILUM"),)}, "no segment HILUM"),
            ({"groups": (group("N1", VOLUME, VOLUME),)}, "two measurements of N1 have one name"),
            ({"groups": (group("QUALITY"),)}, "a group is named QUALITY"),
            ({"groups": (group("TYPE"),), "classification": TYPE}, "a group is named TYPE"),
            ({"groups": [replace(group(n), segment="LARGE") for n in ("N1", "N2")]}, "two groups are about LARGE"),
            ({"label_maps": (replace(label_map({}), segments=()),)}, "nodules has no segments"),
            ({"drift": {"score": float("inf")}}, "not finite"),
            ({"classification": replace(TYPE, probabilities=(UNKNOWABLE,))}, "not finite"),
            ({"classification": replace(TYPE, decision=NODULE)}, "TYPE decides for a class without a probability"),
            ({"classification": replace(TWO, decision=NODULE)}, "TYPE decides for a class without a probability"),
            ({"classification": replace(TWO, decision=SOLID, absent=NODULE)}, "TYPE is absent, and decides"),
            (
                {"classification": replace(TWO, probabilities=TWO.probabilities * 2)},
                "two classes of TYPE have one title",
            ),
            ({"groups": (group("N1", millilitres("volume_ml", float("nan"))),)}, "not finite"),
            ({"groups": (group("N1", replace(VOLUME, line=((0.0, 0.0, 0.0),))),)}, "along a line of one point"),
            ({"groups": (group("N1", replace(VOLUME, line=(ORIGIN, NOWHERE))),)}, "not finite"),
            ({"groups": (group("N1", replace(VOLUME, name="fissure_line")),)}, "named fissure_line, as a line is"),
            ({"uncertainty": (replace(VOLUME, line=(ORIGIN, ORIGIN)),)}, "volume_ml, an uncertainty, has a line"),
            ({"explanations": (heat_map(), heat_map())}, "two of heat map heat"),
            ({"explanations": tuple(heat_map(name=f"m{k}") for k in range(21))}, "more than 20 heat maps"),
            ({"explanations": (heat_map(name="Heat map"),)}, "cannot be named 'Heat map'"),
            ({"explanations": (heat_map(explains="N9"),)}, "no N9 for the heat map heat to explain"),
            ({"explanations": (heat_map(values=HEAT * 0),)}, "0 everywhere"),
            ({"explanations": (heat_map(values=HEAT / 2),)}, "not UINT8"),
            ({"explanations": (heat_map(values=HEAT[:1]),)}, "not on one grid"),
            ({"headline": Headline("CT severity score", 26, codes.SCORE, 25)}, "exceeds its scale"),
            ({"rank": 1.01}, "rank does not lie between 0 and 1"),
            ({"rank": float("nan")}, "rank does not lie between 0 and 1"),
        ],
    )
    def test_a_result_that_contradicts_itself_is_not_built(self, changes: dict[str, Any], why: str) -> None:
        with pytest.raises(ValueError, match=why):
            analysis(**changes)

    def test_a_heat_map_explains_a_classification_or_a_group(self) -> None:
        maps = heat_map(), heat_map(name="more", explains="N1")
        found = analysis(classification=TYPE, groups=(group("N1"),), explanations=maps)
        assert found.explanations == maps

    def test_it_needs_neither_maps_nor_groups(self) -> None:
        """A pipeline may say one number and nothing else."""
        bare = analysis(label_maps=())
        assert (bare.groups, bare.classification, bare.uncertainty, bare.limitations) == ((), None, (), ())
        assert (bare.summary, bare.urgent, dict(bare.drift)) == ((), False, {})

    def test_two_results_do_not_share_what_is_watched(self) -> None:
        assert analysis().drift is not analysis().drift

    def test_doubts_are_those_of_the_flags_each_once_in_their_order(self) -> None:
        noisy = Flag("NOISY", "Noise.", "Q-NOISY", "noise is counted, too")
        flags = (noisy, AGE_UNKNOWN, LUNG_DROPPED.because("81 mL, 3% of all."), LOSSY, LUNG_AT_EDGE)
        assert analysis(flags=flags).doubts == ("noise is counted, too", "incomplete lungs")
        assert analysis(flags=(AGE_UNKNOWN, LOSSY)).doubts == ()

    def test_it_is_itself_alone(self) -> None:
        one = analysis()
        assert one == one and one != analysis()


VALUES = (
    Site(codes.LUNG, codes.LEFT),
    SEGMENTS[0],
    KIND,
    millilitres("volume_ml", 1.5),
    Evaluation(codes.QUALITY, codes.RESEARCH_USE),
    group("N1", millilitres("volume_ml", 1.5)),
    ClassProbability(codes.class_probability("a"), "a", 0.5),
    Classification("CLASSIFICATION", NODULE, codes.CLASSIFICATION),
    Headline("Nodules", 2, codes.UNITY),
    ModelUse("nodules", "2", "ab" * 32),
    PipelineUse("nodules", "2.1", 11000),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_equal_by_what_they_say_and_never_change(value: Any) -> None:
    assert replace(value) == value and hash(replace(value)) == hash(value)
    first = next(iter(value.__dataclass_fields__))
    another = NODULE if isinstance(getattr(value, first), Code) else "another"
    assert replace(value, **{first: another}) != value
    with pytest.raises(FrozenInstanceError):
        setattr(value, first, another)


def test_a_pipeline_is_named_with_the_version_of_its_rules() -> None:
    assert str(PipelineUse("nodules", "2.1", 11000)) == "nodules 2.1"
