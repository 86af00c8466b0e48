"""What `/readyz` says about the disk and the queue."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from service.domain.pressure import Cause, Marks, TurnedAway
from service.ops.disk import why_not_writable
from service.ops.probes import WARNING

_REFUSED = {TurnedAway.NEW_STUDIES: "new studies are refused", TurnedAway.EVERYTHING: "C-STORE is refused"}


def disk(free_bytes: float, marks: Marks, turned_away: Mapping[str, int], folders: Sequence[Path]) -> str:
    """ "ok", or what is wrong. turned_away: as the receiver says. folders: that must be writable, if they are there."""
    if (wrong := writable(folders)) != "ok":
        return wrong
    if what := TurnedAway(turned_away.get(Cause.DISK, 0)):
        return f"the disk is nearly full ({free_bytes / 1e9:.1f} GB free): {_REFUSED[what]}"
    if free_bytes < marks.resume_free_bytes:
        at_gb = marks.min_free_bytes / 1e9
        return f"{WARNING}{free_bytes / 1e9:.1f} GB are free, below {at_gb:g} GB new studies are refused"
    return "ok"


def writable(folders: Sequence[Path]) -> str:
    """ "ok", or what the system says against writing to one of the folders that are there."""
    for folder in folders:
        if folder.exists() and (wrong := why_not_writable(folder)):
            return f"{folder} cannot be written: {wrong}"
    return "ok"


def queue(turned_away: Mapping[str, int]) -> str:
    """ "ok", or what is wrong."""
    what = TurnedAway(turned_away.get(Cause.QUEUE, 0))
    return f"too many jobs wait for their analysis: {_REFUSED[what]}" if what else "ok"
