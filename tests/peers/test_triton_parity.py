"""`thoracle parity` against a real Triton server, which warms itself up as the GPU configurations say."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.triton_server import TritonServer
from typer.testing import CliRunner

from service.cli import app
from service.inference import config
from service.settings import default_repository

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """It serves the TensorRT configurations, on the CPU: all of them but the instances is as on a GPU, accelerators
    excepted, which our backend does not have."""
    root = tmp_path_factory.mktemp("triton")
    shutil.copytree(default_repository(), root / "models")
    for folder in (path.parent for path in (root / "models").glob(f"*/{config.CONFIG}")):
        text = (folder / config.FILES["tensorrt"]).read_text()
        assert "kind: KIND_GPU" in text
        (folder / config.CONFIG).write_text(text.replace("kind: KIND_GPU", "kind: KIND_CPU"))
    with TritonServer(root / "data", root / "models", "--log-verbose=1") as running:
        yield running


def test_every_batch_size_is_tried_before_it_is_ready(server: TritonServer) -> None:
    one = dict.fromkeys(("lung-shape", "lobes", "opacity-context", "lung-tumour"), (1,))
    tried = one | {"lung-opacity": (1, 4, 16), "triage-lesion": (1, 2)}
    for model, batches in tried.items():
        for batch in batches:
            assert f"model '{model}' instance {model}_0_0 is running warmup sample 'batch of {batch}'" in server.log()


@pytest.mark.parametrize(
    ("pipeline", "models"),
    [
        ("covid-severity", {"lung-opacity", "lung-shape", "lobes", "opacity-context"}),
        ("covid-burden", {"lung-opacity", "lung-shape", "lobes", "opacity-context"}),
        ("covid-triage", {"lung-opacity", "lung-shape", "lobes", "triage-lesion"}),
        ("lung-density", {"lung-opacity", "lung-shape", "lobes"}),
        ("nsclc-gtv", {"lung-tumour", "lung-opacity", "lung-shape", "lobes"}),
    ],
)
def test_both_back_ends_agree_on_a_phantom(
    server: TritonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: str, models: set[str]
) -> None:
    make_ct.write(make_ct.make(findings=make_ct.FINDINGS).datasets, tmp_path / "ct")
    monkeypatch.setenv("THORACLE_INFERENCE__TRITON__URL", server.address.url)
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path / "data"))
    done = CliRunner().invoke(app, ["parity", str(tmp_path / "ct"), "--json", "--pipeline", pipeline])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["difference"]["worst_dice"] == 1.0
    assert len(set(document["difference"]["headline"].values())) == 1
    assert {(one["model"], one["largest"]) for one in document["answers"]} == {(model, 0.0) for model in models}
