"""Malformed associations, many at once, to a real receiver that must go on."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from helpers.dicom_peers import wait_until

from tests.fuzz.recording import recorded
from tests.fuzz.spoil_pdus import spoilt
from tests.fuzz.tally import Tally
from tests.fuzz.watched_receiver import AET, WatchedReceiver

_AT_ONCE = 8
_BATCH = 64
_KEPT = 20
"""Files that stay open: five connections to the database, which are used again, have three each."""

_GONE_WITHIN_S = 60.0
"""Time in which threads and files of ended associations go."""

Case = tuple[str, bytes]


def associations(folder: Path, count: int, tally: Tally, tell: Callable[[str], None]) -> None:
    """Fill the tally with so many associations. folder: empty."""
    began = time.monotonic()
    with WatchedReceiver(folder) as receiver, ThreadPoolExecutor(_AT_ONCE) as pool:
        every = recorded(receiver.port, AET, folder / "recorded")
        held = receiver.held
        for first in range(0, count, _BATCH):
            numbers = range(first, min(first + _BATCH, count))
            batch = [spoilt(every, tally.chance(number)) for number in numbers]
            answers = list(pool.map(receiver.say, [content for _, content in batch]))
            _judge(receiver, batch, answers, tally)
            if first % (_BATCH * 5) == 0:
                tell(f"{tally.tried} of {count} associations")
        try:
            wait_until(lambda: receiver.held <= held + _KEPT, _GONE_WITHIN_S)
        except TimeoutError:
            tally.hang("afterwards", f"threads and files {receiver.held}, before {held}", {})
        tally.peak("receiver", receiver.peak())
    tally.seconds += time.monotonic() - began


def _judge(receiver: WatchedReceiver, batch: Sequence[Case], answers: Sequence[str | None], tally: Tally) -> None:
    """Count the batch; where something is wrong with the receiver, say each case of it alone to find which it was."""
    died, deaf = not receiver.alive, receiver.alive and not receiver.answers()
    lines = receiver.unnamed()
    if died or deaf or lines:
        tally.peak("receiver", receiver.peak())
        found = tally.findings
        answers = [_alone(receiver, case, tally) for case in batch]
        if tally.findings == found:  # none of them does it alone
            count = tally.crash if died else tally.hang if deaf else tally.without_name
            said = {f"said-{k:02d}.bin": content for k, (_, content) in enumerate(batch)}
            count("several at once", "\n".join(lines) or "the receiver ended, or did not answer", said)
    for (words, content), answer in zip(batch, answers, strict=True):
        if answer is None:
            tally.hang(words, "it does not hang up", {"said.bin": content})
        elif answer:
            tally.ended(answer)


def _alone(receiver: WatchedReceiver, case: Case, tally: Tally) -> str | None:
    """The answer; "" where the case was counted already."""
    words, content = case
    if not receiver.alive:
        receiver.start()
    answer = receiver.say(content)
    if not receiver.alive:
        tally.crash(words, "the receiver has ended", {"said.bin": content})
    elif not receiver.answers():
        tally.hang(words, "the receiver answers no echo", {"said.bin": content})
    elif lines := receiver.unnamed():
        tally.without_name(words, "\n".join(lines), {"said.bin": content})
    else:
        return answer
    return ""
