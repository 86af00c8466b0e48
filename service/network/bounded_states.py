"""The state machine of an association (PS3.8 9.2), which no event ends."""

from contextlib import suppress
from queue import Empty

from pynetdicom.fsm import TRANSITION_TABLE, StateMachine


class BoundedStates(StateMachine):
    """Drops an answer of ours for which the state has no transition: the peer ended the association meanwhile.

    PDUs have a transition in every state. pynetdicom raises an error, which ends the thread that reads.
    """

    def do_action(self, event: str) -> None:
        """Take the event, if the state has a transition for it."""
        if (event, self.current_state) in TRANSITION_TABLE:
            super().do_action(event)
        elif event in _OURS:
            with suppress(Empty):
                self.dul.to_provider_queue.get(block=False)


_OURS = ("Evt7", "Evt8", "Evt9", "Evt11", "Evt14", "Evt15")
"""Events of our primitives (PS3.8 table 9-1): each stays at the head of the queue until an action takes it."""
