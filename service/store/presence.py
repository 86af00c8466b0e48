"""Which processes are up, told by file locks that the kernel frees the moment a process dies."""

import fcntl
import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self


class Presence:
    """Announces this process as one of a role, with some facts, for as long as it lives."""

    def __init__(self, folder: Path, role: str, facts: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Not the process id alone: in two containers it may be the same.
        name = f"{role}-{os.getpid()}-{uuid.uuid4().hex}"
        self._path = folder / f"{name}.json"
        part = folder / f"{name}.part"
        self._file = part.open("w")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(json.dumps(facts))
        self._file.flush()
        # Seen by `present` only now: a file without a lock is a dead process's.
        part.rename(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def present(folder: Path, role: str) -> list[dict[str, Any]]:
    """The facts announced by every living process of a role; files left by dead ones are removed."""
    facts = []
    for path in sorted(folder.glob(f"{role}-*.json")):
        with suppress(FileNotFoundError), path.open() as file:  # it may have gone since it was listed
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            except BlockingIOError:
                facts.append(json.loads(file.read()))
    return facts
