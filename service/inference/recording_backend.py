"""A back end that records which of its models are used: a refusal that follows from an answer names the model.

An answer may have been given before, for another pipeline (`CT.remembered`), so a model counts as soon as its spec is
read.
"""

from collections.abc import Mapping

from service.domain.analysis import ModelUse
from service.domain.backend_wrapper import BackendWrapper
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend


class RecordingBackend(BackendWrapper):
    """`domain.ports.Backend`. asked: by name of the model, in the order of their first use."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.asked: dict[str, ModelUse] = {}

    def spec(self, name: str) -> ModelSpec:
        spec = self._backend.spec(name)
        self.asked[name] = ModelUse.of(spec)
        return spec

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.spec(name)
        return self._backend.infer(name, inputs)
