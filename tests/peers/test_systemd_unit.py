"""The unit is one that systemd takes, and its sandbox is tight, as systemd itself rates it."""

import subprocess
from pathlib import Path

import pytest
from helpers.programs import program

pytestmark = pytest.mark.peers

SYSTEMD = Path(__file__).parents[2] / "systemd"
MOST_EXPOSED = 20
"""Of 100, more is worse; 30 is what was asked for."""


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program("systemd-analyze"), *map(str, arguments)], capture_output=True, text=True)


def test_its_sandbox_is_tight() -> None:
    rated = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", SYSTEMD / "thoracle.service")
    assert rated.returncode == 0, rated.stdout[-500:] + rated.stderr
    open_one = analyze("security", "--offline=true", "--threshold=5", SYSTEMD / "thoracle.service")
    assert open_one.returncode != 0, "the rating can fail"


def test_every_line_of_it_is_understood(tmp_path: Path) -> None:
    unit = tmp_path / "thoracle.service"
    text = (SYSTEMD / "thoracle.service").read_text()
    unit.write_text(text.replace("/opt/thoracle/bin/thoracle", "/bin/true"))
    assert (analyze("verify", unit).stderr.strip(), analyze("verify", unit).returncode) == ("", 0)
    unit.write_text(unit.read_text().replace("ProtectHome", "ProtectHose"))
    assert "ProtectHose" in analyze("verify", unit).stderr
