"""Rows of the DICOM conformance statement, for the tests that try them.

A test names its rows: `@pytest.mark.conformance("store-answers/A700")`, or "store-answers/*" where it goes through all
rows of a table. `tests/contracts/test_conformance_rows.py` fails for a row that no test names.
"""

from pathlib import Path
from typing import Any

import pytest

from service.conformance.rows import Table
from service.settings import Settings, load

_CONFIGURED = """
receiver:
  ae_title: AI
  host: 0.0.0.0
  port: 11113
  callers:
    CT1: {addresses: [10.1.2.3], may: [store]}
    "MR*": {addresses: [10.1.4.0/24]}
  tls: {certificate: ours.pem, ca: hospital.pem}
  max_object_gb: 3
  quiet_s: 70
  min_free_gb: 4
  max_waiting: 5
destinations:
  pacs: {ae_title: PACS, host: pacs.hospital, port: 2762, calling_ae_title: AI, tls: {}, seg: labelmap, notice: true}
  web: {kind: dicomweb, url: "https://archive.hospital/dicom-web", send: [sr, heat-maps]}
"""


def configured(folder: Path) -> Settings:
    """Settings with callers, TLS and two destinations."""
    config = folder / "thoracle.yaml"
    config.write_text(_CONFIGURED, encoding="utf-8")
    return load(config)


def tried(table: Table) -> Any:
    """Parameters: each row of a table, which the test then tries."""
    return [
        pytest.param(row, marks=pytest.mark.conformance(name), id=row.key)
        for row, name in zip(table.rows, table.ids, strict=True)
    ]
