"""DICOM audit messages (PS3.15 A.5.1): an event as XML, and that as one message of syslog (RFC 5424, IHE ITI-20)."""

import os
import socket
from base64 import b64encode
from datetime import UTC
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

from pydicom.sr.coding import Code

from service.domain.audit_event import AuditEvent, Participant, Subject

_PRIORITY = 10 * 8 + 5
"""Facility 10 (security and authorization), level 5 (notice)."""

_MESSAGE_ID = "DICOM+RFC3881"
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
_APPLICATION_SERVER = "4"


def syslog_message(event: AuditEvent, source: str) -> bytes:
    """One message of RFC 5424. source: who reports it, by which the collector knows this installation."""
    at = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    header = f"<{_PRIORITY}>1 {at} {socket.gethostname() or '-'} thoracle {os.getpid()} {_MESSAGE_ID} - {_BOM}"
    return f"{header}{xml(event, source)}".encode()


def xml(event: AuditEvent, source: str) -> str:
    """One AuditMessage. source: Audit Source ID."""
    message = Element("AuditMessage")
    identification = SubElement(
        message,
        "EventIdentification",
        EventActionCode=event.action,
        EventDateTime=event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        EventOutcomeIndicator=str(int(event.outcome)),
    )
    _coded(identification, "EventID", event.event)
    if event.type is not None:
        _coded(identification, "EventTypeCode", event.type)
    if event.why:
        SubElement(identification, "EventOutcomeDescription").text = _legal(event.why)
    for one in event.participants:
        _participant(message, one)
    reporting = SubElement(message, "AuditSourceIdentification", AuditSourceID=_legal(source))
    SubElement(reporting, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    for about in event.subjects:
        _subject(message, about)
    return tostring(message, encoding="unicode")


def _participant(message: Element, one: Participant) -> None:
    attributes = {"UserID": _legal(one.user_id), "UserIsRequestor": str(one.requestor).lower()}
    if one.ae_title:
        attributes["AlternativeUserID"] = f"AETITLES={_legal(one.ae_title)}"
    if one.address:
        attributes |= {"NetworkAccessPointID": _legal(one.address), "NetworkAccessPointTypeCode": _kind(one.address)}
    participant = SubElement(message, "ActiveParticipant", attributes)
    if one.role is not None:
        _coded(participant, "RoleIDCode", one.role)
    if one.medium is not None:
        _coded(SubElement(participant, "MediaIdentifier"), "MediaType", one.medium)


def _subject(message: Element, about: Subject) -> None:
    identification = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=_legal(about.id),
        ParticipantObjectTypeCode=str(about.kind),
        ParticipantObjectTypeCodeRole=str(about.role),
    )
    _coded(identification, "ParticipantObjectIDTypeCode", about.id_type)
    if about.query is None:
        SubElement(identification, "ParticipantObjectName").text = _legal(about.name)
    else:
        SubElement(identification, "ParticipantObjectQuery").text = about.query
        syntax = b64encode(b"1.2.840.10008.1.2").decode()
        SubElement(identification, "ParticipantObjectDetail", type="TransferSyntax", value=syntax)
    if about.alert:
        told = b64encode(_legal(about.alert).encode()).decode()
        SubElement(identification, "ParticipantObjectDetail", type="Alert Description", value=told)
    if about.classes:
        description = SubElement(identification, "ParticipantObjectDescription")
        for uid, number in sorted(about.classes.items()):
            SubElement(description, "SOPClass", UID=_legal(uid), NumberOfInstances=str(number))


def _coded(parent: Element, name: str, code: Code) -> None:
    attributes = {"csd-code": code.value, "codeSystemName": code.scheme_designator, "originalText": code.meaning}
    SubElement(parent, name, attributes)


def _kind(address: str) -> str:
    """Network Access Point Type Code: 1 for the name of a machine, 2 for an IP address, 5 for a URI."""
    if "://" in address:
        return "5"
    try:
        ip_address(address.split("%")[0])
    except ValueError:
        return "1"
    return "2"


def _legal(text: str) -> str:
    """Without what no XML may hold: control characters and lone surrogates, which a peer may send."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
