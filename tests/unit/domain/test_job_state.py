import pytest

from service.domain.job_state import (
    NOT_ANALYSED,
    TRANSITIONS,
    UNWANTED,
    Event,
    IllegalTransition,
    State,
    advance,
    is_possible,
)


def walk(*events: Event) -> State:
    state = State.CREATED
    for event in events:
        state = advance(state, event)
    return state


def test_the_way_of_a_delivered_job() -> None:
    assert walk(Event.QUEUE, Event.START, Event.ANALYSE, Event.DELIVER, Event.COMPLETE) is State.DELIVERED


def test_a_job_begun_again_after_a_kill_or_a_retry_ends_the_same() -> None:
    assert walk(Event.START, Event.START, Event.RETRY, Event.START, Event.REFUSE) is State.REFUSED


def test_an_operator_may_retry_what_failed() -> None:
    assert walk(Event.START, Event.FAIL, Event.RETRY, Event.START) is State.RUNNING
    assert walk(Event.START, Event.ANALYSE, Event.DELIVER, Event.GIVE_UP, Event.DELIVER) is State.DELIVERING


@pytest.mark.parametrize("state", State)
def test_what_the_table_does_not_name_is_illegal(state: State) -> None:
    for event in Event:
        if (state, event) not in TRANSITIONS:
            with pytest.raises(IllegalTransition, match=f"a job that is {state} cannot {event}"):
                advance(state, event)


def test_final_states_lead_nowhere_but_to_another_delivery() -> None:
    sources = {state for state, _ in TRANSITIONS}
    assert set(State) - sources == {State.SUPERSEDED, State.CANCELLED}
    assert {event: to for (state, event), to in TRANSITIONS.items() if state is State.DELIVERED} == {
        Event.RESEND: State.DELIVERING
    }
    assert {to for (state, _), to in TRANSITIONS.items() if state is State.REFUSED} == {State.REFUSED}


def test_every_state_can_be_reached() -> None:
    reached = {State.CREATED}
    for _ in State:
        reached |= {target for (source, _), target in TRANSITIONS.items() if source in reached}
    assert reached == set(State)


def test_a_newer_job_supersedes_whatever_is_not_delivered_and_has_not_ended() -> None:
    assert {state for state in State if is_possible(state, Event.SUPERSEDE)} == {
        *NOT_ANALYSED,
        State.ANALYSED,
        State.DELIVERING,
        State.UNDELIVERED,
    }


def test_nothing_happens_to_a_job_that_nobody_wants() -> None:
    assert not [event for event in Event for state in UNWANTED if is_possible(state, event)]
