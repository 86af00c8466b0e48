"""`make parity`: the Triton server gets the models that `thoracle parity` asks it for, and is gone afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import tiny_models

from demo.__main__ import stop
from demo.parity import models_for_triton
from service.settings import default_repository


def test_the_server_has_the_models_that_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    assert models_for_triton([]) == default_repository()
    installed = tiny_models.repository(tmp_path / "data/models")
    assert models_for_triton(["demo/ct", "--json"]) == installed
    assert models_for_triton(["--repository", "new"]) == Path("new").resolve()
    assert models_for_triton(["--repository", "new", "--reference", "triton", "--candidate", "onnx"]) == installed
    config = tmp_path / "thoracle.yaml"
    config.write_text(json.dumps({"inference": {"repository": str(tmp_path / "own")}}))
    for words in (["--config", str(config)], [f"--config={config}"], ["-c", str(config)]):
        assert models_for_triton(words) == tmp_path / "own"
    monkeypatch.setenv("THORACLE_CONFIG", str(config))
    assert models_for_triton([]) == tmp_path / "own"


def test_a_server_that_does_not_end_by_itself_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process, within_s=0.5)
    assert process.returncode == -9
