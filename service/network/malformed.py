"""C-STORE requests whose command set pynetdicom cannot take, as with a UID of 70 characters or an empty one.

pynetdicom would abort the association, or leave the request without an answer; the sender would repeat the whole
study, or wait. Here such a request gets its answer (PS3.7 9.1.1.1.9), and the association goes on with the next image.
"""

import logging
from collections.abc import Callable

from pydicom import Dataset
from pynetdicom import evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE

log = logging.getLogger(__name__)

_UIDS = ("AffectedSOPClassUID", "AffectedSOPInstanceUID")
_INVALID = (ValueError, TypeError, AttributeError, LookupError)
"""What pynetdicom raises when it sets a parameter of a primitive."""


def answer_malformed(event: evt.Event, status: int, count: Callable[[], None]) -> None:
    """EVT_DIMSE_RECV: answer a C-STORE request that nothing else will answer with `status`.

    count: is called when one was answered.
    """
    message = event.message
    if not isinstance(message, C_STORE_RQ) or message.context_id is None or _is_valid(message):
        return
    command = message.command_set
    answer = C_STORE()
    try:
        answer.MessageIDBeingRespondedTo = command.MessageID
    except _INVALID:
        log.error("C-STORE request from %s without a Message ID: it has no answer", event.assoc.requestor.ae_title)
        return
    answer.Status = status
    log.warning(
        "instance from %s refused: the C-STORE request itself is malformed (%s)",
        event.assoc.requestor.ae_title,
        ", ".join(_described(command)) or "a parameter is invalid",
    )
    event.assoc.dimse.send_msg(answer, message.context_id)
    message.command_set = Dataset()  # pynetdicom ignores a request without parameters
    count()


def _is_valid(message: C_STORE_RQ) -> bool:
    try:
        request = message.message_to_primitive()
    except _INVALID:
        return False
    return isinstance(request, C_STORE) and request.is_valid_request


def _described(command: Dataset) -> list[str]:
    """What is wrong with the UIDs, without their values."""
    lengths = {keyword: len(str(command.get(keyword) or "")) for keyword in _UIDS}
    return [f"{keyword} of {length} characters" for keyword, length in lengths.items() if not 0 < length <= 64]
