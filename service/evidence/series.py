"""The series of an object: its number and description tell the results of one study apart.

Lists of series show some 24 characters: what it is, which result and when come first. The letters are ASCII, which
archives and lists of any character set show.
"""

from datetime import datetime
from typing import Any

from service.evidence.case import Filed
from service.evidence.context import EvidenceContext, Product
from service.evidence.times import written

_LONGEST, _LIMITATION = 64, " research use only"

PER_RESULT = 100
"""Room between the series numbers of two results of a study."""


def series(case: Filed, product: Product, *variant: str) -> dict[str, Any]:
    """Arguments of highdicom's constructors for the General Series module (PS3.3 C.7.3.1) and the only instance in it.

    variant: tells objects of one product apart.
    """
    return {
        "series_instance_uid": case.uids(product.kind, "series", *variant),
        "series_number": case.context.pipeline.series_number + product.offset + PER_RESULT * (case.context.number - 1),
        "series_description": description(product.title, case.context, written_at(case)),
        "sop_instance_uid": case.uids(product.kind, "instance", *variant),
        "instance_number": 1,
    }


def description(title: str, context: EvidenceContext, at: datetime) -> str:
    """Series Description (LO, 64 characters). A long name of a pipeline is cut, never the use limitation."""
    what = f"{title} v{context.number} {at:%H:%M} {context.pipeline.name}"
    return f"{what[: _LONGEST - len(_LIMITATION)].rstrip()}{_LIMITATION}"


def written_at(case: Filed) -> datetime:
    """When the analysis began, as the case's objects write it."""
    return written(case.context.analysed_at, case.header)
