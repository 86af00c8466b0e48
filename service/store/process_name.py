"""A name for a process that no other process on any host has."""

import socket
import uuid


def unique_name() -> str:
    """Returns a name of this process. It is not the process id: in two containers that may be the same."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
