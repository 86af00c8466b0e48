"""Contradictions within one result. No object is built of a result that has any."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from service.domain.analysis import Analysis

LINE_SUFFIX = "_line"
"""End of the name of a measurement's line in result.json."""

_MOST_HEAT_MAPS = 20
"""So many Series Numbers are kept for them."""

_HEAT_MAP_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")


def contradictions(analysis: "Analysis") -> Iterator[str]:
    """One sentence for each; none for a result that can be true."""
    yield from _of_names(analysis)
    yield from _of_label_maps(analysis)
    yield from _of_groups(analysis)
    yield from _of_heat_maps(analysis)
    yield from _of_classification(analysis)
    yield from _of_numbers(analysis)


def _of_names(analysis: "Analysis") -> Iterator[str]:
    for what, names in (
        ("label map", [label_map.name for label_map in analysis.label_maps]),
        ("segment", [segment.name for label_map in analysis.label_maps for segment in label_map.segments]),
        ("group", [group.name for group in analysis.groups]),
        ("heat map", [heat_map.name for heat_map in analysis.explanations]),
    ):
        yield from (f"two of {what} {name}" for name, count in Counter(names).items() if count > 1)
    taken = {"QUALITY", *([] if analysis.classification is None else [analysis.classification.name])}
    yield from (f"a group is named {group.name}" for group in analysis.groups if group.name in taken)


def _of_label_maps(analysis: "Analysis") -> Iterator[str]:
    shapes = {one.labels.shape for one in analysis.label_maps} | {one.values.shape for one in analysis.explanations}
    if len(shapes) > 1:
        yield f"label maps and heat maps are not on one grid: {', '.join(map(str, sorted(shapes)))}"
    for label_map in analysis.label_maps:
        labels = [segment.label for segment in label_map.segments]
        if len(set(labels)) < len(labels) or not all(1 <= label <= 255 for label in labels):
            yield f"labels of {label_map.name} are not 1 to 255, each once"
        if not labels:
            yield f"{label_map.name} has no segments"


def _of_groups(analysis: "Analysis") -> Iterator[str]:
    for group in analysis.groups:
        if len({one.name for one in group.measurements}) < len(group.measurements):
            yield f"two measurements of {group.name} have one name"
    about = Counter(group.segment for group in analysis.groups if group.segment is not None)
    yield from (f"two groups are about {name}" for name, count in about.items() if count > 1)
    segments = {segment.name for label_map in analysis.label_maps for segment in label_map.segments}
    yield from (f"no segment {name} for its group" for name in sorted(about.keys() - segments))


def _of_heat_maps(analysis: "Analysis") -> Iterator[str]:
    if len(analysis.explanations) > _MOST_HEAT_MAPS:
        yield f"more than {_MOST_HEAT_MAPS} heat maps"
    explained = {group.name for group in analysis.groups}
    explained |= set() if analysis.classification is None else {analysis.classification.name}
    for one in analysis.explanations:
        if not _HEAT_MAP_NAME.fullmatch(one.name):
            yield f"a heat map cannot be named {one.name!r}: at most 16 small letters, digits and _"
        if one.explains not in explained:
            yield f"there is no {one.explains} for the heat map {one.name} to explain"
        if one.values.dtype != np.uint8 or not one.values.any():
            yield f"the heat map {one.name} is not UINT8, or 0 everywhere"


def _of_classification(analysis: "Analysis") -> Iterator[str]:
    found = analysis.classification
    if found is None:
        return
    titles = [one.title for one in found.probabilities]
    if len(set(titles)) < len(titles):
        yield f"two classes of {found.name} have one title"
    if found.decision is not None and found.decision.meaning not in titles:
        yield f"{found.name} decides for a class without a probability: {found.decision.meaning}"
    if found.decision is not None and found.absent is not None:
        yield f"{found.name} is absent, and decides"


def _of_numbers(analysis: "Analysis") -> Iterator[str]:
    measurements = [*(one for group in analysis.groups for one in group.measurements), *analysis.uncertainty]
    for one in measurements:
        if len(one.line) == 1:
            yield f"{one.name} was measured along a line of one point"
        if one.name.endswith(LINE_SUFFIX):
            yield f"a measurement is named {one.name}, as a line is"
    yield from (f"{one.name}, an uncertainty, has a line" for one in analysis.uncertainty if one.line)
    numbers = [one.value for one in measurements]
    numbers += [coordinate for one in measurements for point in one.line for coordinate in point]
    numbers += analysis.drift.values()
    numbers += [] if analysis.classification is None else [one.value for one in analysis.classification.probabilities]
    value = analysis.headline.value
    if not all(math.isfinite(number) for number in (*numbers, 0.0 if value is None else value)):
        yield "a number is not finite"
    if value is not None and value > (analysis.headline.maximum or math.inf):
        yield "the headline exceeds its scale"
    if analysis.rank is not None and not 0.0 <= analysis.rank <= 1.0:
        yield "the rank does not lie between 0 and 1"
