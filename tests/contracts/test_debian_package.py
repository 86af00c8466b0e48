"""The Debian package's files: scripts touch no patients' data, and its configuration is one that the service reads."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from service.settings import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "systemd" / "deb"
SCRIPTS = ("postinst", "prerm", "postrm")


@pytest.mark.parametrize("script", [FOLDER / name for name in SCRIPTS] + [ROOT / "systemd" / "build-deb.sh"])
def test_scripts_are_shell_and_end_at_an_error(script: Path) -> None:
    assert re.search(r"^set -eu?$", script.read_text(), re.MULTILINE)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_removes_anything(name: str) -> None:
    assert not re.search(r"\brm\b|deluser|userdel", re.sub(r"#.*", "", (FOLDER / name).read_text()))


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("prerm", ["upgrade"]), ("prerm", ["remove"]), ("postrm", ["purge"]), ("postinst", ["abort-upgrade"])],
)
def test_scripts_pass_where_systemd_does_not_run(script: str, arguments: list[str]) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs here, and would be asked")
    assert subprocess.run(["sh", str(FOLDER / script), *arguments], check=False).returncode == 0


def test_the_configuration_that_it_brings_sets_nothing_and_its_examples_are_settings(tmp_path: Path) -> None:
    text = (FOLDER / "thoracle.yaml").read_text()
    assert yaml.safe_load(text) is None
    assert load(FOLDER / "thoracle.yaml").destinations == {}
    written = tmp_path / "thoracle.yaml"
    examples = text.partition("\n\n")[2].splitlines()
    written.write_text("".join(f"{line.removeprefix('# ')}\n" for line in examples))
    settings = load(written)
    assert list(settings.receiver.callers) == ["CT1"]
    assert settings.destinations["pacs"].port == 104


def test_the_package_starts_what_the_unit_starts() -> None:
    unit = (ROOT / "systemd" / "thoracle.service").read_text()
    builder = (ROOT / "systemd" / "build-deb.sh").read_text()
    assert "ExecStart=/opt/thoracle/bin/thoracle serve --config /etc/thoracle/thoracle.yaml" in unit
    assert "/etc/thoracle/thoracle.yaml >" in builder, "no conffile: an upgrade would overwrite it"
