"""What must be the same in every slice, and where each has to lie: one slice that contradicts is enough."""

from collections.abc import Callable

import pytest
from helpers import enhanced_ct
from helpers.damage_ct import Case
from helpers.inconsistent_ct import CASES, LEGAL, MIDDLE, PLACE, SECOND, beside, changed, small
from pydicom import Dataset
from pydicom.uid import LegacyConvertedEnhancedCTImageStorage

from service.domain.eligibility import Eligibility, Limits
from service.errors import Reason
from service.imaging.gate import check_headers


def check(datasets: list[Dataset]) -> Eligibility:
    return check_headers(datasets, Limits())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_contradiction_is_refused_by_name_only(case: Case) -> None:
    assert {refusal.reason for refusal in check(case.make()).refusals} == {case.reason}


@pytest.mark.slow
@pytest.mark.parametrize("case", PLACE, ids=str)
def test_frames_of_a_multi_frame_ct_lie_in_one_stack(case: Case) -> None:
    found = check([enhanced_ct.enhance(case.make())])
    assert {refusal.reason for refusal in found.refusals} == {case.reason}


@pytest.mark.slow
@pytest.mark.parametrize(
    "sequence, keyword, value",
    [
        ("CTReconstructionSequence", "ConvolutionKernel", "STANDARD"),
        ("CTReconstructionSequence", "ReconstructionDiameter", 250.0),
        ("CTXRayDetailsSequence", "KVP", 80.0),
        ("ContrastBolusUsageSequence", "ContrastBolusAgentAdministered", "YES"),
        ("FrameContentSequence", "FrameAcquisitionNumber", 2),
        ("FrameContentSequence", "FrameAcquisitionDateTime", "20240501102210"),
        ("CTImageFrameTypeSequence", "FrameType", ["ORIGINAL", "PRIMARY", "VOLUME", "ENERGY_PROP_WT"]),
    ],
)
def test_frames_of_two_reconstructions(sequence: str, keyword: str, value: object) -> None:
    enhanced = enhanced_ct.enhance(small())
    for frame in enhanced.PerFrameFunctionalGroupsSequence[SECOND]:
        own = frame.get(sequence)
        if own is None:
            setattr(frame, sequence, [enhanced_ct.item(**{keyword: value})])
        else:
            setattr(own[0], keyword, value)
    assert Reason.MULTIPHASE in {refusal.reason for refusal in check([enhanced]).refusals}


@pytest.mark.slow
@pytest.mark.parametrize("make", LEGAL.values(), ids=LEGAL.keys())
def test_what_scanners_vary_is_accepted(make: Callable[[], list[Dataset]]) -> None:
    assert check(make()).refusals == ()


def test_slices_beside_the_stack_are_named() -> None:
    (refusal,) = check(beside(MIDDLE, 12.0)).refusals
    assert refusal.detail.startswith("Up to 12.00 mm beside the stack")
    assert "slices 36-50 (15 of 88; z " in refusal.detail


def test_details_hold_no_patient_data() -> None:
    refusals = check(
        changed(SECOND, PatientID="SECRET1", PatientName="Secret^Two", PatientBirthDate="19991231")
    ).refusals
    assert len(refusals) == 3
    assert not any(word in str(refusal) for refusal in refusals for word in ("SECRET", "Secret", "1999", "PHANTOM"))


def test_what_a_legacy_converted_ct_keeps_unassigned_counts() -> None:
    legacy = enhanced_ct.enhance(small())
    legacy.SOPClassUID = LegacyConvertedEnhancedCTImageStorage
    del legacy.SharedFunctionalGroupsSequence[0].CTReconstructionSequence
    for k, frame in enumerate(legacy.PerFrameFunctionalGroupsSequence):
        kept = enhanced_ct.item(ConvolutionKernel="AB"[k % 3 == 0], AcquisitionNumber=k % 2)
        frame.UnassignedPerFrameConvertedAttributesSequence = [kept]
    details = " ".join(refusal.detail for refusal in check([legacy]).refusals)
    assert 'ConvolutionKernel is "A" in 58, "B" in 30 of 88 slices.' in details
    assert "AcquisitionNumber changes 87 times" in details


def test_words_show_what_differs_as_it_was_written() -> None:
    (refusal,) = check(changed(slice(0, 40), ImageType=["ORIGINAL", "PRIMARY", "Other"])).refusals
    assert refusal.detail == 'Value 3 of Image Type is "AXIAL" in 48, "Other" in 40 of 88 slices.'
