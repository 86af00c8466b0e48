"""What becomes of an answer on a machine so busy that pynetdicom's threads overtake each other."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.receiving import Receiving
from pynetdicom.presentation import build_context

from service.network.dimse import VERIFICATION
from service.network.peer import associate


class NeverPauses(threading.Event):
    """In place of the event at which pynetdicom's own thread is to wait while we do: it always comes too late."""

    def wait(self, timeout: float | None = None) -> bool:
        time.sleep(0.002)
        return True


def test_an_answer_reaches_whoever_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiving(tmp_path) as receiver:
        association = associate(receiver.node, [build_context(VERIFICATION)])
        association.dimse_timeout = 5
        send = association.dimse.send_msg

        def send_and_come_late(*message: Any) -> None:
            send(*message)
            time.sleep(0.3)

        monkeypatch.setattr(association, "_reactor_checkpoint", NeverPauses())
        monkeypatch.setattr(association.dimse, "send_msg", send_and_come_late)
        try:
            answers = [association.send_c_echo().get("Status") for _ in range(3)]
        finally:
            association.abort()
        assert answers == [0x0000] * 3
