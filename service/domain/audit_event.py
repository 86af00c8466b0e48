"""Events that DICOM audit messages tell of (PS3.15 A.5.3): what happened, who took part, and what it was about.

Who wants to know is a collector of the hospital, so these hold what the database else does not: the Patient ID. An
event is kept until the collector has it, and no longer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from itertools import islice

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code


class Outcome(IntEnum):
    """Event Outcome Indicator."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


UNKNOWN = "<none>"
"""What stands for a Patient ID that is not known."""


def _dcm(value: str, meaning: str) -> Code:
    """A code that pydicom's dictionary, made of context groups, does not have."""
    return Code(value, "DCM", meaning)


APPLICATION_ACTIVITY: Code = codes.DCM.ApplicationActivity
AUDIT_LOG_USED = _dcm("110101", "Audit Log Used")
BEGIN_TRANSFERRING: Code = codes.DCM.BeginTransferringDICOMInstances
ACCESSED: Code = codes.DCM.DICOMInstancesAccessed
TRANSFERRED: Code = codes.DCM.DICOMInstancesTransferred
STUDY_DELETED = _dcm("110105", "DICOM Study Deleted")
EXPORT: Code = codes.DCM.Export
IMPORT: Code = codes.DCM.Import
PROCEDURE_RECORD = _dcm("110111", "Procedure Record")
QUERY: Code = codes.DCM.Query
SECURITY_ALERT: Code = codes.DCM.SecurityAlert
USER_AUTHENTICATION: Code = codes.DCM.UserAuthentication

_START: Code = codes.DCM.ApplicationStart
_STOP: Code = codes.DCM.ApplicationStop
LOGIN: Code = codes.DCM.Login
LOGOUT: Code = codes.DCM.Logout
USER_CHANGED: Code = codes.DCM.UserSecurityAttributesChanged
NODE_AUTHENTICATION: Code = codes.DCM.NodeAuthentication
_SOFTWARE_CONFIGURATION = _dcm("110131", "Software Configuration")

_APPLICATION = _dcm("110150", "Application")
_SOURCE: Code = codes.DCM.SourceRoleID
_DESTINATION: Code = codes.DCM.DestinationRoleID
_SOURCE_MEDIA = _dcm("110155", "Source Media")
_DESTINATION_MEDIA = _dcm("110154", "Destination Media")

_STUDY_UID = _dcm("110180", "Study Instance UID")
_CLASS_UID = _dcm("110181", "SOP Class UID")
_NODE_ID = _dcm("110182", "Node ID")
_PATIENT_NUMBER = Code("2", "RFC-3881", "Patient Number")
_URI = Code("12", "RFC-3881", "URI")

_PERSON, _SYSTEM_OBJECT = 1, 2
_PATIENT_ROLE, _REPORT_ROLE, _SECURITY_RESOURCE = 1, 3, 13
_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
_TRAIL = "urn:thoracle:audit-trail"
_FOLDER: Code = codes.DCM.URI
"""The kind of medium that a folder is."""

_LONGEST_ID = 64
_LONGEST_TEXT = 500
_MOST_CLASSES = 50


EVENTS: tuple[tuple[Code, str], ...] = (
    (APPLICATION_ACTIVITY, "receiver, worker or API begins its work, or ends it in order"),
    (AUDIT_LOG_USED, "`thoracle audit`, `thoracle audit verify`"),
    (BEGIN_TRANSFERRING, "results are about to be sent"),
    (ACCESSED, "a study is about to be analysed"),
    (TRANSFERRED, "a study has come by an association; results were sent, and those that were not"),
    (STUDY_DELETED, "retention gives up the files of a study"),
    (EXPORT, "`thoracle backup`"),
    (IMPORT, "`thoracle restore`"),
    (PROCEDURE_RECORD, "an operator has cancelled, repeated or sent again a job, or was refused it"),
    (QUERY, "an archive is asked which results it has"),
    (
        SECURITY_ALERT,
        "somebody was not let in (Node Authentication); a model was changed (Software Configuration); a local account "
        "or an API token was made, changed or taken away (User Security Attributes Changed)",
    ),
    (USER_AUTHENTICATION, "somebody has logged in to the API (Login), or out (Logout), or was refused (Login)"),
)
"""All events, and when each is told of."""


@dataclass(frozen=True, slots=True)
class Participant:
    """A person, a process or another machine that took part. address: host name or IP address, "": not known.

    ae_title: "": it has none. role: None: none that PS3.15 names. medium: of a medium, which kind it is.
    """

    user_id: str
    requestor: bool = False
    role: Code | None = None
    ae_title: str = ""
    address: str = ""
    medium: Code | None = None

    def as_role(self, role: Code, requestor: bool) -> "Participant":
        """The same in one event."""
        return replace(self, requestor=requestor, role=role)


@dataclass(frozen=True, slots=True)
class Subject:
    """What it was about. kind: Participant Object Type Code. classes: numbers of instances by SOP class, of a study.

    query: what was asked, as it was encoded, in base64; None: it was no query. alert: what is wrong, in words.
    """

    id: str
    id_type: Code
    kind: int
    role: int
    name: str = ""
    classes: Mapping[str, int] | None = None
    query: str | None = None
    alert: str = ""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event. action: Event Action Code. at: aware. why: of a failure, in words, without patient data."""

    event: Code
    action: str
    at: datetime
    participants: tuple[Participant, ...]
    subjects: tuple[Subject, ...] = ()
    type: Code | None = None
    outcome: Outcome = Outcome.SUCCESS
    why: str = ""


def study(uid: str, classes: Mapping[str, int] | None = None) -> Subject:
    """A study. classes: numbers of the instances in question by SOP Class UID; the first so many are told."""
    some = dict(islice((classes or {}).items(), _MOST_CLASSES))
    return Subject(uid, _STUDY_UID, _SYSTEM_OBJECT, _REPORT_ROLE, classes=some)


def patient(patient_id: str) -> Subject:
    """A patient, without a name: nobody needs it to find the event."""
    return Subject(_bounded(patient_id, _LONGEST_ID) or UNKNOWN, _PATIENT_NUMBER, _PERSON, _PATIENT_ROLE)


def application_started(us: Participant, at: datetime) -> AuditEvent:
    """A process begins its work (A.5.3.1)."""
    return AuditEvent(APPLICATION_ACTIVITY, "E", at, (us.as_role(_APPLICATION, False),), type=_START)


def application_stopped(us: Participant, at: datetime) -> AuditEvent:
    """A process ends in order (A.5.3.1); one that is killed cannot say so."""
    return AuditEvent(APPLICATION_ACTIVITY, "E", at, (us.as_role(_APPLICATION, False),), type=_STOP)


def transferring(us: Participant, to: Participant, about: tuple[Subject, ...], at: datetime) -> AuditEvent:
    """We begin to send instances (A.5.3.3)."""
    return AuditEvent(BEGIN_TRANSFERRING, "E", at, _between(us, to, us), about)


def received(sender: Participant, us: Participant, about: tuple[Subject, ...], at: datetime) -> AuditEvent:
    """Instances have come (A.5.3.7)."""
    return AuditEvent(TRANSFERRED, "C", at, _between(sender, us, sender), about)


def sent(
    us: Participant, to: Participant, about: tuple[Subject, ...], at: datetime, outcome: Outcome, why: str
) -> AuditEvent:
    """Instances were sent, or could not be (A.5.3.7, told by whoever is not the receiver)."""
    why = _bounded(why, _LONGEST_TEXT)
    return AuditEvent(TRANSFERRED, "R", at, _between(us, to, us), about, outcome=outcome, why=why)


def accessed(us: Participant, about: tuple[Subject, ...], at: datetime) -> AuditEvent:
    """We have read instances to analyse them (A.5.3.6)."""
    return AuditEvent(ACCESSED, "R", at, (us.as_role(_APPLICATION, True),), about)


def study_deleted(us: Participant, uid: str, patient_id: str, at: datetime) -> AuditEvent:
    """We give up all files of a study (A.5.3.8)."""
    return AuditEvent(STUDY_DELETED, "D", at, (us.as_role(_APPLICATION, True),), (study(uid), patient(patient_id)))


def asked(us: Participant, whom: Participant, query: str, at: datetime, study_uid: str) -> AuditEvent:
    """We ask an archive what it has of a study (A.5.3.10). query: in base64."""
    about = Subject(_STUDY_ROOT_FIND, _CLASS_UID, _SYSTEM_OBJECT, _REPORT_ROLE, query=query)
    return AuditEvent(QUERY, "E", at, _between(us, whom, us), (about, study(study_uid)))


def refused_node(us: Participant, whom: Participant, at: datetime, why: str) -> AuditEvent:
    """Somebody was not let in (A.5.3.11, Node Authentication)."""
    why = _bounded(why, _LONGEST_TEXT)
    node = whom.address or UNKNOWN
    about = Subject(node, _NODE_ID, _SYSTEM_OBJECT, _SECURITY_RESOURCE, whom.ae_title, alert=why)
    who = us.as_role(_APPLICATION, True), whom
    return AuditEvent(SECURITY_ALERT, "E", at, who, (about,), NODE_AUTHENTICATION, Outcome.MINOR_FAILURE, why)


def configured(us: Participant, who: str, what: str, subject: str, at: datetime, outcome: Outcome) -> AuditEvent:
    """Somebody has changed what analyses studies, or wanted to (A.5.3.11, Software Configuration)."""
    words = f"{what} {subject}"
    about = Subject(us.address or UNKNOWN, _NODE_ID, _SYSTEM_OBJECT, _SECURITY_RESOURCE, subject, alert=words)
    people = us.as_role(_APPLICATION, True), Participant(who)
    return AuditEvent(SECURITY_ALERT, "E", at, people, (about,), _SOFTWARE_CONFIGURATION, outcome, words)


def user_changed(us: Participant, who: str, what: str, subject: str, at: datetime, outcome: Outcome) -> AuditEvent:
    """Somebody has changed who may log in, or as what, or wanted to (A.5.3.11, User Security Attributes Changed)."""
    words = f"{what} {subject}"
    about = Subject(us.address or UNKNOWN, _NODE_ID, _SYSTEM_OBJECT, _SECURITY_RESOURCE, subject, alert=words)
    people = us.as_role(_APPLICATION, True), Participant(who)
    return AuditEvent(SECURITY_ALERT, "E", at, people, (about,), USER_CHANGED, outcome, words)


def authenticated(
    us: Participant, who: Participant, at: datetime, kind: Code, outcome: Outcome, why: str
) -> AuditEvent:
    """Somebody has logged in or out, or was refused (A.5.3.12). kind: LOGIN, LOGOUT. who: with the address."""
    people = replace(who, requestor=True), us.as_role(_APPLICATION, False)
    return AuditEvent(
        USER_AUTHENTICATION, "E", at, people, type=kind, outcome=outcome, why=_bounded(why, _LONGEST_TEXT)
    )


def job_changed(us: Participant, who: str, what: str, uid: str, at: datetime, outcome: Outcome) -> AuditEvent:
    """An operator has changed what becomes of a study, or wanted to (A.5.3.15, Procedure Record)."""
    people = Participant(who, True), us.as_role(_APPLICATION, False)
    return AuditEvent(PROCEDURE_RECORD, "U", at, people, (study(uid), patient("")), outcome=outcome, why=what)


def audit_trail_used(us: Participant, who: str, at: datetime) -> AuditEvent:
    """Somebody has read the audit trail (A.5.3.2)."""
    about = Subject(_TRAIL, _URI, _SYSTEM_OBJECT, _SECURITY_RESOURCE, "Security Audit Log")
    return AuditEvent(AUDIT_LOG_USED, "R", at, (Participant(who, True), us.as_role(_APPLICATION, False)), (about,))


def exported(us: Participant, who: str, medium: str, studies: tuple[Subject, ...], at: datetime) -> AuditEvent:
    """Somebody has written studies to a medium (A.5.3.4). medium: its name."""
    there = Participant(medium, False, _DESTINATION_MEDIA, medium=_FOLDER)
    people = Participant(who, True, _SOURCE), us.as_role(_SOURCE, False), there
    return AuditEvent(EXPORT, "R", at, people, studies)


def imported(us: Participant, who: str, medium: str, studies: tuple[Subject, ...], at: datetime) -> AuditEvent:
    """Somebody has read studies from a medium (A.5.3.5). medium: its name."""
    there = Participant(medium, False, _SOURCE_MEDIA, medium=_FOLDER)
    people = Participant(who, True, _DESTINATION), us.as_role(_DESTINATION, False), there
    return AuditEvent(IMPORT, "C", at, people, studies)


def _bounded(text: str, most: int) -> str:
    """The same without what cannot be stored, cut with an ellipsis: a peer may send as much as it likes."""
    legal = text.encode(errors="replace").decode()
    return legal if len(legal) <= most else f"{legal[: most - 1]}…"


def _between(source: Participant, destination: Participant, asked_by: Participant) -> tuple[Participant, ...]:
    return (
        source.as_role(_SOURCE, source is asked_by),
        destination.as_role(_DESTINATION, destination is asked_by),
    )
