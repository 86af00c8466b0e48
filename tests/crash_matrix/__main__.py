"""`python -m tests.crash_matrix [--only KEY ...] [--backend NAME ...]`: run the matrix and write its page.

The two backends run side by side, each state after the other. Exit code 1 if anything is not as it should be.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.crash_matrix.cell import Outcome, leftovers, run
from tests.crash_matrix.hospital import hospital
from tests.crash_matrix.page import PAGE, cells, text
from tests.crash_matrix.states import BACKENDS, STATES, State, points

_PURGED_AFTER_DAYS = 0.0002
"""17 s, in a service of its own: nothing else may be purged while it is looked at."""

_one_at_a_time = threading.Lock()

Outcomes = dict[tuple[str, str], Outcome]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash_matrix", description=__doc__)
    parser.add_argument("--only", nargs="*", metavar="KEY", choices=[s.key for s in STATES], help="these states")
    parser.add_argument("--backend", nargs="*", choices=BACKENDS, default=BACKENDS)
    asked = parser.parse_args()
    chosen = [s for s in STATES if asked.only is None or s.key in asked.only]
    with ThreadPoolExecutor(len(asked.backend)) as side_by_side:
        runs = [side_by_side.submit(run_backend, backend, chosen) for backend in asked.backend]
    outcomes: Outcomes = {}
    wrong: list[str] = []
    for one in runs:
        some, others = one.result()
        outcomes |= some
        wrong += others
    if asked.only is None and set(asked.backend) == set(BACKENDS):
        PAGE.write_text(text({key: outcome.word for key, outcome in outcomes.items()}))
    missing = [
        f"{s.key} on {b}" for s, b in cells() if s in chosen and b in asked.backend and (s.key, b) not in outcomes
    ]
    for line in (*wrong, *(f"{cell} was not run" for cell in missing)):
        tell(line)
    delivered = sum(not o.wrong for o in outcomes.values())
    lost, duplicated = (sum(getattr(o, name) for o in outcomes.values()) for name in ("lost", "duplicated"))
    print(
        f"crash matrix: {len(chosen)} states x {len(asked.backend)} backends, "
        f"{delivered} delivered, {lost} lost, {duplicated} duplicated"
    )
    return 0 if delivered == len(outcomes) and not wrong and not missing else 1


def run_backend(backend: str, chosen: Sequence[State]) -> tuple[Outcomes, list[str]]:
    """All cells of a backend, and what else is wrong in the end."""
    outcomes: Outcomes = {}
    wrong: list[str] = []
    for purging in (False, True):
        rows = [s for s in chosen if s.purges is purging and backend in s.backends]
        if not rows:
            continue
        settings = {"retention": {"keep_days": _PURGED_AFTER_DAYS}} if purging else {}
        folder = Path(tempfile.mkdtemp(prefix="crash-matrix-"))
        try:
            left = _in_one_hospital(folder, backend, rows, settings, outcomes)
        except Exception:
            left = [traceback.format_exc()]
            tell(f"{backend}: {left[0]}")
        here = [outcomes[s.key, backend] for s in rows if (s.key, backend) in outcomes]
        if left or any(outcome.wrong for outcome in here):
            left.append(f"logs: {folder}")
        else:
            shutil.rmtree(folder)
        wrong += [f"{backend}: {what}" for what in left]
    return outcomes, wrong


def _in_one_hospital(
    folder: Path, backend: str, rows: Sequence[State], settings: Mapping[str, Any], outcomes: Outcomes
) -> list[str]:
    """One state after the other; what belongs to nothing in the end."""
    sent: list[str] = []
    with hospital(folder, backend, points(), **settings) as here:
        for state in rows:
            study, outcome = run(here, state, sent, folder / "ct")
            sent.append(study)
            outcomes[state.key, backend] = outcome
            tell(_line(state, backend, outcome))
        left = leftovers(here, sent)
    return [*left.orphans, *left.pending]


def tell(line: str) -> None:
    with _one_at_a_time:
        print(line, flush=True)


def _line(state: State, backend: str, outcome: Outcome) -> str:
    again = f", {outcome.repeated} objects sent again" if outcome.repeated else ""
    why = f": {outcome.wrong}" if outcome.wrong else again
    return f"{backend:14} {state.key:28} {outcome.word} after {outcome.seconds:.0f} s{why}"


if __name__ == "__main__":
    sys.exit(main())
