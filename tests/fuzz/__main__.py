"""`python -m tests.fuzz`."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import ROOT, page
from tests.fuzz.associations import associations
from tests.fuzz.ct_files import bombs, ct_files
from tests.fuzz.requests import requests, schemathesis
from tests.fuzz.tally import Tally

KINDS = ("associations", "ct-files", "bombs", "requests", "properties")

EXAMPLES = """examples:
  python -m tests.fuzz                                      everything; writes docs/reference/hardness.md
  python -m tests.fuzz --only associations --seed 7         one kind, with other inputs
  python -m tests.fuzz --only ct-files --ct-files 10000     for a night

A finding lies in a folder below build/fuzz/, with what was found and the bytes that do it.
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=sys.modules["tests.fuzz"].__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="*", choices=KINDS, default=KINDS, help="these kinds")
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    parser.add_argument("--associations", type=int, default=4000, help="default 4000: half a minute")
    parser.add_argument("--ct-files", type=int, default=600, help="series of them; default 600: five minutes")
    parser.add_argument("--requests", type=int, default=30, help="examples of each HTTP operation; default 30")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    tallies = [_tally(kind, asked) for kind in asked.only if kind != "properties"]
    broken = "properties" in asked.only and _properties(asked.seed)
    for tally in tallies:
        print(f"{tally.kind}: {tally.tried:,} tried, {tally.findings} findings, {tally.seconds:.0f} s")
    if set(asked.only) == set(KINDS):
        counts = [
            f"--{name.replace('_', '-')} {getattr(asked, name)}" for name in ("associations", "ct_files", "requests")
        ]
        command = " ".join(["python -m tests.fuzz --seed", str(asked.seed), *counts])
        document = {"command": command, "kinds": [tally.as_document() for tally in tallies]}
        page.PAGE.write_text(page.text(page.recorded("fuzz", document)))
    return 1 if broken or any(tally.findings for tally in tallies) else 0


def _tally(kind: str, asked: argparse.Namespace) -> Tally:
    tell: Callable[[str], None] = lambda text: print(text, flush=True)  # noqa: E731
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        if kind == "associations":
            associations(Path(folder), asked.associations, tally := Tally("Associations", asked.seed), tell)
        elif kind == "ct-files":
            ct_files(Path(folder), asked.ct_files, tally := Tally("CT files", asked.seed), tell)
        elif kind == "bombs":
            bombs(tally := Tally("Bombs", asked.seed), tell)
        elif schemathesis() is None:
            (tally := Tally("HTTP requests", asked.seed)).without_name("requests", "schemathesis is not installed", {})
        else:
            requests(Path(folder), asked.requests, tally := Tally("HTTP requests", asked.seed))
    return tally


def _properties(seed: int) -> bool:
    """Whether a property of hostile input breaks, with far more examples than in the suite."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/properties/test_hostile_input.py"]
    options = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", "--timeout=1800"]
    return subprocess.run([*command, *options], cwd=ROOT, env=os.environ).returncode != 0


if __name__ == "__main__":
    sys.exit(main())
