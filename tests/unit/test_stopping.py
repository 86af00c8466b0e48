"""SIGTERM that comes as soon as a process can be seen from outside stops it as cleanly as any later one."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.dicom_peers import free_port

from service.network.receive import Receiver
from service.ops.monitor import Listener
from service.roles import api, receiver
from service.settings import load


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As they were before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("role", "listening"), [(api, (Listener, "__enter__")), (receiver, (Receiver, "start"))])
def test_at_once(role: object, listening: tuple[type, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "thoracle.yaml"
    ports = f"receiver: {{port: {free_port()}}}\napi: {{port: {free_port()}}}"
    config.write_text(f"data_dir: {tmp_path / 'data'}\n{ports}")
    begin = getattr(*listening)

    def stopped_at_once(self: object) -> object:
        begun = begin(self)
        signal.raise_signal(signal.SIGTERM)
        return begun

    monkeypatch.setattr(*listening, stopped_at_once)
    role.run(load(config), "alone")  # type: ignore[attr-defined]
