"""A lung that the images cut off, on any side of the patient, is refused or flagged; so is lung that is left out."""

import highdicom as hd
import numpy as np
import pytest
from test_lungs import BODY, LEFT, RIGHT, C, R, S, ellipsoid, model_grid

from service.domain.flags import GAS_LEFT_OUT, LUNG_AT_EDGE, LUNG_DROPPED
from service.errors import Reason, Refusal, Rejected
from service.imaging.lungs import find_lungs

LUNGS = RIGHT | LEFT
HU, CERTAIN = model_grid(LUNGS)
# Where half of a lung's depth lies, in voxels: rows to the back, columns to the left.
CUTS = {
    "right": (slice(None), slice(None), slice(30, None)),
    "left": (slice(None), slice(None), slice(None, 97)),
    "front": (slice(None), slice(46, None), slice(None)),
    "back": (slice(None), slice(None, 80), slice(None)),
    "top": (slice(25, None), slice(None), slice(None)),
    "bottom": (slice(None, 55), slice(None), slice(None)),
}


def cut_model(source: hd.Volume, dreamt: bool) -> tuple[hd.Volume, hd.Volume]:
    """What the model grid shows of a source without resampling; the network may dream lung beyond the image."""
    there = np.zeros(LUNGS.shape, np.bool_)
    low = np.rint(HU.map_reference_to_indices(np.array([source.position]))[0]).astype(int)
    box = tuple(slice(start, start + size) for start, size in zip(low, source.spatial_shape, strict=True))
    there[box] = source.array > -1024
    probability = np.where(LUNGS & (there | dreamt), 255, 0).astype(np.uint8)
    return HU.with_array(np.where(there, HU.array, -1024).astype(np.int16)), CERTAIN.with_array(probability)


def refused(source: hd.Volume, hu: hd.Volume, probability: hd.Volume) -> tuple[Refusal, ...]:
    with pytest.raises(Rejected) as caught:
        find_lungs(hu, probability, source)
    return caught.value.refusals


@pytest.mark.slow
@pytest.mark.parametrize("dreamt", [True, False])
@pytest.mark.parametrize("side", ["right", "left", "front", "back"])
def test_a_narrow_field_of_view_is_refused_with_its_side(side: str, dreamt: bool) -> None:
    source = HU[CUTS[side]]
    (only,) = refused(source, *cut_model(source, dreamt))
    assert only.reason == Reason.TRUNCATED
    assert f"lung's surface to the {side}, " in only.detail
    other = {"right": "left", "left": "right"}.get(side, "nothing")
    assert f"The {other} lung" not in only.detail and f"Of the {other} lung" not in only.detail


@pytest.mark.parametrize("side", ["top", "bottom"])
def test_an_end_of_the_stack_is_named_as_the_patient_has_it(side: str) -> None:
    volumes = [volume[CUTS[side]] for volume in (HU, CERTAIN)]
    (only,) = refused(volumes[0], *volumes)
    assert only.reason == Reason.TRUNCATED and f"area in the {side} slice" in only.detail


@pytest.mark.parametrize("orientation", ["HAR", "FPR", "HPL"])
def test_sides_are_the_patients_in_every_array_order(orientation: str) -> None:
    source = HU[CUTS["left"]]
    (only,) = refused(source.to_patient_orientation(orientation), *cut_model(source, dreamt=True))
    assert "left lung's surface to the left" in only.detail and "right" not in only.detail


@pytest.mark.slow
@pytest.mark.parametrize("padding", [-1024, -1000, -500, 0, 3071])
def test_a_round_field_of_view_cuts_like_an_edge_whatever_fills_it(padding: int) -> None:
    """Noise in the image, none in the padding, which one slice lacks."""
    circle = np.hypot(R - 63, C - 63.5) < 36
    circle[5] = True
    noise = np.random.default_rng(2).integers(-20, 20, LUNGS.shape)
    hu = HU.with_array(np.where(circle, np.maximum(HU.array + noise, -1024), padding).astype(np.int16))
    (only,) = refused(hu, hu, CERTAIN)
    assert only.reason == Reason.TRUNCATED
    assert "right lung's surface to the right" in only.detail and "left lung's surface to the left" in only.detail


def test_air_around_the_body_set_to_one_value_is_no_edge() -> None:
    assert find_lungs(HU, CERTAIN, HU).flags == ()


def test_a_lung_that_only_touches_the_edge_is_flagged() -> None:
    source = HU[:, :, 22:]
    lungs = find_lungs(*cut_model(source, dreamt=True), source)
    assert lungs.flags == (LUNG_AT_EDGE,)


def test_a_flag_of_the_edge_tells_how_much_of_which_lung_lies_at_which_side() -> None:
    """The outermost two of 18 columns hold 1 - (17/18)² of an ellipsoid's face; of 17 columns, 1 - (16/17)²."""
    right = f"Of the right lung's surface to the right, {1 - (17 / 18) ** 2:.0%} lies at the edge of the images."
    left = f"Of the left lung's surface to the left, {1 - (16 / 17) ** 2:.0%} lies at the edge of the images."
    for columns, expected in ((slice(22, None), right), (slice(106), left), (slice(22, 106), f"{right} {left}")):
        source = HU[:, :, columns]
        (flag,) = find_lungs(*cut_model(source, dreamt=True), source).flags
        assert (flag.code, flag.detail) == ("LUNG_AT_EDGE", expected)
        assert flag.warning == f"Incomplete lungs: a lung reaches the edge of the images. {expected}"


def test_a_flag_of_the_end_tells_which_lung_and_how_much_of_it() -> None:
    tip = ellipsoid((0, 63, 40), (9, 6, 4))
    hu, probability = model_grid(LUNGS | tip)
    (flag,) = find_lungs(hu, probability, hu).flags
    part = np.count_nonzero(tip[0]) / np.count_nonzero(RIGHT, axis=(1, 2)).max()
    assert 0.01 < part < 0.1, "one decimal, so that what is flagged never reads as 0 %"
    assert flag.detail == f"The right lung's area in the top slice is {part:.1%} of its largest."


def test_whole_lungs_in_a_tight_field_of_view_are_not_flagged() -> None:
    source = HU[:, 30:96, 16:112]
    assert find_lungs(*cut_model(source, dreamt=False), source).flags == ()


def test_lung_cut_off_by_the_clean_up_is_flagged_and_much_of_it_refused() -> None:
    """A dense layer parts the base of the right lung from the rest."""
    for first_slice, expected in ((61, LUNG_DROPPED), (52, Reason.LUNG_LOST)):
        layer = RIGHT & np.isin(S, range(first_slice, first_slice + 3))
        hu, probability = model_grid(LUNGS & ~layer)
        if expected is LUNG_DROPPED:
            (flag,) = find_lungs(hu, probability, hu).flags
            base, both = (np.count_nonzero(lung) for lung in (RIGHT & (first_slice + 3 <= S), LUNGS & ~layer))
            assert flag == LUNG_DROPPED
            assert flag.detail == f"{base * 27 / 1000:.0f} mL, {base / both:.0%} of all."
        else:
            assert {r.reason for r in refused(hu, hu, probability)} == {Reason.LUNG_LOST}


def test_airways_are_left_out_without_a_word_and_bowel_gas_with_one() -> None:
    gas = ellipsoid((76, 50, 90), (4, 10, 10)) & ~LUNGS & BODY
    trachea = ellipsoid((4, 60, 63.5), (5, 3, 3))
    hu, probability = model_grid(LUNGS | trachea | gas)
    hu.array[gas | trachea] = -990
    assert np.count_nonzero(gas) * 27 / 1000 > 30
    assert find_lungs(hu, probability, hu).flags == (GAS_LEFT_OUT,)


def test_emphysema_at_the_edge_of_a_narrow_field_of_view_is_not_lost_without_a_word() -> None:
    source = HU[CUTS["left"]]
    hu, probability = cut_model(source, dreamt=False)
    hu.array[:, :, 86:97][LEFT[:, :, 86:97]] = -970
    source = source.with_array(hu.array[CUTS["left"]])
    assert Reason.LUNG_LOST in {r.reason for r in refused(source, hu, probability)}
