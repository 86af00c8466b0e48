"""What answers mean, and what a node must be, without a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.network.send import Item, Verdict
from service.network.stow import judge, store
from service.network.web import WebNode

ITEM = Item(Path("seg.dcm"), "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4", "1.2.840.10008.1.2.1", named=True)


def module(sequence: str, reason: tuple[str, int] | None = None, uid: str = "1.2.3.4") -> bytes:
    """A Store Instances Response Module with one item."""
    item: dict[str, Any] = {"00081155": {"vr": "UI", "Value": [uid]}}
    if reason is not None:
        item[reason[0]] = {"vr": "US", "Value": [reason[1]]}
    return json.dumps({"00081198": {"vr": "SQ"}, sequence: {"vr": "SQ", "Value": [item]}}).encode()


def stored(warning: int | None = None, uid: str = "1.2.3.4") -> bytes:
    return module("00081199", None if warning is None else ("00081196", warning), uid)


def failed(reason: int | None, sequence: str = "00081198") -> bytes:
    return module(sequence, None if reason is None else ("00081197", reason))


@pytest.mark.parametrize(
    ("http_status", "body", "verdict", "status", "message"),
    [
        (200, stored(), Verdict.STORED, 0x0000, "status 0x0000"),
        (202, stored(0xB000), Verdict.STORED, 0xB000, "status 0xB000 Coercion of Data Elements"),
        (200, stored(0xB006), Verdict.STORED, 0xB006, "status 0xB006 Element Discarded"),
        (409, failed(0x0111), Verdict.STORED, 0x0111, "status 0x0111 Duplication SOP Instance"),
        (409, failed(0xB00E), Verdict.STORED, 0xB00E, "status 0xB00E"),
        (409, failed(0xB00F), Verdict.TRANSIENT, 0xB00F, "status 0xB00F"),
        (409, failed(0x0000), Verdict.TRANSIENT, 0x0000, "status 0x0000"),
        (202, failed(0xA700), Verdict.TRANSIENT, 0xA700, "status 0xA700 Refused: Out of Resources"),
        (409, failed(0x0110), Verdict.TRANSIENT, 0x0110, "status 0x0110 Processing Failure"),
        (202, failed(0xA900), Verdict.PERMANENT, 0xA900, "status 0xA900 Data Set Does Not Match SOP Class"),
        (409, failed(0x0124), Verdict.TRANSIENT, 0x0124, "status 0x0124 Refused: Not Authorised"),
        (200, failed(0x0122), Verdict.PERMANENT, 0x0122, "status 0x0122 Refused: SOP Class Not Supported"),
        (409, failed(0xC000, "0008119A"), Verdict.TRANSIENT, 0xC000, "status 0xC000 Cannot Understand"),
        (409, failed(None), Verdict.PERMANENT, None, "HTTP 409 Conflict"),
        (409, stored(), Verdict.PERMANENT, None, "HTTP 409 Conflict"),
        (400, b"<p>DOE^JOHN</p>", Verdict.PERMANENT, None, "HTTP 400 Bad Request"),
        (415, b"", Verdict.PERMANENT, None, "HTTP 415 Unsupported Media Type"),
        (499, b"", Verdict.PERMANENT, None, "HTTP 499"),
    ],
)
def test_an_answer_about_the_object(
    http_status: int, body: bytes, verdict: Verdict, status: int | None, message: str
) -> None:
    outcome = judge(ITEM, http_status, body)
    assert (outcome.path, outcome.sop_instance_uid) == (ITEM.path, ITEM.sop_instance_uid)
    assert (outcome.verdict, outcome.status, outcome.message) == (verdict, status, message)


@pytest.mark.parametrize("http_status", [304, 401, 403, 404, 408, 429, 500, 503, 507])
def test_an_answer_about_something_else_may_change(http_status: int) -> None:
    outcome = judge(ITEM, http_status, b"")
    assert (outcome.verdict, outcome.status) == (Verdict.TRANSIENT, None)


UNREADABLE = [
    (200, b""),
    (201, b""),
    (202, b""),
    (204, b""),
    (200, b"<html>"),
    (200, b'<?xml version="1.0"?><NativeDicomModel/>'),
    (200, b"[]"),
    (200, b"1"),
    (200, b'{"00081199": 1}'),
    (200, b'{"00081199": {"Value": [1]}}'),
    (200, b'{"00081199": {"Value": [{"00081155": {"Value": [[]]}}]}}'),
    (200, stored(uid="1.2.3.5")),
    (200, failed(None)),
]


@pytest.mark.parametrize(("http_status", "body"), UNREADABLE)
def test_a_success_that_does_not_name_the_object_is_unclear(http_status: int, body: bytes) -> None:
    outcome = judge(ITEM, http_status, body)
    assert (outcome.verdict, outcome.status) == (Verdict.UNCLEAR, None)
    assert outcome.message.endswith(", but the answer does not name the object")


def test_nothing_to_store_needs_no_server() -> None:
    assert store(WebNode("nobody", "http://127.0.0.1:1"), []) == []


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(WebNode("pacs", "https://pacs/dicom-web", "user", "secret"))
    assert "secret" not in repr(WebNode("pacs", "https://pacs/dicom-web", token="secret"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "pacs/dicom-web"},
        {"url": "ftp://pacs"},
        {"url": "https://"},
        {"url": "https://user:secret@pacs"},
        {"url": "https://pacs?key=secret"},
        {"url": "https://pacs", "user": "user", "token": "secret"},
    ],
)
def test_a_node_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as refused:
        WebNode("pacs", **wrong)
    assert "secret" not in str(refused.value)
