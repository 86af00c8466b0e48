"""Heat maps: what a model looked at, on the frames of the CT, for whoever wants it."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import encoded
from pydicom import Dataset, dcmread
from pydicom.uid import ParametricMapStorage

from service.domain.analysis import Analysis, HeatMap
from service.domain.ct import CT
from service.evidence.case import Case
from service.evidence.context import ALWAYS, HEAT_MAP, PRODUCTS, Evidence, Selection

WANTED = [Selection(kinds=ALWAYS | {HEAT_MAP.kind}), Selection()]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    """Two heat maps, of a few slices each, that explain a lobe."""
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, slices=44, spacing_mm=5.0)
    lobes = analysis.label_map("lobes").labels
    heat = np.where(lobes == 1, 40, 0).astype(np.uint8)
    heat[: np.flatnonzero(heat.any(axis=(1, 2)))[3]] = 0
    hottest = np.where(lobes == 5, 255, 0).astype(np.uint8)
    maps = (HeatMap("upper", "Upper lobe", "RUL", heat), HeatMap("lower", "Lower lobe", "LLL", hottest))
    return ct, replace(analysis, explanations=maps)


@pytest.fixture(scope="module")
def evidence(sample: tuple[CT, Analysis]) -> tuple[Evidence, ...]:
    return encoded(*sample, evidence_samples.context(sample[0]), WANTED)


def heat_maps(evidence: tuple[Evidence, ...]) -> dict[str, Dataset]:
    found = [one for one in evidence if one.kind == HEAT_MAP.kind]
    return {one.file_name: dcmread(BytesIO(one.content)) for one in found}


@pytest.mark.conformance("air/parametric-maps")
def test_each_is_a_parametric_map_in_a_series_of_its_own(evidence: tuple[Evidence, ...]) -> None:
    found = heat_maps(evidence)
    assert list(found) == ["heat-map.upper.pm.dcm", "heat-map.lower.pm.dcm"]
    assert all(HEAT_MAP.may_be(name) for name in found)
    assert not any(other.may_be(name) for name in found for other in PRODUCTS if other is not HEAT_MAP)
    assert {one.SOPClassUID for one in found.values()} == {ParametricMapStorage}
    assert [one.SeriesNumber for one in found.values()] == [9080, 9081]
    assert len({one.SeriesInstanceUID for one in found.values()}) == 2
    assert [one.SeriesDescription[:17] for one in found.values()] == ["AI heat map upper", "AI heat map lower"]
    assert {one.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator for one in found.values()} == {
        "99THORACLE"
    }
    assert found["heat-map.upper.pm.dcm"].ContentDescription.startswith("Upper lobe. Research use only")


def test_frames_are_the_slices_with_heat_at_their_place(
    sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]
) -> None:
    ct, analysis = sample
    for heat_map, found in zip(analysis.explanations, heat_maps(evidence).values(), strict=True):
        kept = np.flatnonzero(heat_map.values.any(axis=(1, 2)))
        assert 0 < len(kept) < len(heat_map.values)
        assert np.array_equal(found.pixel_array, heat_map.values[kept])
        for number, frame in zip(kept, found.PerFrameFunctionalGroupsSequence, strict=True):
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            assert position == pytest.approx(ct.volume.map_indices_to_reference(np.array([[number, 0, 0]]))[0])
        (scale,) = found.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
        assert 255 * scale.RealWorldValueSlope + scale.RealWorldValueIntercept == pytest.approx(1.0)


def test_a_long_title_is_cut_and_never_the_use_limitation(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    named = replace(analysis, explanations=(replace(analysis.explanations[0], title="X" * 99),))
    (found,) = heat_maps(encoded(ct, named, evidence_samples.context(ct), WANTED)).values()
    assert found.ContentDescription == f"{'X' * 21}. Research use only. Not for diagnostic use"


def test_a_map_on_another_grid_than_the_ct_is_an_error(sample: tuple[CT, Analysis]) -> None:
    """A classifier without any label map: nothing else would notice."""
    ct, analysis = sample
    coarse = replace(analysis.explanations[0], values=analysis.explanations[0].values[:, ::2, ::2])
    lobe = replace(analysis.group("RUL"), segment=None)
    alone = replace(analysis, label_maps=(), groups=(lobe,), explanations=(coarse,))
    with pytest.raises(ValueError, match="upper has the grid"):
        Case.of(ct, alone, evidence_samples.context(ct))


def test_only_who_wants_them_gets_them_and_the_root_refers_to_them(evidence: tuple[Evidence, ...]) -> None:
    uids = {one.sop_instance_uid for one in evidence if one.kind == HEAT_MAP.kind}
    roots = [set(one.refers_to) & uids for one in evidence if one.kind == "study"]
    assert sorted(map(len, roots)) == [0, 2]


def test_none_are_encoded_where_nobody_wants_them(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    assert heat_maps(encoded(ct, analysis, evidence_samples.context(ct))) == {}


def test_the_same_input_gives_the_same_bytes(sample: tuple[CT, Analysis], evidence: tuple[Evidence, ...]) -> None:
    again = encoded(*sample, evidence_samples.context(sample[0]), WANTED)
    assert [one.content for one in again] == [one.content for one in evidence]
