"""The process that receives: a Storage SCP."""

import logging

from service.composition.audit_messages import announced, outbox, receiver_reports, us
from service.composition.callers import callers
from service.composition.storage import database_health, open_storage, shared_locks
from service.domain.commitment import Report
from service.errors import Permanent
from service.network.admission import Admission
from service.network.listening_port import inherited_port
from service.network.receive import Listening, Receiver
from service.network.received import Room
from service.ops import readiness
from service.ops.metrics import Metrics
from service.ops.probes import Health
from service.roles.process import folders, monitor, now, stop_asked, wait_for
from service.roles.receiver_port import receiver_port
from service.settings import Settings, tls_files
from service.store.backlog import Backlog
from service.store.deliveries import Deliveries
from service.store.inbox import Inbox
from service.store.presence import presence
from service.store.records import Records
from service.worker.confirmation import keep_report

log = logging.getLogger(__name__)


def run(settings: Settings, name: str, listening_on: int | None = None) -> None:
    """The Storage SCP, until SIGTERM. name: by which this process counts.

    listening_on: descriptor of the port, which it may share with others; None: it takes the port for itself.
    """
    ours = settings.receiver
    if listening_on is None and ours.processes > 1:
        raise Permanent(
            "receiver.processes is for 'thoracle serve', which starts them; here (--role receiver) start as many "
            "receivers as are needed, and leave it out of the configuration"
        )
    # What a power cut may take from these rows, `reconcile` reads from the spool again.
    spool, engine = open_storage(settings, synchronous="NORMAL")
    inbox = Inbox(spool, Records(engine))
    metrics, deliveries = Metrics(settings.destinations), Deliveries(engine)
    recovered = inbox.reconcile(now())
    if recovered:
        log.warning("%d files in the spool had no record yet: recorded", recovered)

    backlog = Backlog(engine)
    admission = Admission(ours.marks, spool.free_bytes, backlog.waiting, backlog.holds, metrics)

    def still_looking() -> bool:
        admission.look()  # also when nobody sends: what was refused is to be shown as taken again
        return True

    def on_report(_calling_ae: str, report: Report) -> bool:
        return keep_report(report, deliveries, metrics, now())

    address = Listening(
        ours.ae_title,
        ours.host,
        ours.port,
        callers(settings),
        tls_files(ours.tls),
        max_associations=ours.max_associations,
        max_associations_each=ours.max_associations_each,
        room=Room(settings.data_dir, int(ours.max_object_gb * 1e9), ours.marks.min_free_bytes / 2),
        bound=receiver_port(settings) if listening_on is None else inherited_port(listening_on),
        processes=ours.processes,
    )
    alive = shared_locks(settings, engine)
    reports = receiver_reports(settings, engine, alive)
    receiver = Receiver(inbox, metrics, address, admission=admission, on_report=on_report, reports=reports)
    stop = stop_asked()
    receiver.start()
    log.info("receiving as %s on %s:%d", ours.ae_title, ours.host, ours.port)

    def listening() -> Health:
        return {"receiver": "ok" if receiver.listening else "the DICOM port is closed"}

    def ready() -> Health:
        # Not what it refuses under pressure: that its sender is to hear from itself, and begun studies are still taken.
        disk = readiness.writable(folders(settings))
        busy = {"associations": f"warning: {why}" if (why := receiver.busy) else "ok"}
        return {**listening(), **busy, "database": database_health(engine), "disk": disk}

    with announced(outbox(settings, engine), us(settings, "receiver")):
        with monitor(settings, name, listening, ready), presence(alive, "receiver"):
            wait_for(stop, still_looking)
        receiver.stop()
        if reports is not None:
            reports.stop()
