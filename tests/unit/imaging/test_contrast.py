"""Whether contrast agent is in the blood: as scanners write it, coded, and malformed."""

from typing import Any

import pytest
from helpers import enhanced_ct, make_ct
from pydicom import Dataset
from pydicom.sequence import Sequence

from service.domain.eligibility import Eligibility
from service.imaging.choose import series_option
from service.imaging.contrast import contrast_given


def header(**attributes: Any) -> Dataset:
    return make_ct.make(slices=1, rows=8, columns=8, lungs=False, attributes=attributes).datasets[0]


def code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


@pytest.mark.parametrize(
    "agent",
    ["NONE", "no", "N", "0", "-", "", " ", "NO CONTRAST", "Non-contrast", "w/o contrast", "WITHOUT CONTRAST AGENT"],
)
def test_words_for_none_are_no_agent(agent: str) -> None:
    assert contrast_given(header(ContrastBolusAgent=agent)) == ()
    assert not series_option([header(ContrastBolusAgent=agent)], Eligibility()).contrast


@pytest.mark.parametrize(
    ("attributes", "given"),
    [
        ({"ContrastBolusAgent": "Iomeron 400"}, "Iomeron 400"),
        ({"ContrastBolusAgent": "NIOPAM 300"}, "NIOPAM 300"),
        ({"ContrastBolusAgent": "CONTRAST"}, "CONTRAST"),
        ({"ContrastBolusAgent": "", "ContrastBolusRoute": "IV", "ContrastBolusVolume": "80"}, "80 mL"),
        ({"ContrastBolusAgent": "", "ContrastBolusRoute": "I.V."}, "I.V."),
        ({"ContrastBolusTotalDose": "70.5"}, "70.5 mL"),
        ({"ContrastBolusAgent": "NONE", "ContrastBolusVolume": "80"}, "80 mL"),
        ({"ContrastBolusAgent": "ORAL & IV"}, "ORAL & IV"),
        ({"ContrastBolusAgent": "Gastrografin", "ContrastBolusRoute": "ORAL/IV"}, "Gastrografin"),
    ],
)
def test_an_agent_an_amount_or_a_route_tells_it(attributes: dict[str, str], given: str) -> None:
    assert contrast_given(header(**attributes)) == (given,)
    assert series_option([header(**attributes)], Eligibility()).contrast


@pytest.mark.parametrize(
    "attributes",
    [
        {"ContrastBolusAgent": "Gastrografin", "ContrastBolusRoute": "ORAL", "ContrastBolusVolume": "500"},
        {"ContrastBolusAgent": "Oral contrast"},
        {"ContrastBolusAgent": "NONE", "ContrastBolusRoute": "IV"},
        {"ContrastBolusVolume": "0"},
    ],
)
def test_what_was_swallowed_or_not_given_changes_no_lung(attributes: dict[str, str]) -> None:
    assert contrast_given(header(**attributes)) == ()


def enhanced(administered: str | None, route: str = "Intravenous route") -> Dataset:
    found = enhanced_ct.enhance([header()])
    agent, usage = code("109219003", "Iohexol"), Dataset()
    agent.ContrastBolusAgentNumber = usage.ContrastBolusAgentNumber = 1
    agent.ContrastBolusAdministrationRouteSequence = Sequence([code("1", route)])
    found.ContrastBolusAgentSequence = Sequence([agent])
    if administered:
        usage.ContrastBolusAgentAdministered = administered
        found.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence = Sequence([usage])
    return found


def test_a_coded_agent_is_told_by_its_meaning_unless_it_was_not_administered() -> None:
    assert contrast_given(enhanced("YES")) == contrast_given(enhanced(None)) == ("Iohexol",)
    assert contrast_given(enhanced("NO")) == contrast_given(enhanced("YES", "Oral route")) == ()


def test_one_of_two_coded_agents_may_not_have_been_administered() -> None:
    found = enhanced("NO")
    second, usage = code("2", "Iodixanol"), Dataset()
    second.ContrastBolusAgentNumber = usage.ContrastBolusAgentNumber = 2
    usage.ContrastBolusAgentAdministered = "YES"
    found.ContrastBolusAgentSequence.append(second)
    found.SharedFunctionalGroupsSequence[0].ContrastBolusUsageSequence.append(usage)
    assert contrast_given(found) == ("Iodixanol",)


def test_a_coded_agent_without_a_name_is_one() -> None:
    assert contrast_given(header(ContrastBolusAgentSequence=Sequence([Dataset()]))) == ("agent without a name",)
