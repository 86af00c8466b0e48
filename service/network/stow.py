"""STOW-RS (PS3.18 10.5) of our results. Returns what became of each file; raises no network error."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import requests
from pydicom.uid import ImplicitVRLittleEndian

from service.errors import Permanent
from service.network.dimse import UNPARSABLE
from service.network.renditions import NotConvertible, Rendition, rendered_bytes
from service.network.send import Item, StoreOutcome, read_items
from service.network.status import Verdict, in_words, verdict_of
from service.network.web import NO_ANSWER, TIMEOUT_S, WebNode, session, status_words, why_not

_REFERENCED_SOP_SEQUENCE = "00081199"
_FAILED_SOP_SEQUENCE = "00081198"
_OTHER_FAILURES_SEQUENCE = "0008119A"
_REFERENCED_SOP_INSTANCE_UID = "00081155"
_WARNING_REASON = "00081196"
_FAILURE_REASON = "00081197"

# 0xB00E is what Microsoft's server says of an object that it already has.
_ALREADY_THERE = (0x0111, 0xB00E)

# About us, the way or the moment, not about the object: an operator or time may mend it (decision 71).
_NOT_THE_OBJECT = (401, 403, 404, 405, 407, 408, 421, 425, 429)

# Nothing else will get in now; and a wrong password, tried once for each object, may lock the account.
_TURNED_AWAY = (401, 403, 429, 503)

_UNSUPPORTED_MEDIA_TYPE = 415

NEVER_BY_WEB = ImplicitVRLittleEndian
"""PS3.18 8.7.3.5."""


def store(
    node: WebNode, paths: Sequence[Path], progress: Callable[[StoreOutcome], None] = lambda _: None
) -> list[StoreOutcome]:
    """Store DICOM files at a DICOMweb service. One outcome per file, in the same order, as those of `send`.

    `progress` gets each when it is known. Each file is a request of its own: a refused one stops no other.
    """
    items, unreadable = read_items(paths, convertible=True)
    outcomes: dict[Path, StoreOutcome] = {}
    for outcome in chain(unreadable, _store_all(node, items)):
        outcomes[outcome.path] = outcome
        progress(outcome)
    return [outcomes[path] for path in paths]


def judge(item: Item, http_status: int, body: bytes) -> StoreOutcome:
    """What an answer says of the one object in the request (PS3.18 10.5.3 and Annex I).

    The Store Instances Response goes before the HTTP status. An object counts as stored only if it is named: a proxy's
    page may have the status 200, too. What is unclear may be there: whoever sends it again asks first.
    """
    stored, failures = _response_module(body)
    if failures:
        return item.outcome(_verdict(failures[0]), in_words(failures[0]), failures[0])
    if item.sop_instance_uid in stored and http_status in (200, 202):
        warning = stored[item.sop_instance_uid]
        return item.outcome(Verdict.STORED, in_words(warning), warning)
    if 400 <= http_status < 500 and http_status not in _NOT_THE_OBJECT:
        refused = item.outcome(Verdict.PERMANENT, status_words(http_status))
        return replace(refused, unsupported=http_status == _UNSUPPORTED_MEDIA_TYPE)
    if 200 <= http_status < 300:
        return item.outcome(Verdict.UNCLEAR, f"{status_words(http_status)}, but the answer does not name the object")
    return item.outcome(Verdict.TRANSIENT, status_words(http_status))


def _store_all(node: WebNode, items: Iterable[Item]) -> Iterator[StoreOutcome]:
    turned_away = None
    try:
        opened = session(node)
    except Permanent as error:
        yield from (item.outcome(Verdict.TRANSIENT, str(error)) for item in items)
        return
    with opened as http:
        for item in items:
            if turned_away is not None:
                yield item.outcome(Verdict.TRANSIENT, turned_away)
                continue
            outcome, go_on = _store(http, node, item)
            yield outcome
            turned_away = None if go_on else outcome.message


def _store(http: requests.Session, node: WebNode, item: Item) -> tuple[StoreOutcome, bool]:
    """The outcome in the best rendition that is taken, and whether it is worth trying other objects now."""
    outcome, go_on = item.not_accepted(), True
    for rendition in item.renditions:
        if rendition.transfer_syntax_uid == NEVER_BY_WEB:
            continue
        try:
            outcome, go_on = _store_as(http, node, item, rendition)
        except NotConvertible:
            continue
        if not outcome.unsupported:
            break
    return outcome, go_on


def _store_as(http: requests.Session, node: WebNode, item: Item, rendition: Rendition) -> tuple[StoreOutcome, bool]:
    as_it_is = rendition == item.renditions[0]
    sent_as = item.sent_as(rendition)
    try:
        content = item.path.read_bytes() if as_it_is else rendered_bytes(item.path, rendition)
    except NotConvertible:
        raise
    except OSError as error:
        return item.outcome(Verdict.TRANSIENT, f"cannot be read ({error.strerror})"), True
    except (*UNPARSABLE, RuntimeError) as error:
        return item.outcome(Verdict.PERMANENT, f"cannot be sent ({type(error).__name__})"), True
    try:
        answer = _post(http, node, content)
    except NO_ANSWER as error:
        return item.outcome(Verdict.TRANSIENT, why_not(node, error)), not isinstance(error, requests.ConnectTimeout)
    sent = item if sent_as is None else replace(item, sop_instance_uid=sent_as[1])
    judged = judge(sent, answer.status_code, answer.content)
    outcome = replace(judged, sop_instance_uid=item.sop_instance_uid, sent_as=sent_as)
    return outcome, outcome.status is not None or answer.status_code not in _TURNED_AWAY


def _post(http: requests.Session, node: WebNode, content: bytes) -> requests.Response:
    """The Store transaction with one instance. dicomweb-client would encode it again, and hide the answer's status."""
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = BytesIO(head + content + f"\r\n--{boundary}--\r\n".encode())  # a stream: the time limit is for each piece
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    return http.post(f"{node.root}/studies", data=body, headers=headers, timeout=TIMEOUT_S)


def _response_module(body: bytes) -> tuple[dict[str, int], list[int]]:
    """The Warning Reason, 0 for none, of each stored instance, and the Failure Reasons (PS3.18 Table I.1-1)."""
    try:
        module = json.loads(body)
        stored = {
            uid: int(next(iter(_values(item, _WARNING_REASON)), 0))
            for item in _values(module, _REFERENCED_SOP_SEQUENCE)
            for uid in _values(item, _REFERENCED_SOP_INSTANCE_UID)
        }
        failed = _values(module, _FAILED_SOP_SEQUENCE) + _values(module, _OTHER_FAILURES_SEQUENCE)
        return stored, [int(reason) for item in failed for reason in _values(item, _FAILURE_REASON)]
    except (ValueError, TypeError, AttributeError):  # not DICOM JSON (PS3.18 F.2)
        return {}, []


def _values(dataset: dict[str, Any], tag: str) -> list[Any]:
    return list(dataset.get(tag, {}).get("Value", []))


def _verdict(failure: int) -> Verdict:
    if failure in _ALREADY_THERE:
        return Verdict.STORED
    verdict = verdict_of(failure)
    # A success or a warning is no Failure Reason (PS3.18 Table I.2-2): whether it is there, the next answer may tell.
    return Verdict.TRANSIENT if verdict is Verdict.STORED else verdict
