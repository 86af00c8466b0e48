import pytest

from service.errors import Transient
from service.worker_step import InternalError, worker_step


def test_an_error_that_nobody_thought_of_is_named_without_its_message() -> None:
    with pytest.raises(InternalError) as raised, worker_step():
        raise KeyError("a patient's name")
    assert str(raised.value) == "internal error KeyError"
    assert "a patient" not in raised.value.where.replace('raise KeyError("a patient', "")
    assert "test_worker_step.py" in raised.value.where
    assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("error", [Transient("away"), OSError(28, "full"), MemoryError(), KeyboardInterrupt()])
def test_what_somebody_thought_of_goes_through(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, worker_step(MemoryError):
        raise error
    assert raised.value is error


def test_a_worker_step_inside_another_names_the_error_once() -> None:
    with pytest.raises(InternalError, match=r"^internal error ZeroDivisionError$"), worker_step(), worker_step():
        raise ZeroDivisionError
