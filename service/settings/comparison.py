"""Comparison with earlier results."""

from pydantic import Field

from service.settings.values import DestinationName, Frozen


class Comparison(Frozen):
    """With the latest earlier CT of the same patient that the same pipeline analysed."""

    enabled: bool = Field(True, description="whether results are compared with earlier ones")
    max_years: float = Field(10, gt=0, le=100, description="results of older CTs do not count")
    archive: DestinationName | None = Field(
        None,
        description="name of a destination (dicomweb) that is asked for earlier results which are no longer here; "
        "null: only this service's own are known",
    )
    archive_within_s: float = Field(
        60, gt=0, le=600, description="after this time without an answer the archive counts as not asked"
    )
