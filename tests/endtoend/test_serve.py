"""`thoracle serve` as processes: mistakes are told at once, and each role can run alone."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import RunningService


def command(folder: Path, **settings: Any) -> list[str]:
    config = folder / "thoracle.yaml"
    config.write_text(json.dumps({"data_dir": str(folder / "data")} | settings))
    return [sys.executable, "-m", "service", "serve", "--config", str(config)]


def fails(command: list[str]) -> str:
    """What it says when it ends by itself with code 1."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert ended.returncode == 1
    return ended.stderr


def test_an_unknown_pipeline_ends_it_at_once(tmp_path: Path) -> None:
    assert "there is no pipeline 'nonsense'; there are: covid-severity" in fails(
        command(tmp_path, pipelines=["nonsense"])
    )


def test_a_misspelt_time_zone_ends_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berln")
    assert "TZ is 'Europe/Berln', which is no time zone on this machine" in fails(command(tmp_path))


def test_missing_models_end_it_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "models"
    empty.mkdir()
    assert "SHA256SUMS" in fails(command(tmp_path, inference={"repository": str(empty)}))


def test_a_second_one_on_the_same_data_is_told_so_and_harms_nothing(tmp_path: Path) -> None:
    with RunningService(tmp_path, None) as service:
        again = [sys.executable, "-m", "service", "serve", "--config", str(service.config)]
        assert "already running on the data directory" in fails(again)
        assert service.get("/readyz")
    assert "already running" not in service.log()


def test_the_api_alone_answers_metrics(tmp_path: Path) -> None:
    port = free_port()
    api = subprocess.Popen([*command(tmp_path, api={"port": port}), "--role", "api"], env=os.environ)

    def metrics() -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"/metrics answers {error.code}") from error
        except (urllib.error.URLError, ConnectionError):
            return None  # not up yet

    try:
        assert "thoracle_spool_free_bytes" in wait_until(metrics, 60)
    finally:
        api.terminate()
        assert api.wait(30) == 0
