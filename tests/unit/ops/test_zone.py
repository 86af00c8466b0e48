"""A misspelt time zone is refused: it would count as UTC, and night would be day."""

import pytest

from service.errors import Permanent
from service.ops.zone import check_zone


@pytest.mark.parametrize(
    "name",
    ["", "UTC", "Europe/Berlin", ":Europe/Berlin", "CET-1CEST", "<+0330>-3:30", "/usr/share/zoneinfo/Asia/Tokyo"],
)
def test_a_zone_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", name)
    check_zone()


def test_no_zone_is_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    check_zone()


@pytest.mark.parametrize("name", ["Europe/Berln", "Berlin", "Etc/GMT+55", "Europe", "/nowhere"])
def test_what_is_no_zone_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", name)
    with pytest.raises(Permanent, match=f"TZ is '{name}'".replace("+", r"\+")):
        check_zone()
