"""Matches the findings of a result with those of an earlier one, by their positions in both CTs."""

from collections.abc import Iterator, Mapping

import highdicom as hd
import numpy as np

from service.analysis.prior_files import Prior
from service.domain import codes
from service.domain.analysis import Analysis
from service.domain.compare import Matches
from service.domain.ct import CT
from service.domain.pipeline import ComparedFindings
from service.domain.unplaced_findings import unplaced
from service.imaging.boxes import label_bounds
from service.imaging.finding_match import Points, in_reach_of, match, outside, points_of
from service.imaging.registration import register


def matches_of(rules: ComparedFindings | None, prior: Prior, ct: CT, analysis: Analysis) -> Matches:
    """Findings by position. Nothing is registered where neither of the two CTs has a finding."""
    if rules is None:
        return Matches()
    if lost := unplaced(rules, prior.result, analysis):
        return Matches(known=False, unplaced=lost)
    some_now = any(one.present for one in analysis.label_maps if one.name == rules.label_map)
    if not some_now and not prior.result.segments_of(rules.label_map):
        return Matches()
    lungs_then, lungs_now = _prior_lungs(prior, analysis), _lungs(ct, analysis)
    motion = None if lungs_then is None or lungs_now is None else register(lungs_then, lungs_now)
    if lungs_then is None or motion is None:
        return Matches(known=False)
    points_then, points_now = dict(_prior_points(prior, rules)), dict(_points(ct, analysis, rules))
    (then, many_then), (now, many_now) = (_apart(one, rules) for one in (points_then, points_now))
    found = match(then, now, motion.to_now)
    return Matches(
        pairs=found.pairs,
        beside=found.beside,
        beside_then=found.beside_then,
        together=in_reach_of(now, many_then, motion.to_then),
        together_then=in_reach_of(then, many_now, motion.to_now),
        outside=outside(now, lungs_then, motion.to_then),
        outside_then=outside(then, ct.volume, motion.to_now),
        overlap=motion.overlap,
    )


def _apart(points: Mapping[str, Points], rules: ComparedFindings) -> tuple[dict[str, Points], Points | None]:
    """Findings one by one, and all that are told together; None if there are none."""
    together = [one for name, one in points.items() if name in rules.together]
    alone = {name: one for name, one in points.items() if name not in rules.together}
    return alone, np.concatenate(together) if together else None


def _lungs(ct: CT, analysis: Analysis) -> hd.Volume | None:
    """Labels of both lungs: of the label maps that hold anatomy, and nothing else."""
    maps = [one.labels for one in analysis.label_maps if one.name in _anatomy(analysis)]
    return ct.volume.with_array(maps[0]) if maps else None


def _prior_lungs(prior: Prior, analysis: Analysis) -> hd.Volume | None:
    """The same of the earlier result, by the names of the present one's label maps."""
    for name in _anatomy(analysis):
        if (labels := prior.labels(name)) is not None:
            return hd.Volume(labels.mask(list(labels.names)).view(np.uint8), labels.grid.affine, "PATIENT")
    return None


def _anatomy(analysis: Analysis) -> list[str]:
    return [one.name for one in analysis.label_maps if all(s.category == codes.ANATOMY for s in one.segments)]


def _points(ct: CT, analysis: Analysis, rules: ComparedFindings) -> Iterator[tuple[str, Points]]:
    """Positions of each segment of the findings now, in LPS mm."""
    for found in (one for one in analysis.label_maps if one.name == rules.label_map):
        for segment in found.present:
            box = label_bounds(found.labels, segment.label)
            yield segment.name, points_of(found.labels[box] == segment.label, ct.volume[box].affine)


def _prior_points(prior: Prior, rules: ComparedFindings) -> Iterator[tuple[str, Points]]:
    """Positions of each segment of the findings of the earlier result, in LPS mm of its CT."""
    labels = prior.labels(rules.label_map)
    if labels is not None:
        for number, called in labels.names.items():
            yield called[-1], points_of(labels.mask([number]), labels.grid.affine)
