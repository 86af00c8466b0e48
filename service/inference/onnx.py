"""ONNX Runtime in this process, on the CPU unless another provider is chosen, over the repository that Triton serves.

All models are loaded and checked once, at the start. A fixed number of threads and no run-time tuning keep reruns
byte-identical. A session has one thread, and the caller brings as many as there are cores: two slices side by side
are faster than one on two cores.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime as ort

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent, ThoracleError, Transient
from service.inference.files import embedded, model_files
from service.inference.providers import ORT_ERRORS, Runs
from service.inference.synthetic_ct import synthetic_inputs
from service.inference.tensors import check_inputs

_ORT_NAMES = {"float32": "float", "float64": "double"}
"""Types that ONNX names otherwise than NumPy."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model, loaded and checked."""

    spec: ModelSpec
    session: ort.InferenceSession

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Permanent if the inputs are not what the spec says or the model fails."""
        check_inputs(self.spec, inputs)
        outputs = [tensor.name for tensor in self.spec.outputs]
        try:
            answers = self.session.run(outputs, {k: np.ascontiguousarray(v) for k, v in inputs.items()})
        except ORT_ERRORS as exc:
            # A GPU may be full or gone for now; the CPU fails by what it is given.
            kind = Transient if self.spec.runs_on else Permanent
            raise kind(f"Model {self.spec.name} failed: {exc}") from exc
        return dict(zip(outputs, answers, strict=True))


class OnnxBackend:
    """`domain.ports.Backend`. Permanent at construction if a model is missing, altered or not what its spec says."""

    def __init__(
        self,
        repository: Path,
        threads: int = 2,
        versions: Mapping[str, str] | None = None,
        beside: "Sequence[OnnxBackend]" = (),
        runs: Runs = Runs(),
        watched: Collection[str] | None = None,
    ) -> None:
        """versions: to serve in place of the active ones, by model name. beside: share what they have loaded.

        runs: the provider. watched: names of the models that `check` asks; None: all.
        """
        self.concurrency = threads
        loaded = {model.spec.sha256: model for other in beside for model in other._models.values()}
        files = model_files(repository, versions)
        self._models: dict[str, Model] = {
            name: loaded.get(file.spec.sha256) or load_model(file.content, file.key, runs)
            for name, file in files.items()
        }
        self._first: dict[str, dict[str, Array]] = beside[0]._first if beside else {}
        self._watched = [model for name, model in self._models.items() if watched is None or name in watched]
        self._why_not = ""

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specs of all models, by name."""
        return tuple(loaded.spec for loaded in self._models.values())

    def has(self, name: str) -> bool:
        return name in self._models

    def spec(self, name: str) -> ModelSpec:
        return self._model(name).spec

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Permanent if the inputs are not what the spec says or the model fails.

        Transient from a check that failed until one passes.
        """
        model = self._model(name)
        if self._why_not:
            raise Transient(self._why_not)
        return model.infer(inputs)

    def check(self) -> None:
        """Transient if a watched model fails on a drawn image, or says otherwise about it than the first time."""
        try:
            for model in self._watched:
                self._check(model)
        except ThoracleError as error:
            self._why_not = str(error)
            raise Transient(self._why_not) from error
        self._why_not = ""

    def _check(self, model: Model) -> None:
        answer = model.infer(synthetic_inputs(model.spec))
        first = self._first.setdefault(model.spec.sha256, answer)
        if any(answer[output].tobytes() != first[output].tobytes() for output in first):
            raise Transient(f"Model {model.spec.name} no longer answers an image as it did at the start.")

    def at(self, _urgency: Urgency) -> Self:
        """Nothing waits here: a worker analyses one study at a time."""
        return self

    def cancel(self) -> None:
        """Nothing waits here."""

    def _model(self, name: str) -> Model:
        if name not in self._models:
            raise Permanent(f"Model {name} is not installed; installed are {', '.join(self._models)}.")
        return self._models[name]


def load_model(content: bytes, key: str, runs: Runs = Runs()) -> Model:
    """A model from the bytes of its file; Permanent if it is not what its spec says. key: its name in messages."""
    spec = replace(embedded(content, f"model file {key}"), runs_on=runs.named)
    session = runs.session(content, spec, key)
    _check_tensors(spec, session, key)
    return Model(spec, session)


def _check_tensors(spec: ModelSpec, session: ort.InferenceSession, key: str) -> None:
    """The graph's inputs and outputs are those of the spec; the first axis is the free batch axis."""
    for declared, actual in ((spec.inputs, session.get_inputs()), (spec.outputs, session.get_outputs())):
        expected = [(t.name, f"tensor({_ORT_NAMES.get(t.dtype, t.dtype)})", t.dims) for t in declared]
        found = [(a.name, a.type, tuple(a.shape[1:])) for a in actual]
        if expected != found:
            raise Permanent(f"Model file {key} has tensors {found}, but its spec says {expected}.")
