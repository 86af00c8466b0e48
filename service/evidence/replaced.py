"""Which earlier result an object replaces, in words. Only the later one says so: the earlier cannot know."""

from service.evidence.case import Filed
from service.evidence.times import written


def replaces(what: str, case: Filed) -> tuple[str, ...]:
    """One sentence, or none where nothing is replaced. what: the object, "report" or "notice"."""
    earlier = case.context.replaces
    if earlier is None:
        return ()
    kind = "notice" if earlier.notice else "result"
    when = f" of {written(earlier.analysed_at, case.header):%Y-%m-%d %H:%M}" if earlier.analysed_at else ""
    this = f"This {what} (v{case.context.number}) of {case.context.pipeline.name}"
    return (f"{this} replaces {kind} v{earlier.number}{when}.",)
