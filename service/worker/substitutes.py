"""Chooses what is sent in place of a result object that a destination does not take, or that must not go there."""

from collections.abc import Collection, Mapping, Sequence

from service.domain.delivery import OpenDelivery
from service.domain.delivery_state import NOT_THERE, Delivered
from service.domain.job import StoredObject
from service.evidence.context import NEEDED, STUDY, is_segmentation, selects
from service.network.send import StoreOutcome
from service.network.status import Verdict
from service.store.deliveries import Instead
from service.store.planning import Plan
from service.worker.destination import Target, with_one_root


def wanted_of(objects: Sequence[StoredObject], target: Target) -> list[StoredObject]:
    """The objects that a destination is to get.

    A destination whose style was not encoded, since it was added after the analysis, gets its fallback style, or else
    the first one by name.
    """
    kinds = [o for o in objects if selects(target.kinds, o.kind)]
    encoded = {o.style for o in kinds if o.style is not None}
    style = next((one for one in (target.style, target.fallback, *sorted(encoded)) if one in encoded), None)
    return [o for o in kinds if o.style in (None, style)]


def style_refused(waiting: OpenDelivery, sent: StoreOutcome, target: Target, over: bool) -> bool:
    """Whether the destination cannot take the style, or does not understand it again and again (0xCxxx).

    Attempts that found nobody prove nothing: the answer before must be the same, unless the time for trying is `over`.
    """
    if waiting.stored.style != target.style or not is_segmentation(waiting.stored.kind):
        return False
    if sent.verdict is not Verdict.TRANSIENT or not _not_understood(sent.status):
        return sent.unsupported
    again = _not_understood(waiting.status) and waiting.attempts + 1 >= len(target.policy.delays_s)
    return again or over


def _not_understood(status: int | None) -> bool:
    return status is not None and status >> 12 == 0xC


def other_style(objects: Sequence[StoredObject], target: Target, refusal: str) -> Instead | None:
    """The fallback style, where the destination refuses the style that it should get; None where there is none."""
    if target.fallback is None:
        return None
    wanted = [o for o in objects if selects(target.kinds, o.kind)]
    old = {o.sop_instance_uid for o in wanted if o.style == target.style}
    others = with_one_root([o for o in wanted if o.style in (None, target.fallback)])
    new = [o.sop_instance_uid for o in others if o.style == target.fallback]
    return Instead(old, Plan(new, target.confirm), f"{refusal}: {target.fallback} is sent instead") if new else None


def other_root(
    objects: Sequence[StoredObject],
    held: Mapping[str, str],
    states: Sequence[tuple[StoredObject, Delivered]],
    target: Target,
    tried: Collection[str],
) -> Instead | None:
    """The best other study SR, where the planned one refers to what is not there; None where there is none.

    objects: of the job. held: why objects are withheld, by SOP Instance UID. tried: what this attempt sent already.
    """
    planned = next((o for o in objects if o.kind == STUDY.kind and o.sop_instance_uid in held), None)
    if planned is None:
        return None
    there = {o.sop_instance_uid for o, state in states if state not in (*NOT_THERE, Delivered.WITHDRAWN)}
    needed = {o.sop_instance_uid for o in objects if selects(NEEDED, o.kind)}
    roots = [o for o in objects if o.kind == STUDY.kind and o is not planned]
    possible = [o for o in roots if needed & set(o.refers_to) <= there]
    known = {o.sop_instance_uid for o, _ in states}

    def rank(one: StoredObject) -> tuple[int, int, bool, bool]:
        outside = len(set(one.refers_to) - there)
        return outside, -len(one.refers_to), one.sop_instance_uid not in known, one.style != planned.style

    best = min(possible, key=rank, default=None)
    if best is None:
        return None
    new = [] if best.sop_instance_uid in tried else [best.sop_instance_uid]
    why = f"{held[planned.sop_instance_uid]}: a summary that does not refer to it is sent instead"
    return Instead([planned.sop_instance_uid], Plan(new, target.confirm), why)
