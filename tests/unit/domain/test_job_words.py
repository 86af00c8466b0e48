"""Every state and every step has words of its own."""

import re
from pathlib import Path

from service.domain.delivery import Confirm
from service.domain.delivery_state import Delivered
from service.domain.job_state import Event
from service.domain.job_words import delivery_in_words, headline_in_words, headline_value, step_in_words

STORE = Path(__file__).parents[3] / "service" / "store"


def test_every_delivery_state_and_every_event_has_words_that_are_not_its_name() -> None:
    deliveries = {delivery_in_words(state, Confirm.QUERY) for state in Delivered} - set(Delivered) - {"withdrawn"}
    assert len(deliveries) == len(Delivered) - 1
    assert delivery_in_words("built") == "waiting to be sent"
    assert delivery_in_words("stored", Confirm.COMMITMENT) == "stored, not confirmed yet"
    assert delivery_in_words("stored", Confirm.NONE) == "delivered"
    assert delivery_in_words("unconfirmed") == "stored, never confirmed"
    assert len({step_in_words(event) for event in Event}) == len(Event)


def test_every_step_that_the_store_notes_has_words() -> None:
    noted = {
        step
        for path in STORE.glob("*.py")
        for step in re.findall(r'note\(connection, [\w.]+, [\w.]+, "([a-z ]+)"', path.read_text(encoding="utf-8"))
    }
    assert {"receive", "purge", "send again"} <= noted
    assert [step for step in noted if step_in_words(step) == step and step != "study complete"] == []


OF_SEVERITY = {
    "name": "CT severity score, Pan 2020, 0-25",
    "value": 3,
    "max": 25,
    "unit": "{score}",
    "category": "mild",
    "words": "involvement: mild",
    "remark": "5 without noise floor",
}
OF_VOLUME = {
    "name": "Volume of nodules",
    "value": 12.3,
    "max": None,
    "unit": "mL",
    "category": None,
    "words": "",
    "remark": "",
}


def test_any_headline_has_words() -> None:
    assert headline_value(OF_SEVERITY) == "3/25 mild"
    assert headline_in_words(OF_SEVERITY) == (
        "CT severity score, Pan 2020, 0-25: 3/25 mild, involvement: mild; 5 without noise floor"
    )
    none = OF_SEVERITY | {"value": 0, "category": "none"}
    assert headline_value(none) == "0/25 none", "0 is a value"
    missing = OF_SEVERITY | {"value": None, "category": None, "words": "a lobe was not found", "remark": ""}
    assert headline_value(missing) == headline_value(None) == ""
    assert headline_in_words(missing) == "CT severity score, Pan 2020, 0-25: no value, a lobe was not found"


def test_a_number_on_an_open_scale_has_its_unit() -> None:
    assert headline_value(OF_VOLUME) == "12.3 mL"
    assert headline_in_words(OF_VOLUME) == "Volume of nodules: 12.3 mL"
