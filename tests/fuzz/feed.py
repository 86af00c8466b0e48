"""A process of limited memory that is fed one series after the other: `python -m tests.fuzz.feed MEMORY_BYTES`.

Each line that comes names a folder, or a file of `hostile_files`; each line that goes tells what became of it. A file
takes the path that it takes in the service: identified, found by the scan, checked by the gate, read, encoded.
"""

import json
import resource
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from helpers.hostile_files import HOSTILE, fed


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """asked: `hostile`, a name, or `folder`."""
    if "hostile" in asked:
        files = HOSTILE[asked["hostile"]].make()
    else:
        files = [path.read_bytes() for path in sorted(Path(asked["folder"]).iterdir())]
    with tempfile.TemporaryDirectory() as folder:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew (proc(5))
        before = _peak_bytes()
        return {**fed(files, Path(folder)), "peak_bytes": _peak_bytes() - before}


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    main()
