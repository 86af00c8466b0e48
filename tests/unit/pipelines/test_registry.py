"""Pipelines of other packages: found by their entry point, and refused in words where they cannot be used."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from helpers import toy_pipeline

from service.domain.analysis import LabelMapKind
from service.domain.eligibility import Limits
from service.domain.flags import LOSSY, OF_THE_CT, OF_THE_LUNGS, PRIOR_UNPROVEN, Flag
from service.domain.model_roles import Role, Tensors
from service.domain.pipeline import ComparedFindings, ComparisonRules, comparison_rules
from service.errors import Permanent
from service.pipelines import BUILT_IN, checked, installed, named
from service.pipelines.shared.lungs import OPTIONAL
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY, LUNGS


@dataclass(frozen=True)
class Some:
    """What `checked` looks at."""

    name: str = "some"
    series_number: int = 900000
    flags: tuple[Flag, ...] = OF_THE_CT
    label_maps: tuple[LabelMapKind, ...] = ()
    models: tuple[Role, ...] = ()
    optional_models: tuple[Role, ...] = ()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, target: str) -> None:
    """A package whose entry point is `broken = target`."""
    information = folder / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[thoracle.pipelines]\nbroken = {target}\n")
    (folder / "broken_pipeline.py").write_text(module)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "broken_pipeline", raising=False)


def test_a_package_with_an_entry_point_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(toy_pipeline.FOLDER)
    (found,) = installed()
    assert (found.name, found.limits) == (toy_pipeline.NAME, Limits(max_thickness_mm=3.0))
    assert checked((*BUILT_IN, found)) == (*BUILT_IN, found)


def test_without_such_a_package_only_the_built_in_ones_are_there() -> None:
    assert list(installed()) == []
    with pytest.raises(Permanent, match="there is no pipeline 'emphysema-index'; there are: covid-severity"):
        named(toy_pipeline.NAME)


@pytest.mark.parametrize(
    ("module", "target", "why"),
    [
        ("import nowhere_to_be_found", "broken_pipeline:Pipeline", "nowhere_to_be_found"),
        ("", "broken_pipeline:Pipeline", "Pipeline"),
        ("Pipeline = None", "broken_pipeline:Pipeline", "not callable"),
        ("class Pipeline:\n    def __init__(self, model): ...", "broken_pipeline:Pipeline", "model"),
        ("def Pipeline():\n    raise ValueError('no licence')", "broken_pipeline:Pipeline", "no licence"),
        ("def Pipeline(:", "broken_pipeline:Pipeline", "invalid syntax"),
        ("Pipeline = object", "broken_pipeline:Pipeline", "series_number"),
    ],
    ids=["import", "absent", "no class", "needs arguments", "raises", "syntax", "no pipeline"],
)
def test_a_package_that_cannot_be_used_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, target: str, why: str
) -> None:
    install(tmp_path, monkeypatch, module, target)
    with pytest.raises(Permanent, match=f"^the pipeline broken .*{why}"):
        list(installed())


@pytest.mark.parametrize("name", ["", "a b", "../a", "Upper", "a_b", "-a"])
def test_a_name_that_is_no_folder_and_no_label_is_an_error(name: str) -> None:
    with pytest.raises(Permanent, match="cannot be named"):
        checked([Some(name=name)])


def test_two_pipelines_of_one_name_are_an_error() -> None:
    with pytest.raises(Permanent, match="two pipelines are named covid-severity"):
        checked((*BUILT_IN, Some(name="covid-severity")))


@pytest.mark.parametrize(("first", "fits"), [(18001, False), (9001, False), (38999, False), (39000, True)])
def test_blocks_of_series_numbers_must_not_overlap(first: int, fits: bool) -> None:
    some = Some(series_number=first)
    if fits:
        assert checked((*BUILT_IN, some))
    else:
        with pytest.raises(Permanent, match=r"series numbers of covid-[a-z]+ and some overlap: they need 10000 each"):
            checked((*BUILT_IN, some))


def test_who_asks_for_lungs_declares_what_changes_them() -> None:
    """Else a result would not name a model that had a part in it."""
    lungs = Some(flags=(*OF_THE_CT, *OF_THE_LUNGS), models=(LUNG_OPACITY,), optional_models=OPTIONAL)
    assert checked([lungs]) == (lungs,)
    with pytest.raises(Permanent, match="some asks for lungs, and has not the optional models lung-shape"):
        checked([replace(lungs, optional_models=(LUNGS,))])
    with pytest.raises(Permanent, match=r"some does not declare the warnings .*LUNG_ADDED"):
        checked([replace(lungs, flags=OF_THE_CT)])


def test_one_code_has_one_meaning() -> None:
    noisy = replace(LOSSY, sentence="The images are noisy.")
    other = Some(flags=tuple(noisy if flag == LOSSY else flag for flag in OF_THE_CT))
    assert checked((*BUILT_IN, Some()))
    with pytest.raises(Permanent, match="covid-severity and some give the warning LOSSY different meanings"):
        checked((*BUILT_IN, other))


def test_one_private_code_has_one_meaning() -> None:
    """The code in an SR has the meaning of its warning's sentence."""
    other = Some(flags=(*OF_THE_CT, Flag("NOISY", "The images are noisy.", LOSSY.concept_value)))
    why = f"LOSSY of covid-severity and NOISY of some have one private code, {LOSSY.concept_value}"
    with pytest.raises(Permanent, match=why):
        checked((*BUILT_IN, other))


def test_one_name_is_one_model_role() -> None:
    """A pipeline may share a role of the service, and bring its own; it cannot redefine one."""
    own = Role("nodules", "nodules", Tensors({}, {}))
    assert checked((*BUILT_IN, Some(models=(LOBES,), optional_models=(own,))))
    other = Role("lobes", "the lobes of the liver", Tensors({}, {}))
    with pytest.raises(Permanent, match="covid-severity and some have different model roles named lobes"):
        checked((*BUILT_IN, Some(optional_models=(other,))))


def test_a_pipeline_declares_a_role_once() -> None:
    weaker = Role("lobes", "anything", Tensors({}, {}))
    with pytest.raises(Permanent, match="some declares a model role twice"):
        checked([Some(models=(LOBES,), optional_models=(weaker,))])


@pytest.mark.parametrize("role", ["lobes", Role("Up and down", "", Tensors({}, {}))], ids=["only a name", "no folder"])
def test_what_is_no_model_role_is_an_error(role: Any) -> None:
    with pytest.raises(Permanent, match="some has no usable model role in"):
        checked([Some(models=(role,))])


def test_warnings_of_the_gate_must_be_declared() -> None:
    """They come with the CT, whatever analyses it: an undeclared one would fail every such study."""
    with pytest.raises(Permanent, match="some does not declare the warnings AGE_UNKNOWN, PADDING_MASKED, THICK_SLICES"):
        checked([Some(flags=(LOSSY,))])


class Begun(Exception):
    """The first step was told."""


@pytest.mark.parametrize("pipeline", BUILT_IN, ids=lambda pipeline: pipeline.name)
def test_the_first_step_is_told_before_anything_is_computed(pipeline: Any) -> None:
    def progress(step: str, done: float) -> None:
        assert (step, done) == ("tumour" if pipeline.name == "nsclc-gtv" else "lungs", 0.0)
        raise Begun

    with pytest.raises(Begun):
        pipeline.analyse(None, None, progress)


def finding_rules(label_map: str) -> ComparisonRules:
    return ComparisonRules(findings=ComparedFindings(label_map, ()))


@dataclass(frozen=True)
class Comparing(Some):
    """A pipeline with rules of its own for comparisons."""

    comparison: Any = None


@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        (Comparing(comparison=()), "`comparison` of some is no ComparisonRules"),
        (
            Comparing(comparison=finding_rules("tumour")),
            "some compares findings of a label map that it has not, tumour",
        ),
        (Some(flags=(*OF_THE_CT, PRIOR_UNPROVEN)), "some declares what warns of comparisons, PRIOR_UNPROVEN"),
    ],
)
def test_rules_of_comparisons_that_cannot_be_used_are_told(pipeline: Some, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        checked((pipeline,))  # type: ignore[arg-type]


def test_a_pipeline_needs_no_rules_of_comparisons() -> None:
    (some,) = checked((Some(),))  # type: ignore[arg-type]
    assert comparison_rules(some) == ComparisonRules()


def test_what_a_built_in_pipeline_compares_has_a_title_and_names_each_number_once() -> None:
    for pipeline in BUILT_IN:
        rules = comparison_rules(pipeline)
        assert rules.numbers and all(one.title and one.group and one.name for one in rules.numbers), pipeline.name
        assert len({(one.group, one.name) for one in rules.numbers}) == len(rules.numbers)
