"""Statuses that the receiver answers with: no other leaves it."""

from enum import IntEnum
from typing import Self


class Answer(IntEnum):
    """A status. when: it is answered, in words for people (Markdown)."""

    when: str

    def __new__(cls, value: int, when: str) -> Self:
        """Make a member of both."""
        made = int.__new__(cls, value)
        made._value_ = value
        made.when = when
        return made


class StoreAnswer(Answer):
    """Statuses of C-STORE responses (PS3.4 B.2.3)."""

    SUCCESS = 0x0000, "the bytes are on disk (file and folder synced) and recorded"
    NOT_AUTHORISED = 0x0124, "`may` of this caller has no `store`"
    OUT_OF_RESOURCES = (
        0xA700,
        "a new study while free space is below `receiver.min_free_gb` or `receiver.max_waiting` jobs wait (not where "
        "it is STAT), or `receiver.max_waiting_each` of its sender, and then until its sender begins again; any image "
        "below half of `min_free_gb`; or the file or its record could not be written",
    )
    DOES_NOT_MATCH = (
        0xA900,
        "the dataset cannot be parsed; it names no study, series, instance or class, or not those of the request, or a "
        "UID of more than 64 characters; or the request itself is malformed. The association goes on",
    )
    CANNOT_UNDERSTAND = 0xC000, "the object is larger than `receiver.max_object_gb`; any other failure"


class ReportAnswer(Answer):
    """Statuses of N-EVENT-REPORT responses to storage commitment reports (PS3.7 10.1.1.1.8)."""

    SUCCESS = 0x0000, "the storage commitment report is recorded"
    PROCESSING_FAILURE = 0x0110, "it could not be recorded now: the peer may report again"
    NO_SUCH_EVENT_TYPE = 0x0113, "another event type than 1 and 2"
    INVALID_ARGUMENT = 0x0115, "it is malformed, or belongs to no transaction of ours"
    NO_SUCH_SOP_CLASS = 0x0118, "another SOP class"
    NOT_AUTHORISED = 0x0124, "`may` of this caller has no `report`, or it came in a context of another SOP class"
