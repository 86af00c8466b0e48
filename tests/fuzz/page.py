"""docs/reference/hardness.md, written from the results of `make fuzz` and `make soak`."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from service.ops.processor import processor
from tests.fuzz import ROOT
from tests.fuzz.fed_process import MEMORY_BYTES
from tests.fuzz.tally import HANGS_AFTER_S
from tests.soak.memory import MOST_GROWTH, MOST_GROWTH_BYTES, UNKILLED_FROM

PAGE = ROOT / "docs" / "reference" / "hardness.md"
RESULTS = Path(__file__).with_name("results.json")

Results = Mapping[str, Any]

_HEAD = f"""# Hardness

Written by `make fuzz` and `make soak`; do not edit. Why: [decision 181](../decisions/0181-hardness-is-measured.md).

## Malformed input

Every input is made by chance from a sound one, with a seed: the same seed makes the same inputs. A *crash* is a process
that ended, a *hang* an answer that took more than {HANGS_AFTER_S:.0f} s, *unnamed* an outcome that is no reason or
status of ours: an error that nobody foresaw. Memory is the peak of resident memory above what the process had before.

- **Associations**: recorded ones of real senders (echo, storage, much negotiation, a commitment report), with bits
  flipped, lengths that lie, PDUs cut off, spliced, repeated, left out, out of order or of unknown types, and spoilt
  commands, eight at once to a real receiver. In the end its threads and files have gone, and it answers an echo.
- **CT files**: series of a phantom in seven transfer syntaxes, of a multi-frame phantom, and of a real CT, in which one
  file or all are spoilt: attributes missing, of other representations and values, nested, private, in other character
  sets; pixels and headers that do not fit; bytes and lengths. The first spoilt one goes to a real receiver by C-STORE.
  All go through scan, gate, reading and encoding in a process with an address space of {MEMORY_BYTES >> 30} GiB. A
  threshold stands for the analysis.
- **Bombs**: files that ask for far more memory, time or depth than they have bytes (`tests/helpers/hostile_files.py`).
- **HTTP requests**: made by Schemathesis from the OpenAPI document for the whole API, with all of its checks.
"""

_NOTHING = "Not run yet.\n"


def recorded(part: str, document: Any, file: Path = RESULTS) -> Results:
    """Keep the results of a part; returns those of all parts."""
    every = read(file)
    every[part] = {"machine": machine(), **document}
    file.write_text(json.dumps(every, indent=1) + "\n")
    return every


def read(file: Path = RESULTS) -> dict[str, Any]:
    every: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return every


def machine() -> str:
    """The machine in general words."""
    cores, size = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 1e9
    return f"{processor()}, {cores} cores, {size:.0f} GB"


def text(results: Results) -> str:
    return "\n".join([_HEAD, *_fuzz(results.get("fuzz")), *_soak(results.get("soak"))])


def _fuzz(found: Results | None) -> Iterator[str]:
    if found is None:
        yield _NOTHING
        return
    yield f"`{found['command']}` on {found['machine']}:\n"
    yield "| Input | Seed | Tried | Crashes | Hangs | Unnamed | Most memory (MB) | Seconds |"
    yield "|---|---|---|---|---|---|---|---|"
    for kind in found["kinds"]:
        peaks = "; ".join(f"{process}: {size}" for process, size in kind["peaks_mb"].items()) or "–"
        figures = (kind[name] for name in ("seed", "tried", "crashes", "hangs", "unnamed"))
        yield f"| {kind['kind']} | {' | '.join(f'{one:,}' for one in figures)} | {peaks} | {kind['seconds']} |"
    yield ""
    for kind in found["kinds"]:
        for name, counted in (("Answers of the receiver", kind["statuses"]), ("Ends", kind["ends"])):
            if counted:
                yield f"{kind['kind']}, {name.lower()}: {', '.join(f'{end} {n:,}' for end, n in counted.items())}.\n"


def _soak(found: Results | None) -> Iterator[str]:
    yield "## Steady load\n"
    if found is None:
        yield _NOTHING
        return
    yield f"`{found['command']}` on {found['machine']}:"
    yield f"two modalities, a receiver, {found['workers']} workers and the API"
    yield "as processes of their own, PostgreSQL, S3, and Orthanc as PACS. Thresholds stand for the network."
    yield ""
    yield f"{found['minutes']} minutes, {found['kills']} kills of receiver and workers:"
    yield f"{found['sent']:,} studies received,"
    yield f"{found['committed']:,} of them committed by the PACS with every result once, {found['lost']} lost,"
    yield f"{found['duplicated']} duplicated, {found['orphans']} files or rows that belong to nothing."
    yield ""
    yield f"After {UNKILLED_FROM:.0%} of the time nothing is killed, so that memory can be looked at."
    yield f"It counts as flat where the median of the second half is at most {MOST_GROWTH:.0%} or"
    yield f"{MOST_GROWTH_BYTES / 1e6:.0f} MB above that of the first."
    yield ""
    yield "| Process | Resident memory (MB), first half | second half | peak of the whole run |"
    yield "|---|---|---|---|"
    for name, (first, second) in found["medians_mb"].items():
        yield f"| {name} | {first} | {second} | {found['peaks_mb'][name]} |"
    yield ""
