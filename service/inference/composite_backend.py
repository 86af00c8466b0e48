"""Routes each model name to its own back end, for studies analysed by a candidate version."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend
from service.domain.priority import Urgency


@dataclass(frozen=True, slots=True)
class CompositeBackend:
    """`domain.ports.Backend`. others: by the name of the model that each is for."""

    usual: Backend
    others: Mapping[str, Backend]

    @property
    def concurrency(self) -> int:
        return self.usual.concurrency

    def has(self, name: str) -> bool:
        return self._of(name).has(name)

    def spec(self, name: str) -> ModelSpec:
        return self._of(name).spec(name)

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return self._of(name).infer(name, inputs)

    def check(self) -> None:
        for backend in (self.usual, *self.others.values()):
            backend.check()

    def at(self, urgency: Urgency) -> "CompositeBackend":
        return CompositeBackend(
            self.usual.at(urgency), {name: backend.at(urgency) for name, backend in self.others.items()}
        )

    def cancel(self) -> None:
        for backend in (self.usual, *self.others.values()):
            backend.cancel()

    def _of(self, name: str) -> Backend:
        return self.others.get(name, self.usual)
