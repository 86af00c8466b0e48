"""Section 1: what the product is, and its services at a glance."""

from collections.abc import Iterator

from pydicom.uid import UID

from service import __version__
from service.composition.destinations import ENCODINGS, LABEL_MAP
from service.conformance.rows import Section, table
from service.network.dimse import ASKED, STORAGE_COMMITMENT, STUDY_ROOT_FIND, VERIFICATION
from service.network.receive import ACCEPTED
from service.network.renditions import class_name, renditions

_YES, _NO = "yes", "no"

_WHAT_FOR = {
    VERIFICATION: "as SCP for everybody who is let in; as SCU `thoracle doctor`, which also negotiates all of the "
    "sender's services and asks for a storage commitment of an object that nobody has",
    STUDY_ROOT_FIND: "optional: Number of Series Related Instances of a received series; which results an archive has "
    "(SERIES and IMAGE level, list of UID matching)",
    STORAGE_COMMITMENT: "optional: N-ACTION; N-EVENT-REPORT on the same association, or on one of the PACS to the "
    "receiver, which proposes the SCP role",
}


def overview() -> Section:
    """The services of this version, whatever is configured."""
    return Section(
        "1. Overview",
        [
            f"Thoracle {__version__}. Research use only. It receives chest CTs, analyses them and sends Segmentations, "
            "Structured Reports and a page back to the PACS. Nothing can be queried or retrieved from it.",
            "### 1.1 Network services",
            table("network-services", ("SOP class", "SCU", "SCP", "For what"), list(_services())),
            "### 1.2 DICOMweb services",
            table(
                "web-services",
                ("Service", "Role", "For what"),
                [
                    (
                        "store",
                        "Studies Service, Store Transaction (STOW-RS, PS3.18 10.5)",
                        "user agent",
                        "one request per object, its bytes as stored; HTTPS with basic, bearer or client-certificate "
                        "authentication",
                    ),
                    (
                        "search",
                        "Studies Service, Search Transaction (QIDO-RS, PS3.18 10.6)",
                        "user agent",
                        "which results an archive has; earlier results of a patient, by Patient ID and Study Date, "
                        "where `comparison.archive` is set; `thoracle doctor`",
                    ),
                    (
                        "retrieve",
                        "Studies Service, Retrieve Transaction (WADO-RS, PS3.18 10.4)",
                        "user agent",
                        "our own earlier SRs and Segmentations, and the metadata of one CT image, where "
                        "`comparison.archive` is set",
                    ),
                ],
            ),
            "### 1.3 Media\n\nNone: no media are read or written.",
        ],
    )


def _services() -> Iterator[tuple[str, ...]]:
    """A SOP class that is accepted in the SCP role of its caller makes us no SCP."""
    provided = {one.sop_class for one in ACCEPTED if not one.scp_role}
    for uid, name in ASKED.items():
        yield name, f"{name} ({uid})", _YES, _YES if uid in provided else _NO, _WHAT_FOR[uid]
    encodings = [*(one for several in ENCODINGS.values() for one in several), LABEL_MAP]
    for sop_class in dict.fromkeys(
        way.sop_class_uid for one in encodings for way in renditions(*one, convertible=True)
    ):
        yield UID(sop_class).keyword or sop_class, f"{class_name(sop_class)} ({sop_class})", _YES, _YES, "results"
    yield "storage", "Every storage SOP class, private ones too", _NO, _YES, "every transfer syntax, stored as received"
