"""Coded groups: the detection of the whole CT and of each lung, lobes, and every finding with its measurements."""

from collections.abc import Iterator

import numpy as np

from service.domain import codes
from service.domain.analysis import Evaluation, LabelArray, Measurement, MeasurementGroup, Site
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.pipelines.nsclc_gtv import codes as own
from service.pipelines.nsclc_gtv import segments
from service.pipelines.nsclc_gtv.findings import Findings
from service.pipelines.nsclc_gtv.found import Found
from service.pipelines.nsclc_gtv.measure import Measured
from service.pipelines.nsclc_gtv.sides import Side
from service.pipelines.shared import lobe_segments

ALL = "TUMOUR"
"""The group about all findings."""

_LUNG = Site(codes.LUNG)
_SIDES = ((Side.RIGHT, codes.RIGHT, RIGHT_LOBES), (Side.LEFT, codes.LEFT, LEFT_LOBES))
_LATERALITY = {side: laterality for side, laterality, _ in _SIDES}
_STATUS = Evaluation(own.STATUS, own.SUSPECTED)


def groups(found: Found) -> Iterator[MeasurementGroup]:
    """Without lungs there are no volumes of lungs and lobes."""
    yield _all(found)
    lobes_ml = {} if found.lobe_mask is None else _lobes_ml(found.lobe_mask, found.voxel_ml)
    for side, laterality, lobes in _SIDES:
        holds = side in found.rest_sides or any(side in one.sides for one in found.measured)
        volume = (_volume(sum(lobes_ml[lobe] for lobe in lobes)),) if lobes_ml else ()
        judged = (Evaluation(own.DETECTION, own.POSITIVE if holds else own.NEGATIVE),)
        yield MeasurementGroup(f"LUNG_{side}", codes.LUNG, Site(codes.LUNG, laterality), volume, judged)
    for one in found.measured:
        yield _finding(one)
    if found.findings.rest:
        yield _rest(found.findings)
    for lobe, volume_ml in lobes_ml.items():
        segment = lobe_segments.SEGMENT_OF[lobe]
        site, volumes = lobe_segments.site(lobe), (_volume(volume_ml),)
        yield MeasurementGroup(lobe.name, segment.type, site, volumes, category=segment.category, segment=segment.name)


def _lobes_ml(lobe_mask: LabelArray, voxel_ml: float) -> dict[Lobe, float]:
    counts = np.zeros(len(Lobe) + 1, np.int64)
    for plane in lobe_mask:
        counts += np.bincount(plane.ravel(), minlength=len(Lobe) + 1)
    return {lobe: float(counts[lobe] * voxel_ml) for lobe in Lobe}


def _volume(volume_ml: float) -> Measurement:
    return Measurement("volume_ml", codes.VOLUME, volume_ml, codes.MILLILITRE)


def _all(found: Found) -> MeasurementGroup:
    """What was searched, by which rule, and what it gave."""
    findings, rule = found.findings, found.rule
    total_ml = sum(one.volume_ml for one in findings.every)
    measured = [
        Measurement("finding_count", own.COUNT, float(len(findings.every)), codes.UNITY),
        Measurement("volume_ml", codes.VOLUME, total_ml, codes.MILLILITRE),
        Measurement("searched_ml", own.SEARCHED_VOLUME, found.searched_ml, codes.MILLILITRE),
        Measurement("rule_least_ml", own.RULE_VOLUME, rule.least_ml, codes.MILLILITRE),
        Measurement("rule_least_peak", own.RULE_PEAK, rule.least_peak, codes.UNITY),
    ]
    if findings.left_out:
        measured += [
            Measurement("left_out_count", own.LEFT_OUT_COUNT, float(findings.left_out), codes.UNITY),
            Measurement("left_out_ml", own.LEFT_OUT_VOLUME, findings.left_out_ml, codes.MILLILITRE),
        ]
    judged = Evaluation(own.DETECTION, own.POSITIVE if findings.every else own.NO_TUMOUR)
    return MeasurementGroup(ALL, own.TUMOUR, _LUNG, tuple(measured), (judged,))


def _finding(one: Measured) -> MeasurementGroup:
    segment, place, judged = one.finding.segment, one.place, [_STATUS]
    if one.lobe_known and place is not None:
        judged.append(Evaluation(own.LOBES, own.SEVERAL_LOBES if place.others else own.ONE_LOBE))
    elif place is not None and not one.side_doubtful:
        judged.append(Evaluation(own.NEAREST_LOBE, lobe_segments.SEGMENT_OF[place.lobe].type))
    return MeasurementGroup(
        segment.name,
        segment.type,
        _site(one),
        tuple(_measurements(one)),
        tuple(judged),
        category=segment.category,
        segment=segment.name,
    )


def _site(one: Measured) -> Site:
    """Its lobe; else the lung of its side; else, where it lies on both or its side is in doubt, the lung."""
    if one.lobe_known and one.place is not None:
        return lobe_segments.site(one.place.lobe)
    return Site(codes.LUNG, _LATERALITY[one.side]) if one.side else _LUNG


def _measurements(one: Measured) -> Iterator[Measurement]:
    yield _volume(one.volume_ml)
    for name, concept, axis in (
        ("longest_diameter_mm", own.LONG_AXIS, one.longest),
        ("perpendicular_diameter_mm", own.SHORT_AXIS, one.across),
    ):
        yield Measurement(name, concept, axis.length_mm, codes.MILLIMETRE, line=axis.line)
    in_space = one.in_space
    yield Measurement(
        "longest_3d_diameter_mm",
        own.LONGEST_3D,
        in_space.length_mm,
        codes.MILLIMETRE,
        line=in_space.line,
        drawn=False,
    )
    yield Measurement("mean_hu", codes.ATTENUATION, one.mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN)
    yield Measurement("deviation_hu", codes.ATTENUATION, one.deviation_hu, codes.HOUNSFIELD, derivation=own.DEVIATION)
    for name, volume, percent, part in (
        ("solid", own.SOLID_VOLUME, own.SOLID_PERCENT, one.solid_part),
        ("ground_glass", own.GROUND_GLASS_VOLUME, own.GROUND_GLASS_PERCENT, one.ground_glass_part),
    ):
        yield Measurement(f"{name}_ml", volume, part * one.volume_ml, codes.MILLILITRE)
        yield Measurement(f"{name}_percent", percent, 100.0 * part, codes.PERCENT)
    yield from _of_place(one)


def _of_place(one: Measured) -> Iterator[Measurement]:
    """How it lies in or beside the lungs; nothing where none is near."""
    if (place := one.place) is None:
        return
    yield Measurement("lung_percent", own.LUNG_PERCENT, 100.0 * place.overlap, codes.PERCENT)
    if place.beside:
        yield Measurement("lung_gap_mm", own.LUNG_GAP, place.gap_mm, codes.MILLIMETRE)
    if one.lobe_known:
        yield Measurement("lobe_percent", own.LOBE_PERCENT, 100.0 * place.lobes[place.lobe], codes.PERCENT)
    if place.pleura_mm is not None:
        yield Measurement("pleura_distance_mm", own.PLEURA_DISTANCE, place.pleura_mm, codes.MILLIMETRE)


def _rest(findings: Findings) -> MeasurementGroup:
    segment, rest = segments.REST, findings.rest
    count = Measurement("finding_count", own.COUNT, float(len(rest)), codes.UNITY)
    measured = (_volume(sum(one.volume_ml for one in rest)), count)
    return MeasurementGroup(
        segment.name, segment.type, _LUNG, measured, (_STATUS,), category=segment.category, segment=segment.name
    )
