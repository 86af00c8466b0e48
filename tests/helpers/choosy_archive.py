"""An archive in a process of its own that takes, keeps, finds and commits as it is told.

In this process pynetdicom takes every storage class (`service.network.dimse`). Options: takes: transfer syntaxes by SOP
class, None: all. statuses: of C-STORE by SOP class or transfer syntax, else 0x0000. keeps: "all", "nothing", "renamed"
(under UIDs of its own). finds: C-FIND is known. commits: status of N-ACTION; None: it knows no commitment. It never
reports.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes, generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from helpers.dicom_peers import free_port, wait_until

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"


class ChoosyArchive:
    """The process, used in a `with` block; its AE title is PACS."""

    AET = "PACS"

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self._options = options
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        arguments = [str(self.port), str(self.folder), json.dumps(self._options)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._process = subprocess.Popen([sys.executable, __file__, *arguments], env=environment)
        wait_until(lambda: (self.folder / "listens").exists() or self._process.poll() is not None)
        assert self._process.poll() is None, "the archive did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def got(self) -> list[Path]:
        """Everything that was sent, in order."""
        return sorted(self.folder.glob("*.dcm"))


class _Kept:
    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder, self.options = folder, options
        self.kept: list[Dataset] = []
        self.count = 0

    def store(self, event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        part = self.folder / f"{self.count:03d}.part"
        dataset.save_as(part, enforce_file_format=True)
        part.rename(part.with_suffix(".dcm"))
        self.count += 1
        statuses = self.options.get("statuses", {})
        status = int(statuses.get(dataset.SOPClassUID, statuses.get(event.context.transfer_syntax, 0)))
        if (status == 0 or status >> 12 == 0xB) and self.options.get("keeps", "all") != "nothing":
            if self.options.get("keeps") == "renamed":
                dataset.SOPInstanceUID = generate_uid()
            self.kept.append(dataset)
        return status

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        keyword = "SeriesInstanceUID" if query.QueryRetrieveLevel == "SERIES" else "SOPInstanceUID"
        for dataset in self.kept:
            found = Dataset()
            found.QueryRetrieveLevel = query.QueryRetrieveLevel
            found.SeriesInstanceUID, found.SOPInstanceUID = dataset.SeriesInstanceUID, dataset.SOPInstanceUID
            if keyword == "SeriesInstanceUID" or query.SeriesInstanceUID == dataset.SeriesInstanceUID:
                yield 0xFF00, found
        yield 0x0000, None


def _serve(port: int, folder: Path, options: dict[str, Any]) -> None:
    ae, kept = AE(ChoosyArchive.AET), _Kept(folder, options)
    takes = options.get("takes")
    for context in AllStoragePresentationContexts if takes is None else ():
        ae.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
    for sop_class, syntaxes in (takes or {}).items():
        ae.add_supported_context(sop_class, syntaxes)
    if options.get("finds"):
        ae.add_supported_context(STUDY_ROOT_FIND)
    if options.get("commits") is not None:
        ae.add_supported_context(STORAGE_COMMITMENT)
    ae.add_supported_context("1.2.840.10008.1.1")
    handlers = [
        (evt.EVT_C_STORE, kept.store),
        (evt.EVT_C_FIND, kept.find),
        (evt.EVT_N_ACTION, lambda _: (options["commits"], None)),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    (folder / "listens").touch()
    server.serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
