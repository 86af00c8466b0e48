"""The notice: what it says, whose it is, and that damaged headers do not stop it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from helpers import evidence_samples, notice_samples
from helpers.notice_samples import LONG, SCOUT, TOO_THICK, UID, header, several
from helpers.programs import program
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from service.errors import Reason, Refusal, Rejected
from service.evidence.context import Evidence, Predecessor
from service.evidence.notice import encode_notice
from service.evidence.notice_words import ADVICE, advice


def notice(
    headers: Sequence[Dataset], refusals: Mapping[str, Sequence[Refusal]], images: Mapping[str, int] | None = None
) -> tuple[Evidence, ...]:
    return encode_notice(headers, refusals, notice_samples.context(headers), images or {})


def one(**attributes: Any) -> tuple[Evidence, ...]:
    """The notice of one series that is too thick."""
    return notice([header(**attributes)], {UID: (TOO_THICK,)}, {UID: 28})


def parsed(evidence: Sequence[Evidence]) -> list[Dataset]:
    return [dcmread(BytesIO(item.content)) for item in evidence if item.sop_class_uid]


def texts(item: Dataset) -> dict[str, list[str]]:
    """Texts of a content tree by the meaning of their concept."""
    found: dict[str, list[str]] = {}
    for child in item.get("ContentSequence", []):
        name = str(child.ConceptNameCodeSequence[0].CodeMeaning)
        if "TextValue" in child:
            found.setdefault(name, []).append(str(child.TextValue))
        for deeper, values in texts(child).items():
            found.setdefault(deeper, []).extend(values)
    return found


def printed(evidence: Sequence[Evidence], folder: Path) -> str:
    """The page's text, blanks as one; asserts that it is one page."""
    path = folder / "notice.pdf"
    path.write_bytes(evidence[-1].content)
    info = subprocess.run([program("pdfinfo"), path], capture_output=True, text=True, check=True).stdout
    assert "Pages:           1\n" in info
    output = subprocess.run([program("pdftotext"), "-layout", path, "-"], capture_output=True, text=True, check=True)
    return " ".join(output.stdout.split())


def test_files_classes_and_numbers() -> None:
    evidence = one()
    assert [e.file_name for e in evidence] == ["notice.sr.dcm", "notice.pdf.dcm", "notice.pdf"]
    report, page = parsed(evidence)
    assert [e.sop_instance_uid for e in evidence] == [report.SOPInstanceUID, page.SOPInstanceUID, None]
    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.88.11"
    assert page.EncapsulatedDocument.rstrip(b"\0") == evidence[2].content.rstrip(b"\0")
    assert (report.SeriesNumber, page.SeriesNumber) == (9007, 9008)
    assert report.SeriesDescription == "AI not analysed v1 14:05 covid-severity research use only"
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        *("COMPLETE", "UNVERIFIED"),
        "PRELIMINARY",
    )


def test_the_report_gives_reasons_in_words_and_codes() -> None:
    found = texts(parsed(one(SeriesNumber=0, SeriesDescription="Thorax 7.0"))[0])
    assert found["Reason why not analysed"] == ["The slices are too thick for this analysis. 7.00 mm; at most 5 mm."]
    assert found["Code of the reason"] == ["TOO_THICK"]
    assert found["Recommendation"] == ["Send a reconstruction with thinner slices."]
    assert found["Series description"] == ["Thorax 7.0"]
    assert (found["Series Number"], found["Number of images received"]) == (["0"], ["28"])
    assert "Not analysed is not the same as normal." in found["Summary"][0]


def test_the_page_says_all_in_plain_words(tmp_path: Path) -> None:
    text = printed(one(SeriesNumber=3, SeriesDescription="Thorax 7.0", InstitutionName="St. Elsewhere"), tmp_path)
    for expected in (
        "Research use only. Not for diagnostic use",
        "Chest CT not analysed",
        "Not analysed is not the same as normal.",
        "do not wait for a result",
        "Phantom, Chest",
        "St. Elsewhere",
        "Series 3 · Thorax 7.0",
        "CT · 28 images",
        "The slices are too thick for this analysis. 7.00 mm; at most 5 mm. (TOO_THICK)",
        "What can be done: Send a reconstruction with thinner slices.",
        "CT of 2024-05-01 10:16",
    ):
        assert expected in text, expected
    assert "/ 25" not in text and "Involvement" not in text


def test_five_series_with_long_reasons_are_all_on_the_page(tmp_path: Path) -> None:
    text = printed(notice(*several(5)), tmp_path)
    assert text.count("What can be done") == 5 and "more series" not in text


def test_forty_series_stay_on_one_page(tmp_path: Path) -> None:
    evidence = notice(*several(40))
    text = printed(evidence, tmp_path)
    shown = text.count("What can be done")
    assert 0 < shown < 40 and f"And {40 - shown} more series" in text
    assert len(texts(parsed(evidence)[0])["Series description"]) == 40


def test_a_series_with_every_reason_fits(tmp_path: Path) -> None:
    left_out = (Reason.AGE, Reason.MIXED_PATIENTS)  # of these there is other advice, or no notice
    refusals = {UID: [Refusal(one, "a value that decided it, " * 9) for one in Reason if one not in left_out]}
    evidence = notice([header()], refusals)
    assert "more in the structured report" in printed(evidence, tmp_path)
    assert len(texts(parsed(evidence)[0])["Code of the reason"]) == len(Reason) - len(left_out)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Wang^XiaoDong=王^小东", "Wang, XiaoDong (王 小东)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪 吉洞)"),
        ("홍^길동", "홍, 길동"),
    ],
)
def test_names_in_other_scripts(tmp_path: Path, name: str, shown: str) -> None:
    evidence = one(PatientName=name)
    assert shown in printed(evidence, tmp_path)
    assert {str(dataset.PatientName) for dataset in parsed(evidence)} == {name}


def test_scouts_come_last(tmp_path: Path) -> None:
    headers = [header(f"{UID}.1", SeriesDescription="Topogram"), header(f"{UID}.2", SeriesDescription="Thorax")]
    refusals = {f"{UID}.1": (SCOUT,), f"{UID}.2": (TOO_THICK,)}
    evidence = notice(headers, refusals)
    assert texts(parsed(evidence)[0])["Series description"] == ["Thorax", "Topogram"]
    text = printed(evidence, tmp_path)
    assert text.index("Thorax") < text.index("Topogram")
    assert "Nothing: a series of this kind is never analysed." in text


def test_nothing_is_asked_for_where_nothing_helps(tmp_path: Path) -> None:
    child = Refusal(Reason.AGE, "9 years; at least 18 are required.")
    text = printed(notice([header()], {UID: (child, TOO_THICK)}), tmp_path)
    assert "Nothing: the analysis is not meant for a patient of this age." in text
    assert "Send" not in text and "thin axial" not in text


@pytest.mark.parametrize(("notice_before", "what"), [(False, "result"), (True, "notice")])
def test_it_may_replace_an_earlier_result(tmp_path: Path, notice_before: bool, what: str) -> None:
    earlier = Predecessor(Comprehensive3DSRStorage, "1.2.3.4", "1.2.3", str(header().StudyInstanceUID))
    replaces = evidence_samples.replacing(earlier, notice=notice_before)
    context = notice_samples.context([header()], number=3, replaces=replaces)
    evidence = encode_notice([header()], {UID: (TOO_THICK,)}, context, {UID: 28})
    assert f"This notice (v3) of covid-severity replaces {what} v1 of 2024-05-01 13:58." in printed(evidence, tmp_path)
    (study,) = parsed(evidence)[0].PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert not {e.sop_instance_uid for e in evidence[:2]} & {e.sop_instance_uid for e in one()}
    assert [d.SeriesNumber for d in parsed(evidence)] == [9207, 9208]
    assert "replaces" not in printed(one(), tmp_path)


def test_every_reason_has_its_advice_once() -> None:
    assert set(ADVICE) == set(Reason)
    twice = [Refusal(Reason.MISSING_SLICES, ""), Refusal(Reason.INCOMPLETE, ""), TOO_THICK]
    assert advice(twice) == ("Send the whole series again.", "Send a reconstruction with thinner slices.")


@pytest.mark.slow
def test_same_input_same_bytes_in_another_process() -> None:
    script = (
        "import sys, hashlib; from helpers.notice_samples import *; from service.evidence.notice import encode_notice;"
        "headers, refusals = several(3, PatientName='Wang^XiaoDong=王^小东');"
        "evidence = encode_notice(headers, refusals, context(headers), {UID + '.1': 3});"
        "print([hashlib.sha256(e.content).hexdigest() for e in evidence])"
    )
    root = Path(__file__).parents[3]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join((str(root), str(root / "tests")))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] and len(outputs[0]) > 200


@pytest.mark.parametrize(
    ("headers", "refusals", "images", "version"),
    [
        ([header()], {UID: LONG}, {UID: 28}, "0.1.0"),
        ([header()], {UID: (Refusal(Reason.TOO_THICK, "8.00 mm; at most 5 mm."),)}, {UID: 28}, "0.1.0"),
        ([header()], {UID: (TOO_THICK,)}, {UID: 29}, "0.1.0"),
        ([header()], {UID: (TOO_THICK,)}, {UID: 28}, "0.2.0"),
        ([header(PatientName="Corrected^Name")], {UID: (TOO_THICK,)}, {UID: 28}, "0.1.0"),
    ],
)
def test_another_input_gives_new_uids(
    headers: list[Dataset], refusals: Mapping[str, Sequence[Refusal]], images: Mapping[str, int], version: str
) -> None:
    context = notice_samples.context(headers, software_version=version)
    other = {e.sop_instance_uid for e in encode_notice(headers, refusals, context, images) if e.sop_instance_uid}
    assert len(other) == 2 and not other & {e.sop_instance_uid for e in one()}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "attributes",
    [
        dict.fromkeys(("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "Modality")),
        dict.fromkeys(
            ("SeriesNumber", "SeriesDescription", "StudyDescription", "AcquisitionTime", "FrameOfReferenceUID")
        ),
        {"PatientBirthDate": "1960.01.01", "StudyDate": "yesterday", "PatientSex": "X", "PatientAge": "old"},
        {"PatientName": ["A^B", "C^D"], "SeriesDescription": ["a", "b"], "AccessionNumber": "x" * 90},
        {"StudyInstanceUID": "7b0a6c3e-98a1-4f3c-a2f4-0d6a51ab77c3"},
    ],
)
def test_damaged_headers_do_not_stop_it(tmp_path: Path, attributes: dict[str, Any]) -> None:
    evidence = one(**attributes)
    assert "TOO_THICK" in printed(evidence, tmp_path)
    assert {d.StudyInstanceUID for d in parsed(evidence)} == {header(**attributes).StudyInstanceUID}


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("SeriesNumber", "IS", b"Infinity"),
        ("PatientName", "SQ", b"abcd"),
        ("StudyDate", "US", b"abc"),
        ("PerFrameFunctionalGroupsSequence", "SQ", b"abcdefgh"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_attributes_without_a_value_do_not_stop_it(keyword: str, vr: str, value: bytes) -> None:
    damaged = header()
    damaged._dict[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
    assert len(notice([damaged], {UID: (TOO_THICK,)})) == 3


def test_a_series_whose_headers_cannot_be_parsed_is_listed(tmp_path: Path) -> None:
    lost = Refusal(Reason.UNREADABLE, "The headers cannot be parsed (EOFError).")
    text = printed(notice([header()], {UID: (TOO_THICK,), "1.2.3": (lost,)}), tmp_path)
    assert "Series 1.2.3" in text and "not recorded · number of images not known" in text


def test_without_a_patient_id_it_is_filed_as_the_ct_is(tmp_path: Path) -> None:
    evidence = one(PatientID="")
    assert [d.PatientID for d in parsed(evidence)] == ["", ""]
    assert "Patient ID not recorded" in printed(evidence, tmp_path)


def test_the_patient_is_that_of_one_header() -> None:
    """The one with a Patient ID, whole: a birth date is not added to it from another one."""
    nameless = header(f"{UID}.1", PatientID="", PatientBirthDate="19990101")
    named = header(f"{UID}.2", PatientID="P1", PatientBirthDate="")
    datasets = parsed(notice([nameless, named], {f"{UID}.1": (TOO_THICK,), f"{UID}.2": (TOO_THICK,)}))
    assert {(d.PatientID, d.PatientBirthDate) for d in datasets} == {("P1", "")}


def test_objects_that_are_no_ct_do_not_tell_the_patient() -> None:
    capture = header(f"{UID}.1", SOPClassUID=SecondaryCaptureImageStorage, PatientBirthDate="19990101")
    datasets = parsed(notice([capture, header()], {f"{UID}.1": (SCOUT,), UID: (TOO_THICK,)}))
    assert {d.PatientBirthDate for d in datasets} == {header().PatientBirthDate}
    (study,) = datasets[0].CurrentRequestedProcedureEvidenceSequence
    assert {s.SeriesInstanceUID for s in study.ReferencedSeriesSequence} == {UID, f"{UID}.1"}


def test_no_notice_where_the_images_of_a_series_are_of_several_patients() -> None:
    """The headers at hand are one for each series, so only the reason tells."""
    mixed = Refusal(Reason.MIXED_PATIENTS, "Patient ID has 2 values in 118 images.")
    with pytest.raises(Rejected) as caught:
        notice([header(), header(f"{UID}.1")], {UID: (TOO_THICK,), f"{UID}.1": (mixed,)})
    assert caught.value.refusals == (mixed,)


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ([header(StudyInstanceUID=None)], "No CT image"),
        ([header(SOPClassUID=SecondaryCaptureImageStorage)], "No CT image"),
        ([], "No CT image"),
        ([header(), header(f"{UID}.1", StudyInstanceUID="1.2.3")], "2 different studies"),
        ([header(PatientID="P1"), header(f"{UID}.1", PatientID="P2")], "2 different patients"),
        (
            [header(PatientID="", PatientName="A^B"), header(f"{UID}.1", PatientID="", PatientName="C^D")],
            "2 different patients",
        ),
    ],
)
def test_no_notice_where_it_is_not_certain_whose_it_is(headers: list[Dataset], detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        notice(headers, {UID: (TOO_THICK,), f"{UID}.1": (TOO_THICK,)})
    (refusal,) = caught.value.refusals
    assert refusal.reason is Reason.UNREADABLE and detail in refusal.detail
    assert "P1" not in refusal.detail and "A^B" not in refusal.detail
