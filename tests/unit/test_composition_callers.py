"""Who may call: what is written down, and those who report to us that no entry fits."""

from pathlib import Path

from service.composition.callers import callers
from service.network.callers import ANYWHERE, EVERYTHING
from service.network.rights import Right
from service.settings import Settings, load


def configured(folder: Path, callers: str) -> Settings:
    config = folder / "thoracle.yaml"
    config.write_text(f"""
receiver: {{callers: {callers}}}
destinations:
  pacs: {{ae_title: PACS, host: pacs}}
  quiet: {{ae_title: QUIET, host: quiet, confirm: none}}
""")
    return load(config)


def test_a_destination_that_no_entry_fits_may_report_from_anywhere(tmp_path: Path) -> None:
    known = callers(configured(tmp_path, "{CT1: {addresses: [10.1.2.3], may: [store]}}"))
    assert known is not None and known.keys() == {"CT1", "PACS"}
    assert (known["PACS"].networks, known["PACS"].may) == (ANYWHERE, {Right.REPORT})
    assert known["CT1"].may == {Right.STORE}


def test_a_destination_that_a_pattern_fits_is_one_of_its_callers(tmp_path: Path) -> None:
    """It may be the sender of the CTs as well: the archive that forwards them."""
    known = callers(configured(tmp_path, '{"*": {addresses: [10.0.0.0/8]}}'))
    assert known is not None and known.keys() == {"*"}
    assert known["*"].may == EVERYTHING


def test_without_callers_nobody_is_asked(tmp_path: Path) -> None:
    assert callers(configured(tmp_path, "{}")) is None
