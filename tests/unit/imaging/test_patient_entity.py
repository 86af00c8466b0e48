"""The issuer's universal entity of a header, as `patient_of` reads it."""

import pytest
from pydicom import Dataset

from service.imaging.patient_identity import patient_of


def header(entity: str, kind: str) -> Dataset:
    qualifiers = Dataset()
    qualifiers.UniversalEntityID, qualifiers.UniversalEntityIDType = entity, kind
    found = Dataset()
    found.PatientID, found.IssuerOfPatientID = "4711", "HIS"
    found.IssuerOfPatientIDQualifiersSequence = [qualifiers]
    return found


@pytest.mark.parametrize(
    ("entity", "kind", "read"), [("1.2.3", "ISO", "1.2.3 ISO"), ("1.2.3", "", ""), ("", "ISO", "")]
)
def test_an_entity_is_its_id_and_its_type(entity: str, kind: str, read: str) -> None:
    assert patient_of(header(entity, kind)).entity == read


def test_two_entities_of_one_issuer_contradict() -> None:
    one, other = patient_of(header("1.2.3", "ISO")), patient_of(header("4.5.6", "ISO"))
    assert list(one.contradictions(other)) == ["Issuer of Patient ID Qualifiers"]
    assert patient_of(Dataset()).entity == ""
