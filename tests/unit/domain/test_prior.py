"""Whether two CTs are of one patient, and how they were scanned."""

from dataclasses import replace
from datetime import datetime

import pytest

from service.domain.prior import Acquisition, Patient

JANE = Patient("4711", "St. Elsewhere", "Doe^Jane", "19600131", "F", "1.2.3 ISO")
NO_ISSUER = replace(JANE, issuer="", entity="")
SCAN = Acquisition(datetime(2024, 5, 1, 10), "ACME ONE", "B40f", 1.0, False)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"birth_date": "19600201"}, ["birth date"]),
        ({"sex": "M"}, ["sex"]),
        ({"name": "Roe^Jane"}, ["name"]),
        ({"issuer": "General"}, ["Issuer of Patient ID"]),
        ({"entity": "4.5.6 ISO"}, ["Issuer of Patient ID Qualifiers"]),
        ({"patient_id": "4712", "sex": "O"}, ["Patient ID", "sex"]),
    ],
)
def test_what_contradicts_is_named_without_its_value(changes: dict[str, str], what: list[str]) -> None:
    assert list(JANE.contradictions(replace(JANE, **changes))) == what


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "DOE^JANE^^Dr."},
        {"name": "Doe^Jane=X"},
        {"name": ""},
        {"birth_date": "1960.01.31"},
        {"birth_date": ""},
        {"sex": ""},
        {"issuer": "ST. ELSEWHERE"},
    ],
)
def test_what_is_spelled_otherwise_or_missing_contradicts_nothing(changes: dict[str, str]) -> None:
    other = replace(JANE, **changes)
    assert not list(JANE.contradictions(other)) and JANE.is_proven(other)


def test_accents_and_case_of_names_do_not_matter() -> None:
    assert not list(replace(JANE, name="MÜLLER^Zoë").contradictions(replace(JANE, name="Muller^Zoe")))


def test_without_an_issuer_a_birth_date_has_to_prove_the_patient() -> None:
    assert NO_ISSUER.is_proven(NO_ISSUER)
    assert not NO_ISSUER.is_proven(replace(NO_ISSUER, birth_date=""))
    assert not replace(NO_ISSUER, birth_date="").is_proven(replace(NO_ISSUER, birth_date=""))
    assert replace(JANE, birth_date="").is_proven(replace(JANE, birth_date=""))


def test_an_issuer_on_one_side_alone_proves_nothing() -> None:
    assert not JANE.is_proven(NO_ISSUER) and not NO_ISSUER.is_proven(JANE)


@pytest.mark.parametrize("date", ["19000101", "1800.01.01", "00010101"])
def test_a_placeholder_of_a_birth_date_proves_nothing(date: str) -> None:
    unknown = replace(NO_ISSUER, birth_date=date)
    assert not unknown.is_proven(unknown)


@pytest.mark.parametrize("patient_id", ["ANON", "Anonymous", "unknown", "0000", "N/A", "-"])
def test_a_placeholder_of_an_id_is_nobody(patient_id: str) -> None:
    nobody = replace(JANE, patient_id=patient_id)
    assert not nobody.is_proven(nobody) and replace(JANE, patient_id="100").is_proven(replace(JANE, patient_id="100"))


def test_a_universal_entity_vouches_as_an_issuer_does() -> None:
    known = replace(NO_ISSUER, entity="1.2.3 ISO", birth_date="")
    assert known.is_proven(known) and not known.is_proven(replace(known, entity=""))


def test_without_an_id_nobody_is_known() -> None:
    assert not replace(JANE, patient_id="").is_proven(replace(JANE, patient_id=""))


def test_the_same_scan_has_no_differences() -> None:
    assert list(SCAN.differences(replace(SCAN, acquired_at=datetime(2025, 1, 1)))) == []


def test_differences_of_scans_in_words() -> None:
    other = Acquisition(datetime(2025, 5, 1), "ACME TWO", "", 3.0, True)
    assert list(SCAN.differences(other)) == [
        "Scanner: ACME ONE then, ACME TWO now.",
        "Kernel: B40f then, not recorded now.",
        "Slice thickness: 1 mm then, 3 mm now.",
        "Contrast agent: none then, given now.",
    ]
