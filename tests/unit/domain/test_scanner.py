"""The label of metrics that names a kind of scanner."""

import pytest

from service.domain.scanner import scanner


@pytest.mark.parametrize(
    ("manufacturer", "model", "label"),
    [
        ("SIEMENS", "SOMATOM Definition AS+", "SIEMENS SOMATOM DEFINITION AS+"),
        (" Siemens ", "somatom  definition_AS+", "SIEMENS SOMATOM DEFINITION AS+"),
        ("GE MEDICAL SYSTEMS", "", "GE MEDICAL SYSTEMS"),
        ("", "", "unknown"),
        ("東芝", '"\n{}\\', "unknown"),
        ("A" * 100, "B", "A" * 40),
    ],
)
def test_manufacturer_and_model_and_nothing_that_breaks_a_label(manufacturer: str, model: str, label: str) -> None:
    assert scanner(manufacturer, model) == label
