"""Section 11: what of IHE's AI Results (AIR) profile is met, as Evidence Creator.

The text of the supplement was not at hand. Each requirement tells from what it is known.
"""

from dataclasses import dataclass
from enum import StrEnum

from service.conformance.rows import Section, table


class Met(StrEnum):
    """How far a requirement is met."""

    YES = "met"
    PARTLY = "partly met"
    NO = "not met"


class Known(StrEnum):
    """From what a requirement is known."""

    QUOTED = "Rev. 1.1 section 6.5.3.1, as other software quotes it"
    SUMMARY = "published summaries of the profile and of its tests"
    MEMORY = "general knowledge; not verified in any text"


@dataclass(frozen=True, slots=True)
class Requirement:
    """shown: test module that tries it, or that it is as the row says."""

    key: str
    what: str
    met: Met
    how: str
    shown: str
    known: Known


_SR, _SEG, _ENCODE = (
    "tests/unit/evidence/test_sr.py",
    "tests/unit/evidence/test_seg.py",
    "tests/unit/evidence/test_encode.py",
)
_TRIED = "tests/unit/conformance/test_air.py"

REQUIREMENTS = (
    Requirement(
        "measurements",
        "measurements as TID 1500 in Comprehensive 3D SR",
        Met.YES,
        "Measurements, Summary",
        _SR,
        Known.QUOTED,
    ),
    Requirement(
        "qualitative",
        "qualitative findings as TID 1500 in Comprehensive 3D SR",
        Met.YES,
        "Qualitative Evaluations of the groups of the Summary",
        _SR,
        Known.QUOTED,
    ),
    Requirement(
        "regions",
        "regions as Segmentations, on the images they were found in",
        Met.YES,
        "Segmentations",
        _SEG,
        Known.SUMMARY,
    ),
    Requirement(
        "locations",
        "locations as SCOORD or SCOORD3D in TID 1500",
        Met.YES,
        "measurements along lines, of pipelines that have some",
        "tests/unit/evidence/test_sr_coordinates.py",
        Known.SUMMARY,
    ),
    Requirement(
        "parametric-maps",
        "parametric maps as Parametric Map",
        Met.YES,
        "heat maps, of pipelines that tell them; on request (`send: [heat-maps]`)",
        "tests/unit/evidence/test_heat_map.py",
        Known.SUMMARY,
    ),
    Requirement(
        "key-images",
        "key images as Key Object Selection",
        Met.NO,
        "no Key Object Selection is made; axes of a finding refer to the image that shows it best",
        _TRIED,
        Known.SUMMARY,
    ),
    Requirement(
        "tracking",
        "tracking identifiers and UIDs, the same for a finding wherever it is",
        Met.PARTLY,
        "of each segment and group, and the same in SEG and SRs of one result; another result has others, so that "
        "lesions are not followed over time",
        _SR,
        Known.SUMMARY,
    ),
    Requirement(
        "image-references",
        "references to the images and the Frame of Reference of the CT",
        Met.YES,
        "all images as evidence, one in the image library, source images of each frame",
        _TRIED,
        Known.SUMMARY,
    ),
    Requirement(
        "root",
        "the results of one analysis are a tree with one root, a Measurement Report",
        Met.YES,
        "the Summary refers to every object that the destination gets ([decision "
        "121](../decisions/0121-the-root-of-a-result.md))",
        _ENCODE,
        Known.SUMMARY,
    ),
    Requirement(
        "equipment",
        "Contributing Equipment: an item for each algorithm, with manufacturer, model name, software versions, "
        "Device UID",
        Met.YES,
        "an item for each model",
        _TRIED,
        Known.QUOTED,
    ),
    Requirement(
        "device-uid",
        "Device UID changes when the model is modified",
        Met.YES,
        "it is made from the weights' digest",
        _TRIED,
        Known.QUOTED,
    ),
    Requirement(
        "purpose",
        'purpose of reference (1630, 99IHE, "Processing Algorithm")',
        Met.NO,
        "(109102, DCM, Processing Equipment): a code of the Standard, which validators know",
        _TRIED,
        Known.QUOTED,
    ),
    Requirement(
        "algorithm",
        "Algorithm Identification in SEG (macro) and SR (TID 4019)",
        Met.PARTLY,
        "name, version, family and digest; several models of one result stand in one item",
        _SR,
        Known.SUMMARY,
    ),
    Requirement(
        "procedure",
        "Procedure Reported is the imaging procedure, not the algorithm",
        Met.YES,
        "CT of an unspecified body region, whatever the procedure's code in the CT",
        _TRIED,
        Known.QUOTED,
    ),
    Requirement(
        "times",
        "Content Date and Time are those when the analysis began",
        Met.YES,
        "the same in all objects ([decision 120](../decisions/0120-which-result-is-current.md))",
        _ENCODE,
        Known.QUOTED,
    ),
    Requirement(
        "predecessors",
        "a document that replaces another names it as its predecessor",
        Met.YES,
        "both SRs and the text",
        _SR,
        Known.SUMMARY,
    ),
    Requirement(
        "patient-and-study",
        "patient and study attributes are those of the images",
        Met.YES,
        "copied from the CT",
        _ENCODE,
        Known.MEMORY,
    ),
    Requirement(
        "content-qualification",
        "Content Qualification (0018,9004) tells RESEARCH",
        Met.PARTLY,
        "heat maps have the attribute, the other objects do not. All say it in Series Description, SRs by a code, "
        "Segmentations in Content Description",
        _TRIED,
        Known.MEMORY,
    ),
    Requirement(
        "store",
        "results are stored by C-STORE or STOW-RS (Store transaction of the profile)",
        Met.YES,
        "section 3.2 and 3.3",
        "tests/peers/test_send_peers.py",
        Known.SUMMARY,
    ),
    Requirement(
        "commitment",
        "Storage Commitment [RAD-10]",
        Met.YES,
        "N-ACTION, N-EVENT-REPORT on either association",
        "tests/peers/test_commitment_peers.py",
        Known.MEMORY,
    ),
    Requirement(
        "time-synchronisation",
        "Consistent Time (CT): Maintain Time [ITI-1]",
        Met.NO,
        "no NTP client of its own: the clock is the machine's, which has to run one; a clock set back is noticed",
        _TRIED,
        Known.MEMORY,
    ),
    Requirement(
        "audit",
        "Audit Trail and Node Authentication (ATNA): secure node",
        Met.PARTLY,
        "TLS with certificates of both sides; audit messages (section 9.3), but of no users: nobody logs in yet",
        "tests/peers/test_audit_messages.py",
        Known.MEMORY,
    ),
    Requirement(
        "workflow",
        "AI Workflow for Imaging (AIW-I): UPS work items",
        Met.NO,
        "analyses start when images come; there are no work items",
        _TRIED,
        Known.SUMMARY,
    ),
    Requirement(
        "query-retrieve",
        "Query and Retrieve of results (other actors: Image Display, Image Manager)",
        Met.NO,
        "these actors are not claimed: nothing can be queried or retrieved from Thoracle",
        _TRIED,
        Known.SUMMARY,
    ),
)


def ihe() -> Section:
    """The profile, row by row."""
    rows = [(one.key, one.what, one.met.value, one.how, f"`{one.shown}`", one.known.value) for one in REQUIREMENTS]
    return Section(
        "11. IHE AI Results (AIR): Evidence Creator",
        [
            "Thoracle was not tested at a Connectathon, and claims no IHE conformance. The text of the profile was "
            "not at hand when this was written: the last column tells from what each requirement is known.",
            table("air", ("Requirement", "Met", "How", "Shown in", "Known from"), rows),
        ],
    )
