"""The delivery of one result object to one destination."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain.delivery_state import Delivered
from service.domain.job import StoredObject

ABSENCES_AT_MOST = 3
"""Times that an object is stored, and then seen to be absent, before it is sent no more."""


class Confirm(StrEnum):
    """What makes an object delivered, beyond the answer that it was stored."""

    NONE = "none"
    QUERY = "query"
    COMMITMENT = "commitment"


@dataclass(frozen=True, slots=True)
class ObjectDelivery:
    """What became of one object in one attempt. status: of the response, None without one.

    tried: it was sent; else the attempt left it out. sent_as: SOP class and SOP Instance UID after a conversion.
    """

    sop_instance_uid: str
    state: Delivered
    status: int | None = None
    error: str = ""
    tried: bool = True
    sent_as: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """One object that is not settled at a destination.

    attempts: times it was sent. planned_at: when it was to be delivered, or an operator wanted it again.
    stored_at, first_stored_at: the latest and the first time since then. asked: commitments that the peer accepted to
    answer and has not. asked_at: when it last accepted one. sent_as: SOP class and SOP Instance UID after a conversion.
    status: of the latest response since it was planned, None without one.
    """

    stored: StoredObject
    state: Delivered
    confirm: Confirm
    attempts: int
    planned_at: datetime
    stored_at: datetime | None
    asked: int
    asked_at: datetime | None
    first_stored_at: datetime | None = None
    sent_as: tuple[str, str] | None = None
    status: int | None = None

    @property
    def sop_class_uid(self) -> str:
        """SOP class of the object that the destination got."""
        return self.sent_as[0] if self.sent_as else self.stored.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID of the object that the destination got."""
        return self.sent_as[1] if self.sent_as else self.stored.sop_instance_uid

    @property
    def since(self) -> datetime:
        """From when its age counts: sending it again makes it no younger."""
        return self.first_stored_at or self.planned_at
