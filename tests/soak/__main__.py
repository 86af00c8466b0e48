"""`python -m tests.soak`."""

import argparse
import shutil
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.fuzz import page
from tests.soak.run import Outcome, Plan, soak

EXAMPLES = """examples:
  python -m tests.soak                             200 studies, all at once, 20 kills
  python -m tests.soak --minutes 30 --kills 20     steady load; writes docs/reference/hardness.md
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description=sys.modules["tests.soak"].__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    for name, (first, second) in outcome.medians.items():
        print(f"{name}: {first / 1e6:.0f} MB, then {second / 1e6:.0f} MB" + ("" if outcome.flat else " (not flat?)"))
    if outcome.good:
        shutil.rmtree(folder)
    else:
        print(f"logs of all hosts: {folder}")
    if plan.minutes:
        page.PAGE.write_text(page.text(page.recorded("soak", document(outcome))))
    print(outcome)
    return 0 if outcome.good else 1


def document(outcome: Outcome) -> page.Results:
    """What the page tells."""
    plan, found = outcome.plan, outcome.found
    return {
        "command": f"python -m tests.soak --minutes {plan.minutes} --kills {plan.kills} --seed {plan.seed}",
        "minutes": plan.minutes,
        "workers": plan.workers,
        "kills": outcome.kills,
        "sent": outcome.sent,
        "committed": len(found.committed),
        "lost": len(found.lost),
        "duplicated": len(found.duplicated),
        "orphans": len(found.orphans),
        "medians_mb": {name: [round(size / 1e6) for size in both] for name, both in outcome.medians.items()},
        "peaks_mb": {name: round(size / 1e6) for name, size in outcome.peaks.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
