"""One soak: studies in, processes killed, and what is found in the end."""

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from helpers.pacs_audit import Audit, audit, files_in, unfinished
from pydicom.uid import generate_uid

from service.domain.job_state import State
from service.store.tables import deliveries, events
from tests.soak.hospital import Hospital
from tests.soak.load import Load
from tests.soak.memory import UNKILLED_FROM, Memory, is_flat
from tests.soak.modality import Modality, phantom

_MODALITIES = 2
_STANDSTILL_S = 240.0
_TELL_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """studies: all at once, unless there are minutes: then as many as are sent in this time of steady load.

    seed: of what is killed when; the same one kills the same roles at the same points of progress.
    """

    studies: int = 200
    workers: int = 2
    kills: int = 20
    seed: int = 1
    minutes: int = 0

    def uids(self) -> Iterator[str]:
        """Study Instance UIDs, without end for steady load."""
        for number in itertools.count() if self.minutes else range(self.studies):
            yield str(generate_uid(entropy_srcs=["soak", str(self.seed), str(number)]))


@dataclass(frozen=True, slots=True)
class Outcome:
    """sent: studies that were acknowledged. kills: SIGKILLs that hit a living process.

    medians, peaks: resident memory in bytes by host (`Memory`).
    """

    plan: Plan
    sent: int
    kills: int
    found: Audit
    medians: Mapping[str, tuple[int, int]]
    peaks: Mapping[str, int]

    @property
    def flat(self) -> bool:
        """Whether no process grew under steady load; a short run says nothing of it."""
        return all(is_flat(*both) for both in self.medians.values())

    @property
    def good(self) -> bool:
        expected = self.sent if self.plan.minutes else self.plan.studies
        whole = len(self.found.committed) == expected > 0 and self.kills == self.plan.kills
        return whole and self.found.clean and (self.flat or not self.plan.minutes)

    def __str__(self) -> str:
        p, f = self.plan, self.found
        return (
            f"soak: {self.sent} studies, {p.workers} workers, {self.kills} kills: "
            f"{len(f.committed)} committed, {len(f.lost)} lost, {len(f.duplicated)} duplicated"
        )


def soak(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Outcome:
    """Run the plan in an empty folder."""
    chance = random.Random(plan.seed)
    images = phantom()
    with Hospital(folder, plan.workers) as hospital:
        load = Load(plan.minutes * 60.0)
        own = [itertools.islice(plan.uids(), n, None, _MODALITIES) for n in range(_MODALITIES)]
        modalities = [Modality(hospital.node, images, load.steady(uids) if plan.minutes else uids) for uids in own]
        for modality in modalities:
            modality.start()
        watch = _Watch(hospital, modalities, plan, chance, tell, load)
        watch.until_delivered()
        hospital.close()
        sent = [study for modality in modalities for study in modality.sent]
        before = len(files_in(hospital.spool))
        hospital.spool.remove_parts(-1.0, time.time())  # as a receiver does that starts an hour later
        files = files_in(hospital.spool)
        tell(f"{before - len(files)} files of attempts that were killed removed; {len(files)} stay")
        tell(_cost(hospital.database))
        found = audit(sent, hospital.database, hospital.database, files, hospital.pacs)
    memory = watch.memory
    return Outcome(plan, len(sent), sum(hospital.killed.values()), found, memory.medians(), memory.peaks())


class _Watch:
    """Kills at random points of the progress, and tells of it."""

    def __init__(
        self,
        hospital: Hospital,
        modalities: list[Modality],
        plan: Plan,
        chance: random.Random,
        tell: Callable[[str], None],
        load: Load,
    ) -> None:
        self._hospital = hospital
        self._modalities = modalities
        self._plan = plan
        self._chance = chance
        self._tell = tell
        until = UNKILLED_FROM - 0.03 if plan.minutes else 0.93
        self._kill_at = sorted(chance.uniform(0.03, until) for _ in range(plan.kills))
        self._load = load
        self._began = time.monotonic()
        self.memory = Memory(hospital.hosts, lambda: load.part)

    def until_delivered(self) -> None:
        """Until nothing is left to do, or nothing has moved for minutes."""
        last, moved, told = -1.0, time.monotonic(), 0.0
        while True:
            received, states, now = self._received(), self._hospital.states(), time.monotonic()
            self._load.waiting = received - states[State.DELIVERED]
            self.memory.look()
            moves = received + states[State.DELIVERED]
            progress = self._load.part if self._plan.minutes else moves / (2 * self._plan.studies)
            if now - told > _TELL_EVERY_S:
                self._say(received, states)
                told = now
            if moves != last:
                last, moved = moves, now
            if self._kill_at and progress >= self._kill_at[0]:
                self._kill()
            elif self._all_sent and not self._load.waiting and not unfinished(self._hospital.database):
                break
            elif now - moved > _STANDSTILL_S:
                self._tell("nothing moves any more")
                break
            time.sleep(0.2)
        self._say(self._received(), self._hospital.states())

    def _kill(self) -> None:
        """At any moment of whatever the process is doing, its start included."""
        time.sleep(self._chance.uniform(0.0, 2.0))
        victims = [host for host in self._hospital.hosts if host.role in ("receiver", "worker") and host.alive]
        if victims:
            self._hospital.kill(self._chance.choice(victims))
            self._kill_at.pop(0)

    @property
    def _all_sent(self) -> bool:
        return not any(modality.is_alive() for modality in self._modalities)

    def _received(self) -> int:
        return sum(len(modality.sent) for modality in self._modalities)

    def _say(self, received: int, states: dict[str, int]) -> None:
        killed, ended = self._hospital.killed, self._hospital.ended
        by_themselves = sum(ended.values()) - sum(killed.values())
        analysed = sum(states[state] for state in (State.ANALYSED, State.DELIVERING, State.DELIVERED))
        others = {s: n for s, n in states.items() if s in (State.FAILED, State.UNDELIVERED, State.SUPERSEDED)}
        self._tell(
            f"{time.monotonic() - self._began:4.0f} s: {received} studies received, {analysed} analysed, "
            f"{states[State.DELIVERED]} delivered; killed: {killed['receiver']} receivers, {killed['worker']} workers"
            + (f"; {by_themselves} ended by themselves" if by_themselves > 0 else "")
            + (f"; {others}" if others else "")
        )


def _cost(database: sa.Engine) -> str:
    """What was done more than once, which is what a kill costs."""
    with database.begin() as connection:
        begun = connection.scalar(sa.select(sa.func.count()).where(events.c.step == "start")) or 0
        done = connection.scalar(sa.select(sa.func.count()).where(events.c.step == "analyse")) or 0
        sent, objects = connection.execute(sa.select(sa.func.sum(deliveries.c.attempts), sa.func.count())).one()
    return f"{begun - done} analyses begun again; {objects} objects, {(sent or 0) - objects} sent again"
