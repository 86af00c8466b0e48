"""What can happen to a study on its way, at an exact moment."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import sqlalchemy as sa
from helpers.dicom_peers import wait_until

from service.domain.delivery_state import Delivered
from service.store.tables import deliveries
from tests.crash_matrix.holds import Point
from tests.crash_matrix.hospital import Hospital

_DOWN_S = 2.0

Act = Callable[[Hospital, int], None]
"""Given the process that is held at the moment."""


@dataclass(frozen=True, slots=True)
class Accident:
    """at: moments one after the other; the last one counts. on_bucket: instead of them, where the spool is a bucket.

    before: what is wrong already when the study comes. then: what happens at the moment.
    """

    at: tuple[Point, ...]
    then: Act
    before: Callable[[Hospital], None] | None = None
    on_bucket: tuple[Point, ...] = ()

    def points(self, bucket: bool) -> tuple[Point, ...]:
        return self.on_bucket if bucket and self.on_bucket else self.at

    def happen(self, hospital: Hospital, send: Callable[[], None]) -> None:
        """TimeoutError if the moment never comes."""
        if self.before is not None:
            self.before(hospital)
        process = 0
        try:
            process = self._moment(hospital, send)
        finally:
            if process or self.before is not None:  # what was wrong before is mended in any case
                self.then(hospital, process)
            hospital.holds.release()

    def _moment(self, hospital: Hospital, send: Callable[[], None]) -> int:
        """The process that is held there."""
        first, *others = self.points(bool(hospital.backend.servers))
        hospital.holds.arm(first)
        send()
        process = hospital.holds.reached()
        for point in others:
            hospital.holds.release(point)
            process = hospital.holds.reached()
        return process


def killed(*at: Point, on_bucket: Point | None = None) -> Accident:
    """kill -9 of the process that is there."""
    return Accident(at, _kill, on_bucket=(on_bucket,) if on_bucket else ())


def power_cut(*at: Point, on_bucket: Point | None = None) -> Accident:
    """kill -9 of all our processes, which are then started again."""
    return Accident(at, _kill_all, on_bucket=(on_bucket,) if on_bucket else ())


def supervisor_killed(*at: Point) -> Accident:
    return Accident(at, _kill_supervisor)


def api_killed(*at: Point) -> Accident:
    return Accident(at, _kill_api)


def crashed(server: str, *at: Point) -> Accident:
    """A server of the backend crashes, and starts again two seconds later; our process waits at the moment."""
    return Accident(at, lambda hospital, _: _crash(hospital, server))


def pacs_away(until: Point) -> Accident:
    return Accident((until,), lambda hospital, _: hospital.pacs.start(), lambda hospital: hospital.pacs.kill())


def pacs_restarted(*at: Point) -> Accident:
    return Accident(at, _restart_pacs)


def pacs_refusing(until: Point) -> Accident:
    return Accident(
        (until,), lambda hospital, _: hospital.pacs.refuse(False), lambda hospital: hospital.pacs.refuse(True)
    )


def pacs_rejecting(until: Point) -> Accident:
    return Accident((until,), lambda hospital, _: _reject(hospital, False), lambda hospital: _reject(hospital, True))


def pacs_slow(delay_s: float, until: Point) -> Accident:
    return Accident((until,), lambda hospital, _: _delay(hospital, 0.0), lambda hospital: _delay(hospital, delay_s))


def pacs_losing(*at: Point) -> Accident:
    """It forgets an object that it has taken, before it is asked whether it keeps it."""
    return Accident(at, _lose)


def _kill(_hospital: Hospital, process: int) -> None:
    os.kill(process, signal.SIGKILL)


def _kill_all(hospital: Hospital, _process: int) -> None:
    roles = [p for role in ("receiver", "worker", "api") for p in hospital.service.processes(role)]
    hospital.service.kill()
    for process in roles:
        process.kill()
    psutil.wait_procs(roles, 10)
    hospital.service.start()


def _kill_supervisor(hospital: Hospital, _process: int) -> None:
    hospital.service.kill()
    hospital.holds.release()
    hospital.service.start()


def _kill_api(hospital: Hospital, _process: int) -> None:
    (api,) = hospital.service.processes("api")
    api.kill()


def _crash(hospital: Hospital, server: str) -> None:
    hospital.backend.servers[server].crash()
    time.sleep(_DOWN_S)
    hospital.backend.servers[server].start()


def _restart_pacs(hospital: Hospital, _process: int) -> None:
    hospital.pacs.kill()
    hospital.pacs.start()


def _reject(hospital: Hospital, rejecting: bool) -> None:
    hospital.pacs.line.rejecting = rejecting


def _delay(hospital: Hospital, delay_s: float) -> None:
    hospital.pacs.line.delay_s = delay_s


def _lose(hospital: Hospital, _process: int) -> None:
    def stored() -> str | None:
        with hospital.records.begin() as connection:
            here = sa.select(deliveries.c.sop_instance_uid).where(deliveries.c.state == Delivered.STORED)
            return connection.scalars(here.limit(1)).first()

    hospital.pacs.lose(wait_until(stored))
