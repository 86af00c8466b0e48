"""Model roles: what a pipeline asks of each of its models. A model's name is that of its role.

A pipeline declares its roles. The description of a model (its spec) is checked against its role before the model is
installed, and again before it gets a study; the pipeline may rely on that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from service.domain.model_spec import DType, ModelSpec, TensorSpec

Check = Callable[[ModelSpec], Iterable[str]]
"""What keeps a model from a role, one sentence each; nothing if it fits."""


@dataclass(frozen=True, slots=True)
class Role:
    """One role. Two pipelines that share a model share the same object. purpose: in a few words, for lists."""

    name: str
    purpose: str
    check: Check


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor that a role asks for. dims: without the batch axis; None: of any size.

    An output of UINT8 is taken for probabilities, 255 = certain: where two servers are compared, a difference of one is
    rounding. Labels and counts need another type of whole numbers: where none exceeds 255, any difference is a mistake.
    """

    dtype: DType
    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype} of dims [{', '.join('n' if size is None else str(size) for size in self.dims)}]"

    def fits(self, tensor: TensorSpec) -> bool:
        """Whether a tensor is as asked for."""
        return (
            tensor.dtype == self.dtype
            and len(tensor.dims) == len(self.dims)
            and all(size in (None, found) for size, found in zip(self.dims, tensor.dims, strict=True))
        )


@dataclass(frozen=True, slots=True)
class Tensors:
    """A `Check`: the model has exactly these inputs and outputs, by name; several of any type and rank."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]

    def __call__(self, spec: ModelSpec) -> Iterator[str]:
        for side, asked, found in (("inputs", self.inputs, spec.inputs), ("outputs", self.outputs, spec.outputs)):
            if {tensor.name for tensor in found} != asked.keys() or len(found) != len(asked):
                yield f"{side}: {spec.name} has {', '.join(asked)}, not {', '.join(tensor.name for tensor in found)}"
                continue
            for tensor in found:
                if not asked[tensor.name].fits(tensor):
                    yield f"{side}: {tensor.name} is {asked[tensor.name]}"


def mistakes(spec: ModelSpec, roles: Mapping[str, Role]) -> list[str]:
    """What keeps a model from its role, one sentence each; empty if nothing does. roles: by name."""
    role = roles.get(spec.name)
    if role is None:
        return [f"name: {spec.name!r} is no role; there are {', '.join(roles)}"]
    too_small = ["max_batch: at least 1"] if spec.max_batch < 1 else []
    return [*role.check(spec), *too_small]
