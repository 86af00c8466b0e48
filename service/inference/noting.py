"""A back end that notes which of its models were asked: a refusal that rests on an answer names who gave it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.findings import ModelUse
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend
from service.domain.priority import Urgency


@dataclass(frozen=True, slots=True)
class Noting:
    """`domain.ports.Backend`. asked: by the name of the model, the first one first."""

    backend: Backend
    asked: dict[str, ModelUse] = field(default_factory=dict)

    @property
    def concurrency(self) -> int:
        return self.backend.concurrency

    def has(self, name: str) -> bool:
        return self.backend.has(name)

    def spec(self, name: str) -> ModelSpec:
        return self.backend.spec(name)

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        spec = self.backend.spec(name)
        self.asked[name] = ModelUse(spec.name, spec.version, spec.sha256)
        return self.backend.infer(name, inputs)

    def check(self) -> None:
        self.backend.check()

    def cancel(self) -> None:
        self.backend.cancel()

    def at(self, urgency: Urgency) -> "Noting":
        return Noting(self.backend.at(urgency), self.asked)
