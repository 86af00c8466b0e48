"""The statement is that of the configuration, and the command prints it."""

from pathlib import Path

import pytest
from helpers.conformance import configured
from typer.testing import CliRunner

from service import __version__
from service.cli import app
from service.conformance.configuration import configuration
from service.conformance.rows import Section, Table, table
from service.conformance.security import security
from service.conformance.sender import sender
from service.conformance.statement import sections, statement
from service.settings import Settings, load
from service.tls import CIPHERS

pytestmark = pytest.mark.slow


def cells(parts: object, name: str) -> dict[str, tuple[str, ...]]:
    """The rows of a table, by key."""
    assert isinstance(parts, list | tuple)
    [found] = [one for one in parts if isinstance(one, Table) and one.name == name]
    return {row.key: row.cells for row in found.rows}


@pytest.mark.conformance("receiver/*", "callers/*")
def test_it_tells_who_listens_and_who_may_call(tmp_path: Path) -> None:
    parts = configuration(configured(tmp_path)).parts
    assert {key: row[-1] for key, row in cells(parts, "receiver").items()} == {
        "ae_title": "AI",
        "host": "0.0.0.0",
        "port": "11113",
        "tls": "on; callers must show a certificate",
        "max_object_gb": "3 GB",
        "quiet_s": "70 s without a CT image",
        "min_free_gb": "4 GB",
        "max_waiting": "5",
    }
    assert cells(parts, "callers") == {
        "PACS": ("`PACS`", "anywhere", "any", "report"),
        "CT1": ("`CT1`", "10.1.2.3/32", "any", "store"),
        "MR*": ("`MR*`", "10.1.4.0/24", "any", "report, store"),
    }


@pytest.mark.conformance("destinations/*", "offered pacs/*", "offered web/*")
def test_it_tells_what_each_destination_is_offered(tmp_path: Path) -> None:
    parts = sender(configured(tmp_path).destinations)
    assert cells(parts, "destinations") == {
        "pacs": ("pacs", "PACS@pacs.hospital:2762", "AI", "on", "seg, sr, pdf, notice", "labelmap", "commitment"),
        "web": ("web", "https://archive.hospital/dicom-web", "-", "on", "sr, heat-maps", "binary", "query"),
    }
    offered = {
        name: [row[1].split(" (")[0] for row in cells(parts, f"offered {name}").values()] for name in ("pacs", "web")
    }
    assert offered == {
        "pacs": [
            "Label Map Segmentation Storage",
            "Segmentation Storage",
            "Comprehensive 3D SR Storage",
            "Comprehensive SR Storage",
            "Enhanced SR Storage",
            "Encapsulated PDF Storage",
            "Basic Text SR Storage",
        ],
        "web": [
            "Comprehensive 3D SR Storage",
            "Comprehensive SR Storage",
            "Enhanced SR Storage",
            "Parametric Map Storage",
        ],
    }
    syntaxes = {row[-1] for row in cells(parts, "offered web").values()}
    assert syntaxes == {"Explicit VR Little Endian", "RLE Lossless, Explicit VR Little Endian"}, (
        "no Implicit VR by STOW-RS"
    )


@pytest.mark.parametrize(
    ("tls", "way"), [("{}", "over TLS (RFC 5425)"), ("null", "over TCP without TLS, on this machine")]
)
def test_it_tells_how_audit_messages_go(tmp_path: Path, tls: str, way: str) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(f"audit: {{collector: {{host: 127.0.0.1, tls: {tls}}}}}", encoding="utf-8")
    text = security(load(config), here=False).markdown
    assert f"they go to 127.0.0.1:6514 by syslog {way}" in text


def test_only_the_command_tells_the_cipher_suites_of_the_machine() -> None:
    ours, page = security(Settings(), here=True), security(Settings(), here=False)
    assert {one.name for one in ours.tables} - {one.name for one in page.tables} == {"tls-versions", "tls-ciphers"}
    assert CIPHERS in page.markdown


def test_the_sections_are_in_the_order_of_the_standard() -> None:
    numbers = [int(one.title.split(".")[0]) for one in sections(Settings())]
    assert numbers == list(range(1, 12))


def test_the_command_prints_and_writes_it(tmp_path: Path) -> None:
    configured(tmp_path)
    config, file = tmp_path / "thoracle.yaml", tmp_path / "statement.md"
    printed = CliRunner().invoke(app, ["conformance", "--config", str(config)])
    assert printed.exit_code == 0, printed.output
    assert f"Thoracle {__version__}. Research use only." in printed.output
    written = CliRunner().invoke(app, ["conformance", "--config", str(config), "--out", str(file)])
    assert written.exit_code == 0, written.output
    assert file.read_text(encoding="utf-8") == statement(configured(tmp_path)) == printed.stdout
    assert "hospital" in printed.output and "password" not in printed.output


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["conformance", "--out", str(tmp_path / "absent" / "file.md")])
    assert done.exit_code == 1 and "absent" in done.output


def test_a_table_is_of_one_width_and_its_keys_are_unique() -> None:
    with pytest.raises(ValueError, match="other cells"):
        table("t", ("A", "B"), [("key", "1")])
    with pytest.raises(ValueError, match="one key"):
        table("t", ("A",), [("key", "1"), ("key", "2")])
    made = table("t", ("A",), [("key", "a|b")])
    assert made.ids == ("t/key",)
    assert Section("S", ["text", made]).markdown == "## S\n\ntext\n\n| A |\n| --- |\n| a\\|b |"
