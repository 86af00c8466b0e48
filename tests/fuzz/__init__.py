"""Malformed input without end, counted: `make fuzz`, or `python -m tests.fuzz --help`.

Mutations of recorded associations go to a real receiver process, mutations of CT files through that receiver and then
through gate, reading and encoding in a process of limited memory, files that ask for far more than they have through
the same, and requests made from the OpenAPI document to a real HTTP server. Whatever ends a process, is not answered
within 30 s, or goes wrong without a name of ours is a finding, and is kept with what reproduces it.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.append(str(ROOT / "tests"))  # as pytest does
