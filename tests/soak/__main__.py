"""`python -m tests.soak`."""

import argparse
import shutil
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.soak.run import Plan, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=sys.modules["tests.soak"].__doc__)
    for field in fields(Plan):
        parser.add_argument(f"--{field.name}", type=int, default=field.default, help=f"default {field.default}")
    plan = Plan(**vars(parser.parse_args()))
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print("inference: two thresholds stand for the network of lungs and opacities; all else is real", flush=True)
    outcome = soak(plan, folder, lambda text: print(text, flush=True))
    for why in (*outcome.found.lost.items(), *outcome.found.duplicated.items()):
        print(": ".join(why))
    for line in (*outcome.found.orphans, *outcome.found.pending):
        print(line)
    if outcome.good:
        shutil.rmtree(folder)
    else:
        print(f"logs of all hosts: {folder}")
    print(outcome)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
