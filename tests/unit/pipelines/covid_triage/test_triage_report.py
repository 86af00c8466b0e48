"""How the report puts a row of its table into words."""

from service.domain.report import TableRow
from service.pipelines.covid_triage.report import in_words


def test_a_lobe_that_was_not_found_is_called_so() -> None:
    assert in_words(TableRow("Right middle lobe", ("0", "0", "-"))) == "Right middle lobe: not found."
    found = TableRow("Right middle lobe", ("400", "100", "25"), 0.25)
    assert in_words(found) == "Right middle lobe: 400 mL, of it lesions 100 mL (25 %)."
