"""Odd headers: other character sets, missing or malformed attributes, invalid UIDs."""

from io import BytesIO
from typing import Any

import pytest
from helpers import evidence_samples, make_ct
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.domain.ct import CT
from service.evidence.source import clean_header, source_headers

pytestmark = pytest.mark.slow

JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def reread(attributes: dict[str, Any]) -> Dataset:
    """A header as it arrives: written in its character set, then read."""
    dataset = make_ct.make(slices=1).datasets[0]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        return dcmread(BytesIO(buffer.getvalue()), stop_before_pixels=True)


def rewritten(header: Dataset) -> Dataset:
    header.file_meta = make_ct.make(slices=1).datasets[0].file_meta
    with BytesIO() as buffer:
        header.save_as(buffer, enforce_file_format=True)
        return dcmread(BytesIO(buffer.getvalue()))


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (["", "ISO 2022 IR 87"], JAPANESE),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 144", "Люкceмбypг^Анна"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 127", "قباني^لنزار"),
        ("ISO_IR 192", "Ωmega^Ünïcode"),
    ],
)
def test_names_in_any_character_set_arrive_as_utf8(charset: Any, name: str) -> None:
    header = reread({"SpecificCharacterSet": charset, "PatientName": name, "OtherPatientNames": [name, "B^A"]})
    result = rewritten(clean_header(header))
    assert result.SpecificCharacterSet == "ISO_IR 192"
    assert str(result.PatientName) == name and [str(n) for n in result.OtherPatientNames] == [name, "B^A"]


def test_text_in_nested_items_is_transcoded_too() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99LOCAL", "胸部CT"
    header = reread({"SpecificCharacterSet": "GB18030", "ProcedureCodeSequence": [item]})
    assert rewritten(clean_header(header)).ProcedureCodeSequence[0].CodeMeaning == "胸部CT"


def odd(attributes: dict[str, Any]) -> CT:
    return evidence_samples.phantom(slices=40, spacing_mm=6.0, attributes=attributes)[0]


def encoded(ct: CT) -> dict[str, Dataset]:
    lobes = (ct.volume.array < -700).astype("uint8")
    analysis = evidence_samples.analysis_of(ct, lobes, 0 * lobes)
    evidence = evidence_samples.encoded(ct, analysis, evidence_samples.context(ct))
    return {e.kind: dcmread(BytesIO(e.content)) for e in evidence if e.sop_class_uid}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "attributes",
    [
        dict.fromkeys(("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber")),
        dict.fromkeys(("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "SpecificCharacterSet")),
        {"PatientName": ["A^B", "C^D"], "ReferringPhysicianName": ["E^F", "G^H"]},
        {"PatientSex": "UNKNOWN", "PatientAge": "060", "PatientBirthDate": "1960.01.01"},
        {"PatientName": "A" * 200, "PatientID": "x" * 90, "InstitutionName": "H" * 120},
        {"PatientName": "=山田^太郎", "StudyTime": "noon", "Manufacturer": "", "StudyDescription": ""},
        {"SeriesNumber": None, "SeriesDescription": None, "FrameOfReferenceUID": "1.2.3"},
    ],
)
def test_odd_attributes_do_not_stop_the_evidence(attributes: dict[str, Any]) -> None:
    result = encoded(odd(attributes))
    assert set(result) == {"lobes", "measurements", "study", "report-dicom"}
    assert {str(d.PatientSex or "") for d in result.values()} <= {"O", ""}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_invalid_uids_are_referred_to_as_they_came() -> None:
    """UUID-style UIDs are invalid, but the PACS knows the study by them (decision 0021)."""
    study, series = "7b0a6c3e-98a1-4f3c-a2f4-0d6a51ab77c3", "0c5e3b2a-1111-4f3c-a2f4-0d6a51ab77c3"
    result = encoded(odd({"StudyInstanceUID": study, "SeriesInstanceUID": series}))
    for dataset in result.values():
        assert dataset.StudyInstanceUID == study
        assert dataset.SeriesInstanceUID.startswith("1.2.826.0.1.3680043.8.498.")
    assert result["lobes"].ReferencedSeriesSequence[0].SeriesInstanceUID == series


def test_private_attributes_and_pixels_stay_behind() -> None:
    header = reread({})
    header.private_block(0x0009, "ACME", create=True).add_new(0x01, "LO", "private")
    clean = clean_header(header)
    assert not any(element.tag.is_private for element in clean) and "PixelData" not in clean
    assert header.private_block(0x0009, "ACME")[0x01].value == "private"  # the source is not changed


def test_only_the_first_header_is_copied_whole() -> None:
    ct = odd({})
    first, second, *_ = source_headers(ct)
    assert "PatientName" in first and "PatientName" not in second
    assert second.SOPInstanceUID == ct.headers[1].SOPInstanceUID


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_ct_without_dates_gets_the_time_of_the_analysis_all_the_same() -> None:
    keywords = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
    assert encoded(odd(dict.fromkeys(keywords)))["lobes"].ContentDate == "20240501"


def test_time_zone_of_the_source_is_kept() -> None:
    assert encoded(odd({"TimezoneOffsetFromUTC": "+0200"}))["study"].TimezoneOffsetFromUTC == "+0200"


def test_acquisition_time_is_of_the_latest_acquisition_only() -> None:
    later = {"ContentDate": "20240601", "ContentTime": "080000", "StudyDate": "20250101"}
    assert encoded(odd(later))["report-dicom"].AcquisitionDateTime == "20240501101610"
    exact = {**later, "AcquisitionDateTime": "20240502080000.5+0200"}
    assert encoded(odd(exact))["report-dicom"].AcquisitionDateTime == "20240502080000.500000"


def test_acquisition_time_stays_empty_where_the_ct_tells_of_none() -> None:
    assert not encoded(odd({"AcquisitionTime": None}))["report-dicom"].AcquisitionDateTime


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("Manufacturer", "ZZ", b"abc"),
        ("Manufacturer", "US", b"abc"),
        ("Manufacturer", "US", b"ab"),  # a value, but not of this attribute
        ("StudyDescription", "SQ", b"abcd"),
        ("SeriesNumber", "IS", b"Infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_attribute_that_cannot_be_read_is_left_out(keyword: str, vr: str, value: bytes) -> None:
    header = make_ct.make(slices=1).datasets[0]
    tag = Tag(keyword)
    header._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    clean = clean_header(header)
    assert keyword not in clean
    assert clean.PatientID == header.PatientID


def with_bytes(**values: bytes) -> Dataset:
    """A header whose attributes have these bytes, in the representation that the dictionary gives."""
    header = reread({})
    for keyword, value in values.items():
        tag = Tag(keyword)
        header._dict[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)
    return header


def test_escapes_of_any_set_are_decoded() -> None:
    """Also those of a set that is not declared, and in descriptions (PS3.5 K.3)."""
    zhang = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
    header = with_bytes(PatientName=zhang, StudyDescription=b"\x1b$)A\xd0\xd8\xb2\xbf CT", InstitutionName=b"a\x1b(Zb")
    clean = rewritten(clean_header(header))
    assert str(clean.PatientName) == "Zhang^XiaoDong=张^小东"
    assert (clean.StudyDescription, clean.InstitutionName) == ("胸部 CT", "ab")


def test_values_are_cut_to_their_length() -> None:
    long = b"A" * 60_000
    clean = rewritten(clean_header(with_bytes(PatientName=long, PatientID=long, AccessionNumber=long, StudyID=long)))
    assert [len(str(clean[k].value)) for k in ("PatientName", "PatientID", "AccessionNumber", "StudyID")] == [
        *(64, 64, 16, 16)
    ]


@pytest.mark.parametrize(
    ("keyword", "value", "legal"),
    [
        ("StudyDate", b"2006.09.20", "20060920"),
        ("StudyDate", b"20060920\\20060921 ", ""),
        ("StudyTime", b"10:15:30.5", "101530.5"),
        ("StudyTime", b"101530\\101531 ", ""),
        ("PatientBirthDate", b"1964-02-30", ""),
        ("PatientAge", b"5Y", "005Y"),
        ("PatientAge", b"060y", "060Y"),
        ("PatientID", b"AB\0CD\x07", "ABCD"),
        ("PatientSex", b"m ", "M"),
        ("StudyID", b" \0", ""),
    ],
)
def test_results_carry_legal_values(keyword: str, value: bytes, legal: str) -> None:
    assert str(clean_header(with_bytes(**{keyword: value})).get(keyword, "")) == legal


@pytest.mark.parametrize("thickness", [None, ""])
def test_a_slice_thickness_that_is_not_told_is_that_of_the_spacing(thickness: str | None) -> None:
    (first, second, *_) = source_headers(odd({"SliceThickness": thickness, "Modality": None}))
    assert (first.SliceThickness, second.SliceThickness, first.Modality) == (6.0, 6.0, "CT")
