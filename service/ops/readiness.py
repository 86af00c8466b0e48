"""What `/readyz` says about the disk and the queue."""

import os
from collections.abc import Mapping
from pathlib import Path

from service.domain.pressure import Cause, Marks, Refusing
from service.ops.api import WARNING

_REFUSED = {Refusing.NEW_STUDIES: "new studies are refused", Refusing.EVERYTHING: "C-STORE is refused"}


def not_writable(*folders: Path) -> str | None:
    """The first of these folders that cannot be written (a read-only disk, missing rights), in words; None if all can.

    One that is not there is made when it is needed.
    """
    for folder in folders:
        if folder.exists() and not os.access(folder, os.W_OK):
            return f"{folder} cannot be written"
    return None


def disk(free_bytes: float, marks: Marks, refusing: Mapping[str, int], folders: tuple[Path, ...]) -> str:
    """ "ok", or what is wrong. refusing: as the receiver says."""
    if wrong := not_writable(*folders):
        return f"{wrong}: C-STORE is refused"
    if what := Refusing(refusing.get(Cause.DISK, 0)):
        return f"the disk is nearly full ({free_bytes / 1e9:.1f} GB free): {_REFUSED[what]}"
    if free_bytes < marks.resume_free_bytes:
        at_gb = marks.min_free_bytes / 1e9
        return f"{WARNING}{free_bytes / 1e9:.1f} GB are free, below {at_gb:g} GB new studies are refused"
    return "ok"


def queue(refusing: Mapping[str, int]) -> str:
    """ "ok", or what is wrong."""
    what = Refusing(refusing.get(Cause.QUEUE, 0))
    return f"too many jobs wait for their analysis: {_REFUSED[what]}" if what else "ok"
