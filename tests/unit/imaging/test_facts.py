"""What routing rules look at, from the headers of real CTs and of malformed ones."""

from datetime import UTC, datetime
from typing import Any

import pytest
from helpers import enhanced_ct, make_ct
from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from service.domain.routing import StudyFacts
from service.imaging.facts import series_facts

RECEIVED = datetime(2026, 3, 2, 22, tzinfo=UTC)


def header(**attributes: Any) -> Dataset:
    return make_ct.make(slices=1, rows=8, columns=8, lungs=False, attributes=attributes).datasets[0]


def facts(dataset: Dataset, pipeline: str = "") -> StudyFacts:
    return series_facts(dataset, "CT1", "THORACLE", RECEIVED, pipeline)


def coded(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "L", meaning
    return Sequence([item])


def test_a_plain_ct_tells_what_it_is() -> None:
    found = facts(header(StationName="CTROOM2"), "covid-severity")
    assert found == StudyFacts(
        calling_ae="CT1",
        called_ae="THORACLE",
        station="CTROOM2",
        descriptions=("Phantom chest", "Phantom chest CT"),
        body_part="CHEST",
        received_at=RECEIVED,
        kernels=("B40f",),
        contrast=(),
        procedures=(),
        age_years=pytest.approx(60.0, abs=0.1),
        pipeline="covid-severity",
    )


def test_an_empty_header_tells_the_association_alone() -> None:
    found = facts(Dataset())
    assert (found.kernels, found.contrast, found.procedures, found.age_years) == ((), (), (), None)
    assert (found.calling_ae, found.station, found.descriptions) == ("CT1", "", ("", ""))


def test_procedures_are_codes_meanings_and_the_description() -> None:
    found = facts(
        header(
            ProcedureCodeSequence=coded("CTTHOR", "CT Thorax"),
            RequestedProcedureCodeSequence=coded("4711", "Lung screening"),
            RequestedProcedureDescription="Low dose chest",
        )
    )
    assert found.procedures == ("CTTHOR", "CT Thorax", "4711", "Lung screening", "Low dose chest")


@pytest.mark.parametrize(
    ("attributes", "contrast"),
    [
        ({}, ()),
        ({"ContrastBolusAgent": ""}, ()),
        ({"ContrastBolusAgent": "Iomeron 400"}, ("Iomeron 400",)),
        ({"ContrastBolusAgentSequence": coded("C-B0322", "Iohexol")}, ("Iohexol",)),
    ],
    ids=["none", "empty", "text", "coded"],
)
def test_contrast_is_what_is_recorded(attributes: dict[str, Any], contrast: tuple[str, ...]) -> None:
    assert facts(header(**attributes)).contrast == contrast


def test_a_multi_frame_ct_tells_kernel_and_contrast_from_where_they_stand_there() -> None:
    enhanced = enhanced_ct.enhance(make_ct.make(slices=2, rows=8, columns=8, lungs=False).datasets)
    enhanced.ContrastBolusAgentSequence = coded("C-B0322", "Iohexol")
    found = facts(enhanced)
    assert (found.kernels, found.contrast) == (("B40f",), ("Iohexol",))


@pytest.mark.parametrize(
    "keyword",
    [
        "ProcedureCodeSequence",
        "ContrastBolusAgentSequence",
        "PatientAge",
        "PatientBirthDate",
        "ConvolutionKernel",
        "ContrastBolusAgent",
        "StudyDescription",
    ],
)
@pytest.mark.parametrize("vr", ["its own", "OB", "FD", "SQ"])
def test_a_malformed_attribute_is_one_that_is_not_there(keyword: str, vr: str) -> None:
    """Whatever a sender writes, its study gets its jobs, and no other study waits for that."""
    dataset, tag, junk = header(), Tag(tag_for_keyword(keyword)), b"\xff\xfe\x00\x01\x02"
    vr = dictionary_VR(tag) if vr == "its own" else vr
    dataset[tag] = RawDataElement(tag, vr, len(junk), junk, 0, False, True)
    found = facts(dataset)
    assert (found.body_part, found.procedures) == ("CHEST", ())
    assert found.age_years is None or found.age_years == pytest.approx(60.0, abs=0.1)
