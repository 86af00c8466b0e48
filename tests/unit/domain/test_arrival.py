from datetime import UTC, datetime
from io import BytesIO

import pytest
from helpers import make_ct
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, EnhancedCTImageStorage, SegmentationStorage

from service.domain.arrival import Identity, Unidentified, identify


@pytest.fixture
def dataset() -> Dataset:
    return make_ct.make(slices=1).datasets[0]


def encoded(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_dataset_names_its_instance(dataset: Dataset) -> None:
    identity = identify(encoded(dataset))
    assert identity.sop_class_uid == dataset.SOPClassUID
    assert identity.sop_instance_uid == dataset.SOPInstanceUID
    assert identity.study_uid == dataset.StudyInstanceUID
    assert identity.series_uid == dataset.SeriesInstanceUID
    assert identity.modality == "CT"
    assert identity.transfer_syntax_uid == dataset.file_meta.TransferSyntaxUID


def test_deflated_datasets_are_read(dataset: Dataset) -> None:
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert identify(encoded(dataset)).series_uid == dataset.SeriesInstanceUID


def test_invalid_uids_are_kept_without_a_warning(dataset: Dataset, recwarn: pytest.WarningsRecorder) -> None:
    dataset.SeriesInstanceUID = "6f1c2a34-1111-4b1d-9c3e-0123456789ab"
    content = encoded(dataset)
    recwarn.clear()
    assert identify(content).series_uid == "6f1c2a34-1111-4b1d-9c3e-0123456789ab"
    assert list(recwarn) == []


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_missing_or_empty_uid_is_named(dataset: Dataset, keyword: str) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.preamble = bytes(128)
    setattr(dataset, keyword, "")
    for broken in (dataset, without(dataset, keyword)):
        stream = BytesIO()
        broken.save_as(stream)
        with pytest.raises(Unidentified, match=f"^{keyword} missing from the dataset$"):
            identify(stream.getvalue())


def without(dataset: Dataset, keyword: str) -> Dataset:
    del dataset[keyword]
    return dataset


def test_what_is_no_dicom_is_said_to_be_unreadable() -> None:
    with pytest.raises(Unidentified, match="cannot be parsed"):
        identify(b"no DICOM" * 100)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"AcquisitionDateTime": "20260301080000+0100"}, datetime(2026, 3, 1, 7, tzinfo=UTC)),
        (
            {"AcquisitionDate": "20260301", "AcquisitionTime": "080000.5", "TimezoneOffsetFromUTC": "-0500"},
            datetime(2026, 3, 1, 13, 0, 0, 500000, tzinfo=UTC),
        ),
        ({"AcquisitionDate": "20260301", "AcquisitionTime": "080000"}, datetime(2026, 3, 1, 8).astimezone()),
        ({"AcquisitionDate": "20260301"}, None),
        ({"AcquisitionDate": "garbage", "AcquisitionTime": "garbage"}, None),
        ({}, None),
    ],
)
def test_the_acquisition_time(dataset: Dataset, elements: dict[str, str], expected: datetime | None) -> None:
    for keyword in ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "TimezoneOffsetFromUTC"):
        if keyword in dataset:
            del dataset[keyword]
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    assert identify(encoded(dataset)).acquired_at == expected


def test_only_ct_images_take_part_in_analyses() -> None:
    def ignored(sop_class: str, modality: str) -> str | None:
        return Identity(sop_class, "1", "2", "3", modality, "4", None).ignored

    assert ignored(EnhancedCTImageStorage, "CT") is None
    assert ignored(SegmentationStorage, "SEG") == "NOT_CT: Segmentation Storage, modality SEG"
    assert ignored("1.2.3", "") == "NOT_CT: 1.2.3, modality unknown"


def test_a_uid_that_is_longer_than_any_is_named(dataset: Dataset) -> None:
    dataset.StudyInstanceUID = "1.2." + "3" * 61
    with pytest.raises(Unidentified, match=r"^StudyInstanceUID longer than 64 characters$"):
        identify(encoded(dataset))


@pytest.mark.parametrize("moment", ["00010101000000+1400", "99991231235959-1200"])
def test_a_time_that_no_database_takes_is_none(dataset: Dataset, moment: str) -> None:
    dataset.AcquisitionDateTime = moment
    assert identify(encoded(dataset)).acquired_at is None
