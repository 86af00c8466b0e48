from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import load


def test_file_and_environment_are_merged_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("receiver: {ae_title: AI, port: 104}\nlimits: {min_slices: 40}\n")
    monkeypatch.setenv("THORACLE_RECEIVER__PORT", "10104")
    settings = load(config)
    assert (settings.receiver.ae_title, settings.receiver.port) == ("AI", 10104)
    assert settings.limits.min_slices == 40
    assert settings.limits.min_extent_mm == 200


@pytest.mark.parametrize(
    "text",
    [
        "recever: {port: 104}",
        "receiver: {prot: 104}",
        "receiver: {port: 0}",
        "receiver: {ae_title: ABCDEFGHIJKLMNOPQ}",
        "limits: {min_slises: 3}",
        "destinations: {a: {ae_title: A, host: h}, b: {ae_title: B, host: h}}",
        "destinations: {a: {ae_title: A, host: h, retry_delays_s: []}}",
    ],
)
def test_a_mistake_is_an_error_never_a_silent_default(tmp_path: Path, text: str) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(text)
    with pytest.raises(ValidationError):
        load(config)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load(None).receiver.port = 1  # type: ignore[misc]
