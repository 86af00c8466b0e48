"""Malformed CT files: through a real receiver, and then gate, reading and encoding in a process of limited memory."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from helpers.hostile_files import HOSTILE

from service.errors import Reason
from service.network.answers import StoreAnswer
from tests.fuzz.fed_process import Crash, FedProcess, Hang
from tests.fuzz.raw_sender import RawSender
from tests.fuzz.spoil_ct import Spoilt, spoilt
from tests.fuzz.tally import Tally
from tests.fuzz.watched_receiver import WatchedReceiver

Tell = Callable[[str], None]

_NONE = -1
"""No answer: the association was aborted, or it took too long."""


def ct_files(folder: Path, count: int, tally: Tally, tell: Tell) -> None:
    """Fill the tally with so many series, each with spoilt files. folder: empty."""
    began = time.monotonic()
    with WatchedReceiver(folder) as receiver, FedProcess() as fed:
        sender = RawSender(receiver)
        for number in range(count):
            case = spoilt(tally.chance(number))
            if _is_received(case, receiver, sender, tally):
                _feed(case, fed, tally)
            if (number + 1) % 50 == 0:
                tell(f"{number + 1} of {count} series of CT files")
        sender.close()
        tally.peak("receiver", receiver.peak())
    tally.seconds += time.monotonic() - began


def bombs(tally: Tally, tell: Tell) -> None:
    """Fill the tally with the files that ask for far more than they have."""
    began = time.monotonic()
    with FedProcess() as fed:
        for name in HOSTILE:
            _ask(fed, tally, name, {}, hostile=name)
    tell(f"{tally.tried} files that ask for far more than they have")
    tally.seconds += time.monotonic() - began


def _is_received(case: Spoilt, receiver: WatchedReceiver, sender: RawSender, tally: Tally) -> bool:
    """Whether the receiver took or refused the spoilt files by a status; False where this is a finding already."""
    number = case.spoilt[0]
    files = {"sent.dcm": case.files[number]}
    status = sender.send(case.files[number])
    lines = receiver.unnamed()
    if not receiver.alive:
        tally.crash(case.words, "the receiver has ended", files)
        receiver.start()
    elif status == _NONE and not receiver.answers():
        tally.hang(case.words, "the receiver does not answer", files)
    elif lines or status not in (StoreAnswer.SUCCESS, StoreAnswer.DOES_NOT_MATCH, None):
        tally.without_name(case.words, "\n".join([f"status {status}", *lines]), files)
    else:
        tally.statuses["not sent" if status is None else f"0x{status:04X}"] += 1
        return True
    return False


def _feed(case: Spoilt, fed: FedProcess, tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as folder:
        named = {f"{k:04d}.dcm": content for k, content in enumerate(case.files)}
        for name, content in named.items():
            Path(folder, name).write_bytes(content)
        _ask(fed, tally, case.words, named, folder=folder)


def _ask(fed: FedProcess, tally: Tally, words: str, files: dict[str, bytes], **asked: str) -> None:
    try:
        outcome = fed.ask(**asked)
    except Hang as hang:
        tally.hang(words, str(hang), files)
    except Crash as crash:
        tally.crash(words, str(crash), files)
    else:
        tally.peak("gate, reading, encoding", outcome["peak_bytes"])
        reasons = outcome["reasons"]
        nothing = not (reasons or outcome["evidence"] or outcome["left_out"])
        if Reason.FAILED in reasons or outcome["unclean"] or nothing:
            tally.without_name(words, str(outcome), files)
        else:
            tally.ended("analysed" if outcome["evidence"] else reasons[0] if reasons else "all left out")
