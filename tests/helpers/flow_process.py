"""A worker process around the durable engine: `python flow_process.py DATABASE FOLDER ANALYSE_S`.

Its standard input takes commands: `study JOB PRIORITY`, `analyse JOB`, `retry studies`, `prioritise JOB PRIORITY`,
`deliver JOB DESTINATION`, `shadow JOB`, `discard JOB`. Its end stops it.
"""

import os
import sys
import threading
import time
from pathlib import Path

from service.domain.job import NoSuchJob
from service.domain.work import DONE, Deliver, Done, TryAgain, Work
from service.store import liveness
from service.store.durable_engine.engine import DurableEngine, QueueOptions
from service.store.engine import database_engine

DATABASE = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
FOLDER, ANALYSE_S = Path(sys.argv[2]), float(sys.argv[3])


def tell(*words: object) -> None:
    """One line in one write: the engine works in several threads, and their lines must not mix."""
    os.write(sys.stdout.fileno(), (" ".join(map(str, words)) + "\n").encode())


class Studies:
    """Tells what the engine asks for; a delivery succeeds at its second attempt."""

    def analyse(self, job_id: str, attempt: int) -> Deliver | TryAgain:
        tell("analysing", job_id, attempt)
        time.sleep(ANALYSE_S)
        if job_id in ("busy", "stalled") and attempt == 1:
            return TryAgain(0.1 if job_id == "busy" else 600.0)
        if job_id == "gone":
            raise NoSuchJob("there is no job gone")
        if job_id == "broken":
            raise KeyError("what nobody thought of")
        tell("analysed", job_id)
        return Deliver(("limited",) if job_id.startswith("limited") else ("pacs",), 7 if job_id == "severe" else None)

    def deliver(self, job_id: str, destination: str, attempt: int) -> Done | TryAgain:
        tell("delivery", job_id, destination, attempt)
        again = TryAgain(600.0 if job_id == "patient" else 0.1)
        return again if attempt == 1 and destination == "pacs" else DONE

    def abandon(self, job_id: str) -> None:
        tell("abandoned", job_id)


class Shadows:
    """Tells what the engine asks for."""

    def analyse(self, job_id: str, attempt: int) -> Done | TryAgain:
        tell("shadow", job_id, attempt)
        time.sleep(ANALYSE_S)
        tell("shadowed", job_id)
        return TryAgain(0.1) if job_id == "busy" and attempt == 1 else DONE

    def abandon(self, job_id: str) -> None:
        tell("abandoned the shadow of", job_id)


def obey(flow: DurableEngine) -> None:
    for line in sys.stdin:
        match line.split():
            case ["study", job, priority]:
                flow.ensure_study(job, int(priority))
                flow.ensure_study(job, int(priority))  # queueing twice is queueing once
            case ["analyse", job]:
                flow.ensure_study(job, at_once=True)
            case ["retry", "studies"]:
                flow.retry_studies()
            case ["prioritise", job, priority]:
                flow.prioritise(job, int(priority))
            case ["deliver", job, destination]:
                flow.ensure_delivery(job, destination, at_once=True)
            case ["shadow", job]:
                flow.ensure_shadow(job)
                flow.ensure_shadow(job)
            case ["discard", job]:
                tell("discarded" if flow.discard(job) else "kept", job)
        tell("done", line.strip())


locks = liveness.locks(database_engine(DATABASE), FOLDER / "locks")
queues = {"pacs": QueueOptions(), "limited": QueueOptions(2, per_minute=2)}
flow = DurableEngine(DATABASE, locks, queues, Work(Studies(), Studies(), Shadows()))
flow.start()
tell("started")
commands = threading.Thread(target=obey, args=[flow], daemon=True)
commands.start()
while commands.is_alive():
    commands.join(0.2)
    if not flow.alive:
        tell("lost")
        os._exit(1)
flow.stop()
tell("stopped")
