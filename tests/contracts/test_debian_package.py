"""The Debian package's files: scripts touch no patients' data, and its configuration is one that the service reads."""

import os
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
def test_no_script_removes_anything_but_its_own_mark(name: str) -> None:
    text = re.sub(r"#.*", "", (FOLDER / name).read_text())
    assert set(re.findall(r"mark=(\S+)", text)) == {"$DPKG_ROOT/run/thoracle.before"}
    assert not re.search(r"\brm\b|deluser|userdel", text.replace('rm -f "$mark"', ""))


class Host:
    """A system's folders, in which systemd runs if asked, and commands that only tell how they were called."""

    def __init__(self, root: Path, systemd: bool) -> None:
        self.root = root
        (root / "etc" / "thoracle").mkdir(parents=True)
        (root / "var" / "lib" / "thoracle").mkdir(parents=True)
        (root / "run" / ("systemd/system" if systemd else "")).mkdir(parents=True)
        (root / "bin").mkdir()
        self.fake("systemd-sysusers", "exit 0")
        self.fake("install", "exit 0")
        self.fake("chown", 'test -e "$2"')
        self.service("inactive", enabled=False)

    def fake(self, command: str, does: str) -> None:
        path = self.root / "bin" / command
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)

    def service(self, state: str, *, enabled: bool, stops: bool = True) -> None:
        """What systemd knows of the service when it is asked next."""
        answers = f"*show*) echo {state} ;; *is-enabled*) exit {int(not enabled)} ;; *stop*) exit {int(not stops)} ;;"
        self.fake("systemctl", f'echo "$*" >>{self.root}/asked\ncase "$*" in {answers} esac')

    def run(self, script: str, *arguments: str, code: int = 0) -> list[str]:
        """What it asked of systemd to change."""
        asked = self.root / "asked"
        asked.unlink(missing_ok=True)
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "DPKG_ROOT": str(self.root)}
        done = subprocess.run(["sh", str(FOLDER / script), *arguments], env=environment, check=False)
        assert done.returncode == code
        lines = asked.read_text().splitlines() if asked.exists() else []
        changes = [re.sub(r"--quiet |\.service$", "", line) for line in lines if not re.search("show|is-enabled", line)]
        return [line for line in changes if line != "daemon-reload"]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, systemd=True)


@pytest.mark.parametrize(
    ("script", "arguments"),
    [("prerm", ["upgrade"]), ("prerm", ["remove"]), ("postrm", ["purge"]), ("postinst", ["abort-upgrade"])],
)
def test_scripts_pass_where_systemd_does_not_run(tmp_path: Path, script: str, arguments: list[str]) -> None:
    assert Host(tmp_path, systemd=False).run(script, *arguments) == []


@pytest.mark.parametrize("back", [["configure", "0.2.0"], ["abort-upgrade", "0.3.0"], ["abort-deconfigure"]])
@pytest.mark.parametrize(
    ("state", "runs"), [("active", True), ("activating", True), ("inactive", False), ("failed", False)]
)
@pytest.mark.parametrize("enabled", [True, False])
def test_an_upgrade_starts_again_exactly_what_ran(
    host: Host, state: str, runs: bool, enabled: bool, back: list[str]
) -> None:
    host.service(state, enabled=enabled)
    assert host.run("prerm", "upgrade", "0.3.0") == ["stop thoracle"]
    host.service("inactive", enabled=enabled)
    assert host.run("postrm", "upgrade", "0.3.0") == []
    assert host.run("postinst", *back) == (["start thoracle"] if runs else [])
    assert host.run("postinst", *back) == [], "started once more without having been stopped"


def test_a_service_that_does_not_stop_goes_on_when_the_upgrade_is_given_up(host: Host) -> None:
    host.service("active", enabled=True, stops=False)
    host.run("prerm", "upgrade", "0.3.0", code=1)
    assert host.run("postinst", "abort-upgrade", "0.3.0") == ["start thoracle"]


def test_a_removal_that_is_given_up_changes_nothing(host: Host) -> None:
    host.service("active", enabled=True)
    assert host.run("prerm", "remove", "in-favour", "other", "1") == ["stop thoracle", "disable thoracle"]
    assert host.run("postinst", "abort-remove", "in-favour", "other", "1") == ["enable thoracle", "start thoracle"]


def test_installed_again_after_a_removal_it_is_not_started(host: Host) -> None:
    host.service("active", enabled=True)
    host.run("prerm", "remove")
    host.run("postrm", "remove")
    assert host.run("postinst", "configure", "0.2.0") == []
    assert sorted(path.name for path in (host.root / "run").iterdir()) == ["systemd"]


def test_a_configuration_that_the_administrator_deleted_is_no_error(host: Host) -> None:
    assert host.run("postinst", "configure", "0.2.0") == []
    configuration = host.root / "etc" / "thoracle" / "thoracle.yaml"
    assert not configuration.exists()
    configuration.touch(0o644)
    host.run("postinst", "configure", "0.2.0")
    assert configuration.stat().st_mode & 0o777 == 0o640


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
