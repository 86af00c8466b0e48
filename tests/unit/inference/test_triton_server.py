"""How the trial server is started: on loopback only, of copies, and in words where it is not installed."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.errors import Permanent
from service.inference.triton_server import launch


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What nvidia-pytriton installs, for this Python."""
    server = tmp_path / "site" / "pytriton" / "tritonserver"
    stubs = server / "python_backend_stubs" / ".".join(map(str, launch.sys.version_info[:2]))
    for file in ("backends/python/libtriton_python.so", "backends/python/triton_python_backend_utils.py"):
        (server / file).parent.mkdir(parents=True, exist_ok=True)
        (server / file).touch()
    stubs.mkdir(parents=True)
    (stubs / "triton_python_backend_stub").touch()
    found = SimpleNamespace(origin=str(server.parent / "__init__.py"))
    monkeypatch.setattr(
        launch, "find_spec", lambda name: found if name == "pytriton" else importlib.util.find_spec(name)
    )
    return server


def test_it_listens_on_loopback_only(package: Path, tmp_path: Path) -> None:
    command, environment = launch.command(tmp_path, tmp_path / "work", launch.Ports(1, 2, 3), ["--log-verbose=1"])
    assert command[0] == str(package / "bin" / "tritonserver")
    assert {word for word in command if "address" in word} == {
        "--grpc-address=127.0.0.1",
        "--http-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
    }
    assert {"--grpc-port=1", "--http-port=2", "--metrics-port=3"} <= set(command)
    assert command[-1] == "--log-verbose=1"
    assert environment["PATH"].startswith(str(Path(launch.sys.prefix) / "bin"))


def test_its_backend_bears_the_name_of_nvidias_and_is_laid_out_anew(package: Path, tmp_path: Path) -> None:
    backends = tmp_path / "work" / "backends-8001"
    for _ in range(2):
        launch.command(tmp_path, tmp_path / "work", launch.Ports())
        (backends / "onnxruntime" / "old.py").touch()
    launch.command(tmp_path, tmp_path / "work", launch.Ports())
    (ours,) = (backends / "onnxruntime").iterdir()
    assert "class TritonPythonModel" in ours.read_text()
    assert len([path for path in (backends / "python").iterdir() if not path.is_symlink()]) == 3


def test_two_servers_on_one_folder_leave_each_other_their_backends(package: Path, tmp_path: Path) -> None:
    for ports in (launch.Ports(1, 2, 3), launch.Ports(4, 5, 6)):
        launch.command(tmp_path, tmp_path / "work", ports)
        (tmp_path / "work" / f"backends-{ports.grpc}" / "in use").touch()
    assert len(list((tmp_path / "work").glob("*/in use"))) == 2


def test_a_python_that_it_does_not_know_is_named(package: Path, tmp_path: Path) -> None:
    launch.shutil.rmtree(package / "python_backend_stubs")
    with pytest.raises(Permanent, match=r"nvidia-pytriton==[\d.]+ knows no Python 3"):
        launch.command(tmp_path, tmp_path / "work", launch.Ports())


def test_without_the_package_the_command_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    monkeypatch.setenv("THORACLE_DATA_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["triton"])
    assert result.exit_code == 1
    assert "pip install --no-deps nvidia-pytriton==0.7.0" in " ".join(result.output.split())


def test_the_version_is_the_one_that_is_pinned() -> None:
    lock = (Path(__file__).resolve().parents[3] / "requirements" / "triton.txt").read_text().splitlines()
    assert f"{launch.PACKAGE} \\" in lock
