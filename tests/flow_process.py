"""One worker process for the tests of the durable engine: `python flow_process.py FOLDER ANALYSE_S JOB...`."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from service.store.flow import Flow

FOLDER, ANALYSE_S = Path(sys.argv[1]), float(sys.argv[2])


def tell(*words: object) -> None:
    """One line in one write: the engine works in several threads, and their lines must not mix."""
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


class Work:
    """Records what the engine asks for; a delivery succeeds at its second attempt."""

    def analyse(self, job_id: str, attempt: int) -> Sequence[str] | float:
        tell("analysing", job_id, attempt)
        time.sleep(ANALYSE_S)
        if job_id == "busy" and attempt == 1:
            return 0.1
        if job_id == "gone":
            raise LookupError("there is no job gone")
        tell("analysed", job_id)
        return ["pacs"]

    def deliver(self, job_id: str, destination: str, attempt: int) -> float | None:
        tell("delivery", job_id, destination, attempt)
        return 0.1 if attempt == 1 else None

    def abandon(self, job_id: str) -> None:
        tell("abandoned", job_id)


flow = Flow(FOLDER / "flow.db", FOLDER / "locks", ["pacs"], Work())
flow.start()
for job in sys.argv[3:]:
    flow.ensure_study(job)
    flow.ensure_study(job)  # queueing twice is queueing once
tell("started")
sys.stdin.read()
flow.stop()
tell("stopped")
