"""Sends the bytes of files as they are, whatever they hold."""

import tempfile
from pathlib import Path

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, EnhancedCTImageStorage

from service.domain.unparsable import UNPARSABLE
from service.network.dimse import configure
from tests.fuzz.spoil_ct import SYNTAXES
from tests.fuzz.tally import HANGS_AFTER_S
from tests.fuzz.watched_receiver import AET, WatchedReceiver


class RawSender:
    """One association after the other: a new one when the last was aborted."""

    def __init__(self, receiver: WatchedReceiver) -> None:
        configure()  # pynetdicom takes what it says of a file from its meta information, and sends the rest as it is
        self._receiver = receiver
        self._association: Association | None = None
        self._ae = AE("CT1")
        self._ae.dimse_timeout = HANGS_AFTER_S
        for sop_class in (CTImageStorage, EnhancedCTImageStorage):
            for syntax in SYNTAXES:
                self._ae.add_requested_context(sop_class, syntax)

    def send(self, content: bytes) -> int | None:
        """The status of the answer, -1 without one; None for a file that no sender could send."""
        association = self._open()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "image.dcm")
            path.write_bytes(content)
            try:
                answer = association.send_c_store(path)
            except (*UNPARSABLE, OSError):
                return None
        status: int = answer.get("Status", -1)
        return status

    def close(self) -> None:
        if self._association is not None and self._association.is_established:
            self._association.release()

    def _open(self) -> Association:
        if self._association is None or not self._association.is_established:
            self._association = self._ae.associate("127.0.0.1", self._receiver.port, ae_title=AET)
        return self._association
