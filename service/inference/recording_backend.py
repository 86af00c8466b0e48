"""A back end that notes which of its models were asked: a refusal that rests on an answer names who gave it."""

from collections.abc import Mapping

from service.domain.analysis import ModelUse
from service.domain.ports import Array, Backend
from service.inference.backend_wrapper import BackendWrapper


class RecordingBackend(BackendWrapper):
    """`domain.ports.Backend`. asked: by the name of the model, the first one first."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.asked: dict[str, ModelUse] = {}

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        spec = self.spec(name)
        self.asked[name] = ModelUse(spec.name, spec.version, spec.sha256)
        return self._backend.infer(name, inputs)
