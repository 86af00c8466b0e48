"""A stand-in PACS: keeps what it gets in one folder per study, and commits to it. For demonstration only."""

import threading
from pathlib import Path
from typing import Self

from pydicom import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)


class StandInPacs:
    """Listens on loopback while used in a `with` block; `received` lists the stored files."""

    def __init__(self, folder: Path, ae_title: str, port: int) -> None:
        self._folder = folder
        self._port = port
        self._ae = AE(ae_title)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(Verification)
        self._ae.add_supported_context(StorageCommitmentPushModel)
        self._answers: dict[object, Dataset] = {}
        self.received: list[Path] = []

    def __enter__(self) -> Self:
        self._server = self._ae.start_server(
            ("127.0.0.1", self._port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._commit),
                (evt.EVT_PDU_SENT, self._report),
            ],
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        dataset = event.dataset
        folder = self._folder / str(dataset.StudyInstanceUID)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{dataset.Modality}-{dataset.SeriesNumber}-{dataset.SOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        self.received.append(path)
        return 0x0000

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Storage commitment (PS3.4 Annex J): the answer follows on the same association."""
        asked, answer = event.action_information, Dataset()
        kept = {path.stem.rsplit("-", 1)[1] for path in self.received if path.is_file()}
        answer.TransactionUID = asked.TransactionUID
        answer.ReferencedSOPSequence, answer.FailedSOPSequence = [], []
        for item in asked.ReferencedSOPSequence:
            if item.ReferencedSOPInstanceUID in kept:
                answer.ReferencedSOPSequence.append(item)
            else:
                item.FailureReason = 0x0112  # no such object instance
                answer.FailedSOPSequence.append(item)
        self._answers[event.assoc] = answer
        return 0x0000, None

    def _report(self, event: evt.Event) -> None:
        """N-EVENT-REPORT once the response to N-ACTION is out; not in the thread that sends."""
        answer = self._answers.pop(event.assoc, None) if isinstance(event.pdu, P_DATA_TF) else None
        if answer is not None:
            kind = 2 if answer.FailedSOPSequence else 1
            where = (StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
            threading.Thread(target=event.assoc.send_n_event_report, args=(answer, kind, *where)).start()
