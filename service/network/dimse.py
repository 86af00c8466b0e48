"""Process-wide switches of pynetdicom and pydicom, set in one place, and what both sides of an association share."""

import socket
import struct

from pydicom import config
from pydicom.uid import UID
from pynetdicom import DEFAULT_TRANSFER_SYNTAXES, _config, evt
from pynetdicom.presentation import PresentationContext, build_context

VERIFICATION = UID("1.2.840.10008.1.1")
STUDY_ROOT_FIND = UID("1.2.840.10008.5.1.4.1.2.2.1")
STORAGE_COMMITMENT = UID("1.2.840.10008.1.20.1")

ASKED = {
    VERIFICATION: "Verification",
    STUDY_ROOT_FIND: "Study Root Query/Retrieve - FIND",
    STORAGE_COMMITMENT: "Storage Commitment Push Model",
}
"""SOP classes that we use of others, besides storage, and their names."""

MAX_CONTEXTS = 128
"""Presentation contexts in one association (PS3.8 9.3.2.2: odd numbers from 1 to 255)."""

UNPARSABLE = (ValueError, AttributeError, TypeError, KeyError, EOFError, OSError, NotImplementedError, struct.error)
"""What pydicom raises where bytes make no dataset, at times only when an element is looked at."""


def asked(sop_class: UID) -> PresentationContext:
    """The presentation context to propose for a service; KeyError for one that is not among `ASKED`."""
    if sop_class not in ASKED:
        raise KeyError(sop_class)
    return build_context(sop_class, DEFAULT_TRANSFER_SYNTAXES)


def configure() -> None:
    """Set the switches; repeating it does nothing."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True  # private and future SOP classes are stored too
    _config.STORE_SEND_CHUNKED_DATASET = True  # a file's bytes are sent as they are
    _config.LOG_HANDLER_LEVEL = "none"  # its log lines hold UIDs
    config.settings.reading_validation_mode = config.IGNORE  # invalid UIDs are kept; its warnings print them


def send_at_once(event: evt.Event) -> None:
    """EVT_CONN_OPEN: no waiting for full segments; a C-STORE and its response would stall about 40 ms otherwise."""
    _socket(event).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def wait_no_longer(event: evt.Event) -> None:
    """EVT_CONN_OPEN: the network timeout holds within a PDU too.

    pynetdicom looks at it between PDUs only: a peer that vanished within one would be waited for without end, and hold
    its place among the associations.
    """
    _socket(event).settimeout(event.assoc.network_timeout)


def _socket(event: evt.Event) -> socket.socket:
    connection = event.assoc.dul.socket
    assert connection is not None and connection.socket is not None, "the event says that it is open"
    return connection.socket
