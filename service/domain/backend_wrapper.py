"""Base class of the back ends that wrap another one."""

from typing import Self

from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.domain.priority import Urgency


class BackendWrapper:
    """All of `domain.ports.Backend` but `infer`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def concurrency(self) -> int:
        return self._backend.concurrency

    def has(self, name: str) -> bool:
        return self._backend.has(name)

    def spec(self, name: str) -> ModelSpec:
        return self._backend.spec(name)

    def check(self) -> None:
        self._backend.check()

    def at(self, _urgency: Urgency) -> Self:
        """It goes around one study, whose urgency the back end inside has been told."""
        return self

    def cancel(self) -> None:
        self._backend.cancel()
