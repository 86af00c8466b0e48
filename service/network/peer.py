"""A peer that we call: associations with it, and C-ECHO (PS3.4 Annex A).

No error of the network leaves this module as OSError: whoever catches one elsewhere thinks of the disk.
"""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import DimseServiceType
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from service.errors import Permanent, ThoracleError
from service.network.dimse import VERIFICATION, asked, configure, send_at_once, wait_no_longer
from service.tls import TlsFiles, client_context, why_not

CONNECT_S = 10.0
ANSWER_S = 60.0
_ALERT_S = 1.0
"""In TLS 1.3 a server refuses our certificate only after our side of the handshake is done."""

_REJECTED = (1, 2)
"""For good, or for now (PS3.8 9.3.4)."""


@dataclass(frozen=True, slots=True)
class DicomNode:
    """An application entity elsewhere. calling_ae: the AE title we call it with. tls: None: without."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae: str
    tls: TlsFiles | None = None


class NoAssociation(ThoracleError):
    """There is no association; the text tells people why.

    no_context: the peer answered, and accepts none of the proposed presentation contexts.
    """

    def __init__(self, why: str, no_context: bool = False) -> None:
        super().__init__(why)
        self.no_context = no_context


def associate(
    node: DicomNode, contexts: Sequence[PresentationContext], more_handlers: Sequence[evt.EventHandlerType] = ()
) -> Association:
    """An established association; NoAssociation if there is none."""
    configure()
    ae = AE(node.calling_ae)
    ae.connection_timeout = CONNECT_S
    ae.acse_timeout = CONNECT_S
    ae.dimse_timeout = ANSWER_S
    ae.network_timeout = ANSWER_S
    ae.maximum_pdu_size = 0
    opened: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, send_at_once), (evt.EVT_CONN_OPEN, wait_no_longer)]
    handlers = [*opened, *more_handlers]
    secured = _secured(node)
    try:
        association = ae.associate(
            node.host,
            node.port,
            ae_title=node.ae_title,
            contexts=list(contexts),
            evt_handlers=handlers,
            tls_args=secured,
        )
    except (OSError, UnicodeError) as error:  # the host name, or no socket is left
        raise NoAssociation(no_connection(node.host, node.port, error)) from error
    _leave_answers(association)
    if not association.is_established:
        raise NoAssociation(_why_not(association, secured), no_context=bool(association.rejected_contexts))
    return association


def unresolved(host: str) -> str:
    """What people are told of a host name that no name server knows."""
    return f"the host name {host} cannot be resolved"


def no_connection(host: str, port: int, error: OSError | UnicodeError) -> str:
    """Reason in words why there is no connection."""
    if isinstance(error, (socket.gaierror, UnicodeError)):  # UnicodeError: no host can be named so
        return unresolved(host)
    return f"no connection to {host}:{port}: {error.strerror or error}"


def _leave_answers(association: Association) -> None:
    """On a busy machine pynetdicom's own thread may take an answer from whoever waits for it: it takes none now.

    Its pause before each request has a gap (3.0.4, `Association._run_reactor`); the answer was then lost, and asked for
    again after a minute. The queue's lock closes the gap: an answer comes after its request, and each request says
    first that it waits.
    """
    dimse = association.dimse
    take = dimse.get_msg

    def get_msg(block: bool = False) -> tuple[int, DimseServiceType] | tuple[None, None]:
        if block:
            return take(block=True)
        with dimse.msg_queue.mutex:
            messages = dimse.msg_queue.queue
            return messages.popleft() if messages and association._reactor_checkpoint.is_set() else (None, None)

    dimse.get_msg = get_msg  # type: ignore[method-assign]


def _secured(node: DicomNode) -> tuple[ssl.SSLContext, str] | None:
    """What pynetdicom does TLS with; NoAssociation if a file of ours cannot be used."""
    if node.tls is None:
        return None
    try:
        return client_context(node.tls), node.tls.name or node.host
    except Permanent as error:
        raise NoAssociation(str(error)) from error


def _why_not(association: Association, secured: tuple[ssl.SSLContext, str] | None) -> str:
    """Why an association was not established, in words."""
    # A rejection that overtakes pynetdicom's own thread stays unread (3.0.4, `ACSE._negotiate_as_requestor`).
    answer = association.acceptor.primitive or association.dul.peek_next_pdu()
    if isinstance(answer, A_ASSOCIATE) and answer.result in _REJECTED:
        return f"association rejected: {answer.reason_str}"
    if association.is_rejected:
        return "association rejected"
    if association.acceptor.primitive is not None:
        return "no presentation context was accepted"
    return _connection(association.acceptor.address, association.acceptor.port, secured)


def _connection(host: str, port: int, secured: tuple[ssl.SSLContext, str] | None) -> str:
    """pynetdicom keeps no reason, so the connection is tried once more to name it."""
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            trouble = _tls_trouble(connection, *secured) if secured else ""
    except (OSError, UnicodeError) as error:
        return no_connection(host, port, error)
    return f"no TLS with {host}:{port}: {trouble}" if trouble else "the peer aborted the association"


def _tls_trouble(connection: socket.socket, context: ssl.SSLContext, name: str) -> str:
    """Tries TLS on this connection, and says in words why there is none; "" where there is."""
    try:
        encrypted = context.wrap_socket(connection, server_hostname=name)
    except ssl.SSLError as error:
        return why_not(error)
    except OSError as error:
        return f"the handshake failed: {error.strerror or error}"
    with encrypted:
        encrypted.settimeout(_ALERT_S)
        try:
            encrypted.recv(1)
        except ssl.SSLError as error:
            return why_not(error)
        except OSError:  # it says nothing, or has gone: not about TLS
            pass
    return ""


def echo(node: DicomNode) -> str | None:
    """C-ECHO. None if the peer answers, else why it does not, in words."""
    try:
        association = associate(node, [asked(VERIFICATION)])
    except NoAssociation as why:
        return str(why)
    try:
        status = association.send_c_echo().get("Status")
    except (RuntimeError, ValueError) as error:  # the peer has ended the association
        return f"no answer to C-ECHO ({type(error).__name__})"
    finally:
        association.release()
    return None if status == 0x0000 else "no answer to C-ECHO" if status is None else f"C-ECHO status 0x{status:04X}"


def accepted(node: DicomNode, contexts: Sequence[PresentationContext]) -> frozenset[tuple[str, str]]:
    """Which abstract and transfer syntaxes the peer accepts of these; NoAssociation if it cannot be asked."""
    try:
        association = associate(node, contexts)
    except NoAssociation as none:
        if none.no_context:
            return frozenset()
        raise
    association.release()
    return frozenset((str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in association.accepted_contexts)
