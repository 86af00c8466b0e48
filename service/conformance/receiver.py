"""Section 3.1: the receiver, as it listens, accepts and answers."""

from collections.abc import Sequence

from pydicom.uid import HTJ2K, UID, HTJ2KLossless, HTJ2KLosslessRPCL, JPEGExtended12Bit
from pynetdicom import ALL_TRANSFER_SYNTAXES, PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION

from service.conformance.rows import Table, table
from service.imaging.codestream import decodable
from service.network import bounded_socket, callers, door
from service.network.answers import Answer, ReportAnswer, StoreAnswer
from service.network.association_request import Refused
from service.network.dimse import ASKED
from service.network.receive import ACCEPTED, IDLE_S
from service.settings import Receiver

_MIB = 1 << 20

_WHY_REFUSED = {
    Refused.CALLING_AE: "calling AE title not recognized: no entry of `receiver.callers` has this title, or its "
    "addresses or its certificates are others",
    Refused.CALLED_AE: "called AE title not recognized: not used by the service, which checks no called AE title",
    Refused.LIMIT: "local limit exceeded: `receiver.max_associations` or `receiver.max_associations_each` are taken, "
    "and none of them has been idle for so long that it gives way",
}

_OTHER_VERSION = "protocol version not supported: any other than 1, also one with bit 0 set among others (3)"

LIMITED = {
    JPEGExtended12Bit: "with 8 bits stored; with more, as most CTs have, refused by name (`CODEC`)",
    **dict.fromkeys((HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), "a decoder is there; not tried: no encoder was at hand"),
}
"""Transfer syntaxes that are decoded, but not every CT in them, or none was tried."""


def receiver(ours: Receiver) -> list[str | Table]:
    """Association policies, contexts and answers."""
    return [
        "### 3.1 Receiver",
        "#### 3.1.1 Associations",
        f"Up to `receiver.max_associations` ({ours.max_associations}) associations at once, "
        f"`receiver.max_associations_each` ({ours.max_associations_each}) of one address; of IPv6 a /64 network "
        f"counts as one. Of `receiver.processes` ({ours.processes}) each has an equal share of both. One more takes "
        "the place of an association that has been idle for "
        f"{callers.GIVES_WAY_AFTER_S:g} s, or is rejected. A request has to come within {door.ASK_WITHIN_S:g} s of "
        f"the connection; up to {door.MOST} connections wait so, {door.MOST_EACH} of one address. A PDU has to come "
        f"within {bounded_socket.PDU_WITHIN_S:g} s; an association that says nothing for {IDLE_S:g} s ends. Maximum "
        f"PDU: {bounded_socket.ANNOUNCED // _MIB} MiB is asked for, up to {bounded_socket.LONGEST // _MIB} MiB is "
        "taken. Extended negotiation, asynchronous operations and user identity are not used.",
        f"Implementation Class UID {PYNETDICOM_IMPLEMENTATION_UID}, Implementation Version Name "
        f"{PYNETDICOM_IMPLEMENTATION_VERSION}, for both application entities.",
        "Called AE title is not checked. Callers are checked against `receiver.callers`: AE title, address and, "
        "where TLS asks for one, certificate; who is not listed is rejected. Without callers the receiver listens on "
        "loopback only. Destinations that are asked for a commitment may report from anywhere.",
        rejections(),
        "The application context name is not checked: a request with another one is accepted, and answered with that "
        "of the Standard.",
        "#### 3.1.2 Presentation contexts",
        contexts(),
        "Contexts of classes that pynetdicom does not know as a service are accepted too, since they may be storage; "
        "whatever else than C-STORE comes there is not served. A context of a storage SOP class is accepted in the "
        "first transfer syntax that it proposes; all of them are stored as received. Those in which a CT can be "
        "analysed:",
        transfer_syntaxes(),
        "#### 3.1.3 C-STORE responses",
        answers("store-answers", StoreAnswer),
        "#### 3.1.4 N-EVENT-REPORT responses",
        answers("report-answers", ReportAnswer),
    ]


def rejections() -> Table:
    """A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    rows = [(one.name.lower(), *map(str, one.value), _WHY_REFUSED[one]) for one in Refused]
    rows.append(("protocol_version", "1", "2", "2", _OTHER_VERSION))
    return table("rejections", ("Result", "Source", "Reason", "When"), rows)


def contexts() -> Table:
    """What is accepted."""
    every = "every one"
    rows = [
        (
            ASKED[one.sop_class],
            f"{ASKED[one.sop_class]} ({one.sop_class})",
            every if list(one.transfer_syntaxes) == ALL_TRANSFER_SYNTAXES else _names(one.transfer_syntaxes),
            "the caller is SCP, with or without role selection" if one.scp_role else "the caller is SCU",
        )
        for one in ACCEPTED
    ]
    rows.append(("storage", "every storage SOP class, private ones too", every, "the caller is SCU"))
    return table("accepted-contexts", ("Abstract syntax", "Transfer syntaxes", "Role"), rows)


def transfer_syntaxes() -> Table:
    """Every transfer syntax of the standard that can be decoded here."""
    known = [UID(uid) for uid in ALL_TRANSFER_SYNTAXES if decodable(UID(uid))]
    rows = [(str(uid), uid.name, str(uid), LIMITED.get(uid, "yes")) for uid in known]
    return table("analysed-transfer-syntaxes", ("Transfer syntax", "UID", "Analysed"), rows)


def answers(name: str, kind: type[Answer]) -> Table:
    """The statuses that are answered."""
    return table(name, ("Status", "When"), [(f"{one:04X}", f"0x{one:04X}", one.when) for one in kind])


def _names(uids: Sequence[str]) -> str:
    return ", ".join(UID(uid).name for uid in uids)
