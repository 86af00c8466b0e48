import pytest

from service.domain.delivery_state import (
    DELIVERY_TRANSITIONS,
    NOT_THERE,
    TO_SEND,
    UNDER_WAY,
    Delivered,
    DeliveryEvent,
    advance_delivery,
)
from service.domain.job_state import IllegalTransition

Happens = DeliveryEvent


def walk(*events: DeliveryEvent) -> Delivered:
    state = Delivered.BUILT
    for event in events:
        state = advance_delivery(state, event)
    return state


def sources(event: DeliveryEvent) -> set[Delivered]:
    return {state for state, one in DELIVERY_TRANSITIONS if one is event}


def test_the_way_of_an_object_that_is_committed() -> None:
    assert walk(Happens.SEND, Happens.STORE, Happens.COMMIT) is Delivered.COMMITTED
    assert walk(Happens.SEND, Happens.WAIT, Happens.SEND, Happens.STORE) is Delivered.STORED
    assert walk(Happens.SEND, Happens.STORE, Happens.MISS, Happens.SEND, Happens.STORE) is Delivered.STORED


def test_the_ends_that_wait_for_an_operator() -> None:
    ends = (walk(Happens.SEND, Happens.REJECT), walk(Happens.SEND, Happens.STORE, Happens.GIVE_UP))
    assert {*ends, walk(Happens.WITHHOLD)} == set(NOT_THERE)


@pytest.mark.parametrize("state", Delivered)
def test_what_the_table_does_not_name_is_illegal(state: Delivered) -> None:
    for event in DeliveryEvent:
        if (state, event) not in DELIVERY_TRANSITIONS:
            with pytest.raises(IllegalTransition, match=f"an object that is {state} at its destination cannot {event}"):
                advance_delivery(state, event)


def test_only_what_is_stored_is_confirmed_and_only_what_is_built_goes_out() -> None:
    assert sources(Happens.COMMIT) == sources(Happens.MISS) == {Delivered.STORED}
    assert sources(Happens.SEND) == {Delivered.BUILT}
    assert sources(Happens.WAIT) == set(TO_SEND)


def test_an_operator_may_send_everything_once_more_and_what_was_stored_always_counts() -> None:
    assert sources(Happens.BUILD_AGAIN) == sources(Happens.STORE) == set(Delivered)


def test_every_state_has_its_place() -> None:
    assert {*UNDER_WAY, *NOT_THERE, Delivered.COMMITTED, Delivered.WITHDRAWN} == set(Delivered)
    assert set(DELIVERY_TRANSITIONS.values()) == set(Delivered)


def test_the_names_that_databases_hold_stay() -> None:
    names = ("built", "sent", "stored", "committed", "refused", "unconfirmed", "withheld", "withdrawn")
    assert tuple(Delivered) == names
