"""Back ends that wrap others: one keeps every answer, one compares every answer with a reference."""

from collections.abc import Mapping
from hashlib import sha256
from threading import Lock
from typing import Any

from service.domain.backend_wrapper import BackendWrapper
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend
from service.rollout.output_statistics import OutputStatistics


class CachingBackend(BackendWrapper):
    """`domain.ports.Backend`. It keeps every answer, for one CT some ten megabytes."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._answers: dict[tuple[str, bytes], dict[str, Array]] = {}

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        key = (name, _digest(inputs))
        if key not in self._answers:
            self._answers[key] = self._backend.infer(name, inputs)
        return self._answers[key]


class ComparingBackend(BackendWrapper):
    """`domain.ports.Backend`: the candidate, of whose inputs the reference, if there is one, is asked too."""

    def __init__(self, reference: Backend | None, candidate: Backend) -> None:
        super().__init__(candidate)
        self._reference = reference
        self._answers: dict[tuple[str, str], OutputStatistics] = {}
        self._lock = Lock()

    @property
    def answers(self) -> tuple[OutputStatistics, ...]:
        """So far, of every channel that was asked for, by model: which is asked first depends on threads."""
        return tuple(sorted(self._answers.values(), key=lambda one: one.model))

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = self._backend.infer(name, inputs)
        reference = self._alike(name)
        expected = reference.infer(name, inputs) if reference else None
        found = _channels(self.spec(name), answer)
        wanted = {} if expected is None else _channels(self.spec(name), expected)
        for channel, values in found.items():
            with self._lock:
                so_far = self._answers.get((name, channel), OutputStatistics(name, channel))
                self._answers[name, channel] = so_far.with_call(values, wanted.get(channel))
        return answer

    def _alike(self, name: str) -> Backend | None:
        """The reference, if it has this model, is shown the same and answers in the same way."""
        if self._reference is None or not self._reference.has(name):
            return None
        alike = _shape(self._reference.spec(name)) == _shape(self._backend.spec(name))
        return self._reference if alike else None


def _channels(spec: ModelSpec, answer: Mapping[str, Array]) -> dict[str, Array]:
    """The values of each channel that the spec names, else of the whole tensor; of several outputs, with their name."""
    found = {}
    for tensor in spec.outputs:
        before = "" if len(spec.outputs) == 1 else f"{tensor.name} "
        for number, channel in enumerate(tensor.channels):
            found[f"{before}{channel}"] = answer[tensor.name][:, number]
        if not tensor.channels:
            found[tensor.name] = answer[tensor.name]
    return found


def _shape(spec: ModelSpec) -> tuple[Any, ...]:
    return spec.inputs, spec.outputs, spec.input_layout, spec.spacing_mm, spec.slice_mm, spec.window_hu


def _digest(inputs: Mapping[str, Array]) -> bytes:
    digest = sha256()
    for name, array in sorted(inputs.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
