"""Findings of an earlier result that have numbers and no place: their Segmentation is missing."""

from service.domain.analysis import Analysis
from service.domain.pipeline import ComparedFindings
from service.domain.prior import PriorResult


def unplaced(rules: ComparedFindings, prior: PriorResult, analysis: Analysis) -> tuple[str, ...]:
    """Names of groups of the earlier result that have a number of findings and no segment, in its order.

    analysis: the present result of the same pipeline, whose groups without a segment are known not to be findings.
    """
    numbers = {rule.name for rule in rules.numbers}
    placed = {name for names in prior.segments.values() for name in names}
    others = {group.name for group in analysis.groups if group.segment is None} | rules.together
    others |= {group.name for group in analysis.groups if group.segment not in _findings(rules, analysis)}
    left = (name for name in prior.measurements if name not in placed | others)
    return tuple(name for name in left if numbers & prior.measurements[name].keys())


def _findings(rules: ComparedFindings, analysis: Analysis) -> set[str]:
    return {segment.name for one in analysis.label_maps if one.name == rules.label_map for segment in one.segments}
