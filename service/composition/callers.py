"""Builds from the settings who may call the receiver."""

from service.network.callers import ANYWHERE, Caller
from service.network.rights import Right
from service.settings import DicomDestination, Settings


def callers(settings: Settings) -> dict[str, Caller] | None:
    """Also whoever is to report to us that it keeps the results, unless an entry fits it; None: everybody.

    Of these we know no address; but a report counts only with the number of a transaction that nobody else was told.
    """
    known = settings.receiver.callers
    if not known:
        return None
    everywhere = settings.destinations.values()
    reporting = {d.ae_title for d in everywhere if isinstance(d, DicomDestination) and d.confirm == "commitment"}
    unknown = {name for name in reporting if settings.receiver.caller(name) is None}
    implied = {name: Caller(ANYWHERE, may=frozenset({Right.REPORT})) for name in unknown}
    listed = {
        name: Caller(one.addresses, one.certificates, frozenset(map(Right, one.may))) for name, one in known.items()
    }
    return implied | listed
