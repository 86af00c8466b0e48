"""The gate: one phantom per way to be unfit, and real CTs that pass."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from helpers import damage_ct, enhanced_ct, inconsistent_ct, make_ct
from helpers.damage_ct import CASES, LUNG_CASES, PIXEL_CASES, Case, scanned, tagged
from helpers.shared_data import shared_data
from pydicom import Dataset
from pydicom.uid import JPEGBaseline8Bit, RTDoseStorage

from service.domain.eligibility import Eligibility, Limits
from service.domain.flags import AGE_UNKNOWN, LOSSY, THICK_SLICES, Flag
from service.errors import Reason
from service.imaging.gate import check_headers


def check(datasets: Sequence[Dataset], **limits: object) -> Eligibility:
    return check_headers(datasets, Limits(**limits))  # type: ignore[arg-type]


def reasons(found: Eligibility) -> set[Reason]:
    return {refusal.reason for refusal in found.refusals}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_refuses(case: Case) -> None:
    found = check(case.make())
    assert case.reason in reasons(found)
    assert not found.ok


@pytest.mark.slow
@pytest.mark.parametrize("case", PIXEL_CASES + LUNG_CASES, ids=str)
def test_leaves_pixels_to_others(case: Case) -> None:
    assert check(case.make()).ok


def test_every_header_reason_has_a_case() -> None:
    cased = {case.reason for case in (*CASES, *inconsistent_ct.CASES, *PIXEL_CASES, *LUNG_CASES)}
    # the sender's count, an error of ours, the other series of the study, the rules, what a network found
    by_others = {Reason.INCOMPLETE, Reason.FAILED, Reason.NOT_CHOSEN, Reason.NO_PIPELINE, Reason.LUNG_LOST}
    assert set(Reason) - cased == by_others


@pytest.mark.parametrize("expected, complete", [(None, True), (88, True), (80, True), (90, False)])
def test_counts_against_the_sender(expected: int | None, complete: bool) -> None:
    found = check_headers(scanned(), Limits(), expected_images=expected)
    assert found.ok is complete
    if not complete:
        assert [str(r) for r in found.refusals] == [
            "INCOMPLETE: The sender holds more images of this series than have arrived. 88 of 90 images have arrived."
        ]


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.name in ("MR", "one", "thick", "20 slices", "120 mm", "4 years", "coronal", "iodine map")],
    ids=str,
)
def test_gives_only_the_true_reason(case: Case) -> None:
    also = {"20 slices": {Reason.SHORT_COVERAGE}}
    assert reasons(check(case.make())) == {case.reason} | also.get(case.name, set())


def test_collects_all_reasons() -> None:
    found = check(scanned(slices=12, thickness_mm=9.0, attributes={"PatientAge": "009Y", "RescaleType": "MGML"}))
    assert reasons(found) == {Reason.TOO_FEW, Reason.SHORT_COVERAGE, Reason.TOO_THICK, Reason.AGE, Reason.NOT_HU}


def test_details_carry_the_numbers() -> None:
    (refusal,) = check(damage_ct.dropped(40, 41)).refusals
    assert refusal.detail == "2 missing in 1 gap(s), the largest 7.50 mm. Slice spacing is 2.50 mm."


@pytest.mark.slow
@pytest.mark.parametrize("orientation", sorted(make_ct.ORIENTATIONS))
def test_accepts_every_patient_position(orientation: str) -> None:
    found = check(scanned(orientation=orientation, feet_first_numbers=True))
    assert found.ok and found.flags == ()
    assert (found.slices, found.spacing_mm, found.extent_mm) == (88, pytest.approx(2.5), pytest.approx(220.0))


def test_enhanced_ct_is_measured_like_the_classic_one() -> None:
    slices = scanned(spacing_mm=4.0, slices=60)
    assert check([enhanced_ct.enhance(slices)]) == check(slices)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda e: e.PerFrameFunctionalGroupsSequence.pop(30), Reason.UNREADABLE),
        (lambda e: delattr(e.SharedFunctionalGroupsSequence[0], "PlaneOrientationSequence"), Reason.UNREADABLE),
        (
            lambda e: delattr(e.PerFrameFunctionalGroupsSequence[3], "PixelValueTransformationSequence"),
            Reason.NOT_HU,
        ),
        (
            lambda e: setattr(e.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0], "FrameType", "DERIVED"),
            Reason.DERIVED,
        ),
    ],
)
def test_refuses_enhanced_ct(damage: object, reason: Reason) -> None:
    enhanced = enhanced_ct.enhance(scanned())
    damage(enhanced)  # type: ignore[operator]
    assert reasons(check([enhanced])) == {reason}


def test_misses_a_frame_of_enhanced_ct() -> None:
    assert reasons(check([enhanced_ct.enhance(damage_ct.dropped(30))])) == {Reason.MISSING_SLICES}


def test_refuses_two_multi_frame_instances() -> None:
    halves = scanned()
    found = check([enhanced_ct.enhance(halves[:44]), enhanced_ct.enhance(halves[44:])])
    assert reasons(found) == {Reason.MIXED_GEOMETRY}


def test_one_slice_has_no_extent() -> None:
    found = check(scanned(slices=1))
    assert reasons(found) == {Reason.TOO_FEW}
    assert (found.slices, found.spacing_mm, found.thickness_mm, found.extent_mm) == (1, None, 2.5, None)


def test_refuses_nothing_at_all() -> None:
    assert reasons(check([])) == {Reason.TOO_FEW}


def test_rounding_passes() -> None:
    rng = np.random.default_rng(1)
    slices = scanned(iop=(0.99995, 0.01, 0.0, -0.01, 0.99995, 0.0))
    for dataset in slices:
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
            noise = rng.uniform(-1e-3, 1e-3, len(dataset[keyword].value))
            dataset.update(
                {keyword: [f"{float(v) + n:.4f}" for v, n in zip(dataset[keyword].value, noise, strict=True)]}
            )
    assert check(slices).ok


@pytest.mark.parametrize("thickness_mm, flagged", [(2.5, False), (3.0, False), (3.1, True), (5.0, True)])
def test_warns_of_thick_slices(thickness_mm: float, flagged: bool) -> None:
    found = check(scanned(thickness_mm=thickness_mm))
    assert found.ok and (THICK_SLICES in found.flags) is flagged


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientAge": None, "PatientBirthDate": ""},
        {"PatientAge": "", "PatientBirthDate": "unknown"},
        {"PatientAge": None, "PatientBirthDate": None},
        {"PatientAge": None, "PatientBirthDate": "20300101"},
    ],
)
def test_warns_of_unknown_age(attributes: dict[str, object]) -> None:
    found = check(tagged(**attributes))
    assert found.ok and found.flags == (AGE_UNKNOWN,)


def test_age_from_dates() -> None:
    assert check(tagged(PatientAge=None, PatientBirthDate="20060430")).flags == ()
    assert check(tagged(PatientAge="015Y"), min_age_years=12).ok


def test_a_child_by_birth_date_and_acquisition_date_time_only() -> None:
    slices = tagged(PatientAge=None, PatientBirthDate="20150101", AcquisitionDateTime="20240501101610.5")
    for dataset in slices:
        for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
            delattr(dataset, keyword)
    assert reasons(check(slices)) == {Reason.AGE}


@pytest.mark.parametrize("born, refused", [("19640501", set()), ("", {Reason.AGE}), ("20150101", {Reason.AGE})])
def test_an_age_of_no_years_is_a_placeholder_beside_an_adults_birth_date(born: str, refused: set[Reason]) -> None:
    assert reasons(check(tagged(PatientAge="000Y", PatientBirthDate=born))) == refused


def test_warns_of_lossy_compression() -> None:
    assert check(tagged(LossyImageCompression="01")).flags == (LOSSY,)
    assert LOSSY in check(damage_ct.transfer_syntax(JPEGBaseline8Bit)).flags


def test_derived_may_be_allowed_but_never_projections() -> None:
    assert check(tagged(ImageType=["DERIVED", "SECONDARY", "AXIAL"]), allow_derived=True).ok
    projected = check(tagged(ImageType=["DERIVED", "SECONDARY", "MIP"]), allow_derived=True)
    assert reasons(projected) == {Reason.DERIVED}


def test_small_tilt_within_limit_passes() -> None:
    assert check(scanned(tilt_deg=0.5)).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, slices, spacing_mm, flags",
    [
        ("dicom/covid-ct-md/P001", 148, 2.0, ()),
        ("dicom/covid-ct-md/cap001", 84, 4.0, (THICK_SLICES,)),
        ("dicom/covid-ct-md/normal001", 77, 4.0, (THICK_SLICES,)),
        ("dicom/rider-lung", 118, 2.5, ()),
    ],
)
def test_real_ct_passes(name: str, slices: int, spacing_mm: float, flags: tuple[Flag, ...]) -> None:
    paths: list[Path] = sorted(shared_data(name).glob("*.dcm"))
    found = check([pydicom.dcmread(path, stop_before_pixels=True) for path in paths])
    assert found.refusals == ()
    assert (found.slices, found.spacing_mm, found.flags) == (slices, pytest.approx(spacing_mm), flags)


@pytest.mark.slow
@pytest.mark.parametrize("spacing_mm, decimals", [(1.25, 1), (1.75, 1), (0.625, 2), (2.5, 0)])
@pytest.mark.parametrize("cut", [False, True])
def test_positions_rounded_when_written_are_one_grid(spacing_mm: float, decimals: int, cut: bool) -> None:
    """One missing slice is seen all the same."""
    found = check(written_rounded(spacing_mm, decimals, cut))
    assert found.ok
    assert found.spacing_mm == pytest.approx(spacing_mm, abs=0.01)
    slices = written_rounded(spacing_mm, decimals, cut)
    assert reasons(check(slices[:70] + slices[71:])) == {Reason.MISSING_SLICES}


def written_rounded(spacing_mm: float, decimals: int, cut: bool) -> list[Dataset]:
    """The slices of 220 mm with positions that were rounded, or cut, to some decimals."""
    slices = scanned(slices=round(220 / spacing_mm), spacing_mm=spacing_mm, rows=8, columns=8)
    for number, dataset in enumerate(slices):
        x, y, _ = dataset.ImagePositionPatient
        z = (np.floor if cut else np.round)((300.3 - spacing_mm * number) * 10**decimals) / 10**decimals
        dataset.ImagePositionPatient = [x, y, f"{z:.{decimals}f}"]
    return slices


@pytest.mark.slow
@pytest.mark.parametrize(
    "spacing_mm, unit_mm", [(1.25, 0.1), (0.625, 0.1), (1.75, 0.1), (1.25, 0.5), (0.625, 0.5), (0.7, 0.1), (2.5, 0.5)]
)
@pytest.mark.parametrize("written", [lambda z: f"{z:.6f}", lambda z: f"{np.float32(z):.6f}"], ids=["zeros", "float32"])
def test_rounded_positions_are_known_by_their_values(
    spacing_mm: float, unit_mm: float, written: Callable[[float], str]
) -> None:
    slices = scanned(slices=round(220 / spacing_mm), spacing_mm=spacing_mm, rows=8, columns=8)
    for number, dataset in enumerate(slices):
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [
            x,
            y,
            written(np.floor((300.3 - spacing_mm * number) / unit_mm + 0.5) * unit_mm),
        ]
    found = check(slices)
    assert found.refusals == ()
    assert found.spacing_mm == pytest.approx(spacing_mm, abs=0.002)
    assert not check(slices[:70] + slices[71:]).ok
    assert not check(slices[:1] + slices[2:]).ok


@pytest.mark.slow
@pytest.mark.parametrize("spacing_mm", [0.5, 1.0, 2.5])
def test_multiples_of_half_a_millimetre_hide_no_missing_slice(spacing_mm: float) -> None:
    slices = scanned(slices=round(220 / spacing_mm), spacing_mm=spacing_mm, rows=8, columns=8)
    for index in (1, 40, len(slices) - 2):
        assert reasons(check(slices[:index] + slices[index + 1 :])) == {Reason.MISSING_SLICES}


def test_rounding_does_not_excuse_a_change_of_spacing() -> None:
    slices = scanned(slices=120, rows=8, columns=8)
    for number, dataset in enumerate(slices):
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, f"{-2.4 * min(number, 60) - 2.6 * max(number - 60, 0):.1f}"]
    assert reasons(check(slices)) == {Reason.IRREGULAR_SPACING}


@pytest.mark.parametrize(
    "spelling", ["Houndsfield Unit", "Hounsfield", "HOUNSFIELD UNITS", "HU ", "hu", "Hounsfeld", "US"]
)
def test_hounsfield_units_in_any_spelling(spelling: str) -> None:
    assert check(tagged(RescaleType=spelling)).ok


@pytest.mark.parametrize("other", ["HU_MOD", "MGML", "ED", "EDW", "Z_EFF", "OD", "PCT", "mg/ml", "Hounds"])
def test_other_rescale_types(other: str) -> None:
    assert reasons(check(tagged(RescaleType=other))) == {Reason.NOT_HU}


@pytest.mark.parametrize(
    "attributes",
    [{"VolumeBasedCalculationTechnique": "MAX_IP"}, {"VolumetricProperties": "SAMPLED"}, {"FrameType": "DERIVED"}],
)
def test_refuses_projections_of_multi_frame_ct(attributes: dict[str, str]) -> None:
    enhanced = enhanced_ct.enhance(scanned())
    enhanced.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0].update(attributes)
    assert reasons(check([enhanced])) == {Reason.DERIVED}


def test_refuses_a_multi_frame_ct_derived_by_its_image_type() -> None:
    enhanced = enhanced_ct.enhance(scanned())
    enhanced.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "MAXIMUM"]
    assert reasons(check([enhanced])) == {Reason.DERIVED}


def test_virtual_images_may_be_allowed_but_maps_never() -> None:
    assert check(tagged(ImageType=["DERIVED", "PRIMARY", "AXIAL", "VMI"]), allow_derived=True).ok
    iodine = check(tagged(ImageType=["DERIVED", "PRIMARY", "AXIAL", "IODINE"]), allow_derived=True)
    assert reasons(iodine) == {Reason.NOT_HU}


def test_objects_of_another_kind_are_named_whatever_they_lack() -> None:
    dose = Dataset()
    dose.update({"SOPClassUID": RTDoseStorage, "SOPInstanceUID": "1.2", "StudyInstanceUID": "1.3"})
    dose.update({"SeriesInstanceUID": "1.4", "NumberOfFrames": "60", "PatientAge": ["?", "?"]})
    assert reasons(check([dose])) == {Reason.NOT_CT}
    assert reasons(check([*scanned(), dose])) == {Reason.NOT_CT}


def test_an_age_that_contradicts_itself_tells_both() -> None:
    (refusal,) = check(tagged(PatientAge="060Y", PatientBirthDate="20150101")).refusals
    assert refusal.detail == "9 years by one attribute, 60 by another; at least 18 are required."


@pytest.mark.parametrize("born", ["1964.05.01", "1964-05-01", "19640501", "1964", "196405"])
def test_birth_dates_in_any_form(born: str) -> None:
    found = check(tagged(PatientAge=None, PatientBirthDate=born))
    assert found.ok and found.flags == ()
