"""Who changed what: an entry is there before the change, and tells what came of it."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from service.errors import Permanent
from service.store.audit import LONGEST_TEXT, MOST_VALUES, Audit

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_an_entry_tells_who_wanted_what_and_what_came_of_it(engine: sa.Engine) -> None:
    audit = Audit(engine, lambda: NOW)
    with audit.entry("ada@host", "promote", "lobes", version="2", share=None) as detail:
        (begun,) = audit.entries()
        assert (begun["outcome"], begun["detail"]) == ("begun", {"version": "2"}), "a kill now leaves this"
        detail["sha256"] = "ab"
    with pytest.raises(Permanent), audit.entry("ada@host", "promote", "lobes", version="3"):
        raise Permanent("It is all black.")
    with pytest.raises(ZeroDivisionError), audit.entry("ada@host", "promote", "lungs"):
        raise ZeroDivisionError("a patient's name")
    latest, refused, done = audit.entries()
    assert (done["who"], done["what"], done["at"], done["outcome"]) == ("ada@host", "promote", NOW, "done")
    assert done["detail"] == {"version": "2", "sha256": "ab"}
    assert (refused["outcome"], refused["detail"]) == ("refused", {"version": "3", "why": "It is all black."})
    assert (latest["outcome"], latest["detail"]) == ("failed", {"why": "ZeroDivisionError"})
    assert [one["subject"] for one in audit.entries(subject="lungs")] == ["lungs"]
    assert audit.entries(limit=1) == [latest]
    assert audit.entries(since=datetime(2026, 3, 3, tzinfo=UTC)) == []


def test_the_last_time_that_something_was_done_to_a_version_is_found_however_long_ago(engine: sa.Engine) -> None:
    now = NOW
    audit = Audit(engine, lambda: now)
    assert audit.last("shadow", "lobes", "2") is None
    audit.note("ada@host", "shadow", "lobes", "done", version="2")
    now += timedelta(hours=1)
    audit.note("ada@host", "shadow", "lobes", "refused", version="2")
    for version in range(3, 110):
        audit.note("ada@host", "shadow", "lobes", "done", version=str(version))
    assert audit.last("shadow", "lobes", "2") == NOW
    assert audit.last("shadow", "lobes", "109") == now
    assert audit.last("promote", "lobes", "2") is None


def test_no_text_and_no_list_of_an_entry_is_long(engine: sa.Engine) -> None:
    audit = Audit(engine, lambda: NOW)
    long = "x" * 5000
    with pytest.raises(Permanent), audit.entry(long, "resend", long, to=[long] * 500, before={"active": {long: long}}):
        raise Permanent(long)
    audit.note("ada\udce4", "add", "lobes", "refused", why=long)
    noted, entry = audit.entries()
    cut = f"{'x' * (LONGEST_TEXT - 1)}…"
    assert (noted["who"], noted["detail"]) == ("ada?", {"why": cut})
    assert (entry["who"], entry["subject"], entry["outcome"]) == (cut, cut, "refused")
    assert entry["detail"] == {"to": [cut] * MOST_VALUES + ["…"], "before": {"active": {cut: cut}}, "why": cut}
