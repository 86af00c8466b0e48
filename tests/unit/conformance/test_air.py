"""Requirements of IHE AI Results, met or not: each is as the conformance statement says."""

from io import BytesIO
from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct
from pydicom import Dataset, dcmread

import service
from service.composition.destinations import ENCODINGS
from service.conformance.ihe import REQUIREMENTS, Met
from service.conformance.sample_results import CHANGES, FIRST, sample_results
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.network.dimse import ASKED
from service.network.receive import ACCEPTED

pytestmark = pytest.mark.slow

MET = {one.key: one.met for one in REQUIREMENTS}
SERVICE = Path(service.__file__).parent


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS, rows=48, columns=64, pixel_mm=(6.0, 6.0))


@pytest.fixture(scope="module")
def objects(sample: tuple[CT, Analysis]) -> list[Dataset]:
    found = evidence_samples.encoded(*sample, evidence_samples.context(sample[0]))
    return [dcmread(BytesIO(one.content)) for one in found if one.sop_class_uid]


@pytest.mark.conformance("air/image-references")
def test_results_refer_to_all_images_in_their_frame_of_reference(
    sample: tuple[CT, Analysis], objects: list[Dataset]
) -> None:
    images = set(sample[0].sop_uids)
    for dataset in objects:
        if dataset.Modality == "SEG":
            assert dataset.FrameOfReferenceUID == sample[0].headers[0].FrameOfReferenceUID
            of_series = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
            assert {one.ReferencedSOPInstanceUID for one in of_series} == images
        if dataset.Modality == "SR":
            evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
            referred = {one.ReferencedSOPInstanceUID for series in evidence for one in series.ReferencedSOPSequence}
            assert images <= referred


@pytest.mark.conformance("air/equipment", "air/purpose")
def test_every_model_is_contributing_equipment_with_a_code_of_the_standard(objects: list[Dataset]) -> None:
    for dataset in objects:
        made = [one for one in dataset.ContributingEquipmentSequence if "DeviceUID" in one]
        assert [(one.ManufacturerModelName, one.SoftwareVersions) for one in made] == [
            (one.name, one.version) for one in evidence_samples.MODELS
        ]
        assert all(one.Manufacturer == "Thoracle" for one in made)
        purposes = {(one.PurposeOfReferenceCodeSequence[0].CodeValue, str(MET["purpose"])) for one in made}
        assert purposes == {("109102", "not met")}


@pytest.mark.conformance("air/device-uid")
def test_device_uid_changes_with_the_model_alone() -> None:
    samples = sample_results()

    def devices(name: str) -> list[str]:
        found = samples[name][1]["seg"].ContributingEquipmentSequence
        return [str(one.DeviceUID) for one in found if "DeviceUID" in one]

    assert {name for name in CHANGES if devices(name) != devices(FIRST)} == {"analysis"}


@pytest.mark.conformance("air/procedure")
def test_procedure_reported_is_the_imaging_procedure(objects: list[Dataset]) -> None:
    for dataset in objects:
        if dataset.SOPClassUID.name == "Comprehensive 3D SR Storage":
            reported = [
                one.ConceptCodeSequence[0].CodeMeaning
                for one in dataset.ContentSequence
                if one.ConceptNameCodeSequence[0].CodeValue == "121058"
            ]
            assert reported == ["CT unspecified body region"]


@pytest.mark.conformance("air/key-images")
def test_no_key_object_selection_is_made(objects: list[Dataset]) -> None:
    classes = {one for encodings in ENCODINGS.values() for one, _ in encodings} | {one.SOPClassUID for one in objects}
    assert MET["key-images"] is Met.NO and "1.2.840.10008.5.1.4.1.1.88.59" not in classes


@pytest.mark.conformance("air/content-qualification")
def test_research_is_told_by_every_object(objects: list[Dataset]) -> None:
    heat_map = sample_results()[FIRST][1]["heat-map"]
    assert heat_map.ContentQualification == "RESEARCH"
    assert all("ContentQualification" not in one for one in objects)
    assert all("research use only" in one.SeriesDescription for one in objects)


@pytest.mark.conformance("air/workflow", "air/query-retrieve")
def test_no_work_items_and_no_queries_are_served() -> None:
    served = {str(one.sop_class) for one in ACCEPTED}
    assert not any(uid.startswith(("1.2.840.10008.5.1.4.34", "1.2.840.10008.5.1.4.1.2")) for uid in served)
    assert not any(str(uid).startswith("1.2.840.10008.5.1.4.34") for uid in ASKED)


@pytest.mark.conformance("air/time-synchronisation")
def test_there_is_no_ntp_client() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SERVICE.rglob("*.py") if path.parent.name != "conformance"]
    assert not any("ntplib" in text or "import ntp" in text for text in texts)
