"""A stand-in PACS: a Storage SCP that keeps what it gets in one folder per study. For demonstration only."""

from pathlib import Path
from typing import Self

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


class StandInPacs:
    """Listens on loopback while used in a `with` block; `received` lists the stored files."""

    def __init__(self, folder: Path, ae_title: str, port: int) -> None:
        self._folder = folder
        self._port = port
        self._ae = AE(ae_title)
        self._ae.supported_contexts = AllStoragePresentationContexts
        self._ae.add_supported_context(Verification)
        self.received: list[Path] = []

    def __enter__(self) -> Self:
        self._server = self._ae.start_server(
            ("127.0.0.1", self._port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        dataset = event.dataset
        folder = self._folder / str(dataset.StudyInstanceUID)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{dataset.Modality}-{dataset.SeriesNumber}-{event.request.AffectedSOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        self.received.append(path)
        return 0x0000
