"""What the engine's database holds: ids and stored results that every version of the service must understand."""

from collections.abc import Callable, Sequence

import pytest
from sqlalchemy.exc import OperationalError

from service.domain.job import NoSuchJob
from service.domain.work import DONE, NOTHING_TO_DELIVER, Deliver, Done, TryAgain
from service.errors import Permanent
from service.store.durable_engine import workflows


@pytest.mark.parametrize(
    "stored, result",
    [
        (["pacs", "archive"], Deliver(("pacs", "archive"))),
        ([], NOTHING_TO_DELIVER),
        ((), NOTHING_TO_DELIVER),
        (60.0, TryAgain(60.0)),
        (60, TryAgain(60.0)),
    ],
)
def test_a_stored_result_of_any_version_is_understood(
    stored: Sequence[str] | float, result: Deliver | TryAgain
) -> None:
    assert workflows._analysis(stored) == result


def test_results_are_stored_as_plain_values() -> None:
    assert workflows._stored(Deliver(("pacs",), priority=3)) == ["pacs"]
    assert workflows._stored(TryAgain(60.0)) == workflows._wait_s(TryAgain(60.0)) == 60.0
    assert workflows._wait_s(DONE) is None


def test_ids_begin_with_the_kind_and_the_job() -> None:
    ids = [
        workflows.study_prefix("a"),
        workflows.delivery_prefix("a", "pacs"),
        workflows.delivery_prefix("a"),
        workflows.shadow_prefix("a"),
    ]
    assert ids == ["study:a:", "delivery:a:pacs:", "delivery:a:", "shadow:a:"]
    assert workflows.kind_and_job("delivery:a:pacs:2") == ("delivery", "a")


def raising(error: Exception) -> Callable[[], Done]:
    def work() -> Done:
        raise error

    return work


@pytest.mark.parametrize(
    "error", [OperationalError("SELECT", {}, Exception()), OSError(28, "full"), KeyError("a name"), Permanent("no")]
)
def test_a_step_that_fails_is_tried_again_and_tells_no_message_of_an_unknown_error(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert workflows._step(raising(error), DONE) == TryAgain(30.0)
    assert "a name" not in caplog.text.replace('KeyError("a name")', "")


def test_a_step_of_a_job_that_is_gone_is_settled() -> None:
    assert workflows._step(raising(NoSuchJob("there is no job a")), DONE) is DONE
