"""Compares a result with an earlier one of the same pipeline: numbers by name, findings by how they were matched."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.analysis import Analysis, Measurement, MeasurementGroup, ModelUse
from service.domain.comparison import Change, Comparison, FindingChange, Match
from service.domain.pipeline import Compared, ComparedFindings, ComparisonRules
from service.domain.prior import Acquisition, PriorResult
from service.domain.rounding import rounded

UNLIKE_LUNGS = 0.93
"""Dice of the registered lungs: below it breathing has moved tissue by half a centimetre and more (decision 206)."""

NOT_COMPARABLE = "not comparable, see the warnings"


@dataclass(frozen=True, slots=True)
class Matches:
    """Findings by position, as `imaging.finding_match` has them.

    overlap: of the lungs after registration, 0 to 1; None where nothing had to be registered. known: False where
    positions cannot be compared. outside, outside_then: names of findings beyond what the other CT shows. unplaced:
    those of the earlier result that no Segmentation has.
    """

    pairs: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    beside_then: frozenset[str] = frozenset()
    together: frozenset[str] = frozenset()
    together_then: frozenset[str] = frozenset()
    outside: frozenset[str] = frozenset()
    outside_then: frozenset[str] = frozenset()
    unplaced: tuple[str, ...] = ()
    overlap: float | None = None
    known: bool = True


def days_between(prior: Acquisition, now: Acquisition) -> int:
    """Whole days from the earlier acquisition to the present one, by their dates."""
    return (now.acquired_at.date() - prior.acquired_at.date()).days


def comparison(
    prior: PriorResult, analysis: Analysis, now: Acquisition, rules: ComparisonRules, matches: Matches
) -> Comparison:
    """What has changed. The prior is an earlier result of the same patient and pipeline; nobody checks that here."""
    days = days_between(prior.acquisition, now)
    return Comparison(
        study_uid=prior.study_uid,
        series_uid=prior.series_uid,
        acquired=prior.acquisition.acquired_at,
        days=days,
        result=f"{prior.pipeline} {prior.version}, v{prior.number}",
        headline=prior.headline,
        numbers=tuple(_numbers(rules.numbers, prior, analysis, days)),
        findings=() if rules.findings is None else tuple(_findings(rules.findings, prior, analysis, matches, days)),
        overlap=matches.overlap,
        remarks=(*_of_position(matches), *_remarks(prior, analysis, now)),
        objects=prior.objects,
    )


def findings_now(rules: ComparedFindings, analysis: Analysis) -> dict[str, MeasurementGroup]:
    """Groups of the findings of a result that are matched, by name."""
    segments = {segment.name for one in analysis.label_maps if one.name == rules.label_map for segment in one.segments}
    return {one.name: one for one in analysis.groups if one.segment in segments - rules.together}


def _numbers(rules: Sequence[Compared], prior: PriorResult, analysis: Analysis, days: int) -> Iterator[Change]:
    """Numbers that are told in neither result are left out."""
    groups = {group.name: group for group in analysis.groups}
    for rule in rules:
        found = _change(rule, groups.get(rule.group), rule.group, prior, days)
        if found.then is not None or found.now is not None:
            yield found


def _change(rule: Compared, group: MeasurementGroup | None, then: str, prior: PriorResult, days: int) -> Change:
    """then: name of the group in the earlier result."""
    now = None if group is None else _measured(group, rule.name)
    if now is not None and now.unit != rule.unit:
        raise ValueError(f"{rule.name} is compared in {rule.unit.value} and was measured in {now.unit.value}")
    before = prior.measurements.get(then, {}).get(rule.name)
    return Change(
        group=then if group is None else group.name,
        measurement=rule.name,
        title=rule.title,
        unit=rule.unit,
        then=before,
        now=None if now is None else rounded(now.value, now.unit),
        days=days,
        concept=None if now is None else now.concept,
        derivation=None if now is None else now.derivation,
        why_not=_why_not(rule, group, prior.judged.get(then, {}), before is None, now is None)
        or (prior.overridden if rule.is_headline else ""),
    )


def _why_not(
    rule: Compared, group: MeasurementGroup | None, judged: Mapping[str, str], no_then: bool, no_now: bool
) -> str:
    if no_now:
        return "not told now"
    if no_then:
        return "not told then"
    barred = {one.concept.meaning for one in group.evaluations} if group is not None else set()
    return NOT_COMPARABLE if rule.barred_by and rule.barred_by in barred | judged.keys() else ""


def _measured(group: MeasurementGroup, name: str) -> Measurement | None:
    return next((one for one in group.measurements if one.name == name), None)


def _findings(
    rules: ComparedFindings, prior: PriorResult, analysis: Analysis, matches: Matches, days: int
) -> Iterator[FindingChange]:
    """First what is found now, in the order of the result, then what is no longer found."""
    titles = {segment.name: segment.title for one in analysis.label_maps for segment in one.segments}
    for name, group in findings_now(rules, analysis).items():
        then = matches.pairs.get(name)
        if then is None:
            yield FindingChange(titles[name], _unmatched_now(name, matches), name, None)
            continue
        numbers = (_change(rule, group, then, prior, days) for rule in rules.numbers)
        told = tuple(one for one in numbers if one.then is not None or one.now is not None)
        yield FindingChange(titles[name], Match.MATCHED, name, then, told)
    for name in (*prior_findings(rules, prior), *matches.unplaced):
        if name not in matches.pairs.values():
            yield FindingChange(f"{name} of the earlier result", _unmatched_then(name, matches), None, name)


def _unmatched_now(name: str, matches: Matches) -> Match:
    among = (name in matches.beside, name in matches.together, name in matches.outside)
    return _first(among, Match.NEW) if matches.known else Match.UNKNOWN


def _unmatched_then(name: str, matches: Matches) -> Match:
    among = (name in matches.beside_then, name in matches.together_then, name in matches.outside_then)
    return _first(among, Match.GONE) if matches.known else Match.UNKNOWN


def _first(among: tuple[bool, bool, bool], otherwise: Match) -> Match:
    """What is known of a finding that was not matched. among: beside, together, outside."""
    pairs = zip((Match.BESIDE, Match.TOGETHER, Match.OUTSIDE), among, strict=True)
    return next((match for match, is_so in pairs if is_so), otherwise)


def prior_findings(rules: ComparedFindings, prior: PriorResult) -> tuple[str, ...]:
    """Names of the findings of an earlier result, in its order."""
    names = prior.segments_of(rules.label_map) - rules.together
    return tuple(name for name in prior.measurements if name in names)


def _of_position(matches: Matches) -> Iterator[str]:
    if matches.unplaced:
        yield "The earlier result has no Segmentation of its findings: none of them could be matched."
    if matches.overlap is not None and matches.overlap < UNLIKE_LUNGS:
        part = f"{100 * matches.overlap:.0f} %"
        yield f"The lungs overlap by {part} only: a small finding may be called new, or gone, where breathing moved it."


def _remarks(prior: PriorResult, analysis: Analysis, now: Acquisition) -> Iterator[str]:
    """In the order of how much they matter."""
    if prior.doubts:
        yield f"The earlier result is doubtful: {', '.join(prior.doubts)}."
    if analysis.doubts:
        yield f"The result of now is doubtful: {', '.join(analysis.doubts)}."
    if prior.version != analysis.pipeline.version:
        yield f"Another version of the pipeline: {prior.version} then, {analysis.pipeline.version} now."
    yield from _of_models(prior, analysis)
    yield from prior.acquisition.differences(now)


def _of_models(prior: PriorResult, analysis: Analysis) -> Iterator[str]:
    """Versions and weights that differ, by model name."""
    then, today = ({one.name: one for one in models} for models in (prior.models, analysis.models))
    for name in sorted(then.keys() | today.keys()):
        before, after = then.get(name), today.get(name)
        if before is None or after is None:
            yield f"Model {name}: {_used(before)} then, {_used(after)} now."
        elif before.version != after.version:
            yield f"Model {name}: version {before.version} then, {after.version} now."
        elif before.sha256 != after.sha256:
            yield f"Model {name}: other weights of version {after.version} now than then."


def _used(model: ModelUse | None) -> str:
    return "not used" if model is None else "used"
