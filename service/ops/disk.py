"""Whether a folder can be written, found out by writing: full disks, read-only ones and missing rights all show."""

import os
import tempfile
from pathlib import Path

_PROBE = bytes(4096)


def why_not_writable(folder: Path) -> str | None:
    """What the system says against a small file there; None if nothing. Leaves nothing behind."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
