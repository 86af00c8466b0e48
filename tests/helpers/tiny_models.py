"""Networks without weights that do something right: lungs are dark, lobes lie one behind the other.

They are fed like the networks of lungmask (body crops) and stand for better models that a site installs.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.domain.anatomy import Lobe
from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.serving import promote
from service.inference.install import prepare
from service.inference.repository import add, change, create
from service.pipelines import MODEL_ROLES
from service.settings import default_repository

SIZE = 128
LUNG_BELOW_HU = -400
OPACITY_ABOVE_HU = -750
_NO_LEAST_HU = -(2**15) - 1
_PLANE = ("row to P", "column to L")


def _spec(name: str, channels: str, thresholds: dict[str, float]) -> ModelSpec:
    count = len(channels.split(", "))
    return ModelSpec(
        name=name,
        version="",
        inputs=(TensorSpec("hu", "int16", (1, SIZE, SIZE), ("channel", *_PLANE)),),
        outputs=(TensorSpec("probability", "uint8", (count, SIZE, SIZE), (channels, *_PLANE)),),
        max_batch=4,
        window_hu=(-1024, 600),
        thresholds=thresholds,
        licence="CC0",
        layout="body-crop",
        source="tests",
    )


LUNGS = _spec("lungs", "lung", {"lung": 0.5})
LOBES = _spec("lobes", ", ".join(lobe.name for lobe in Lobe), {})
LUNG_OPACITY = replace(
    _spec("lung-opacity", "lung, opacity", {"lung": 0.5, "opacity": 0.5}),
    layout="plane-grid",
    spacing_mm=3.2,
    window_hu=None,
)

STACK, AROUND = 8, 5
"""Slices that `OPACITY_CONTEXT` answers for at once, and those on either side that it is given."""

_STACK = ("lung, opacity", "slice to F", *_PLANE)

OPACITY_CONTEXT = replace(
    LUNG_OPACITY,
    name="opacity-context",
    layout="slice-stacks",
    inputs=(TensorSpec("hu", "int16", (STACK + 2 * AROUND, SIZE, SIZE), ("slice to F", *_PLANE)),),
    outputs=(TensorSpec("probability", "uint8", (2, STACK, SIZE, SIZE), _STACK),),
    max_batch=1,
    slice_mm=2.5,
    thresholds={"lung": 0.5, "opacity": 0.5},
)


def lungs() -> bytes:
    """Lung is what is darker than `LUNG_BELOW_HU`; air around the body too, which the pipeline has to know better."""
    return _graph(LUNGS, np.full((1, SIZE, SIZE), 255, np.uint8))


def lobes() -> bytes:
    """Lobes from front to back, the same in every slice, and no lobe where it is dense."""
    where = np.zeros((len(Lobe), SIZE, SIZE), np.uint8)
    half = SIZE // 2
    for lobe, front, back in ((Lobe.RUL, 0.0, 0.35), (Lobe.RML, 0.35, 0.5), (Lobe.RLL, 0.5, 1.0)):
        where[lobe - 1, round(front * SIZE) : round(back * SIZE), :half] = 255
    for lobe, front, back in ((Lobe.LUL, 0.0, 0.5), (Lobe.LLL, 0.5, 1.0)):
        where[lobe - 1, round(front * SIZE) : round(back * SIZE), half:] = 255
    return _graph(LOBES, where)


def black_lobes() -> bytes:
    """No lobe anywhere, as 16 bits may make of a good network."""
    return _graph(LOBES, np.zeros((len(Lobe), SIZE, SIZE), np.uint8))


def lung_opacity() -> bytes:
    """Lung as of `lungs`; opacity is what of it is lighter than `OPACITY_ABOVE_HU`."""
    return _graph(LUNG_OPACITY, np.full((2, SIZE, SIZE), 255, np.uint8), (_NO_LEAST_HU, OPACITY_ABOVE_HU))


def opacity_context(above_hu: int = OPACITY_ABOVE_HU) -> bytes:
    """Opacity is what is between `above_hu` and soft tissue, in each slice; the file carries no spec."""
    taken, given = OPACITY_CONTEXT.inputs[0], OPACITY_CONTEXT.outputs[0]
    constants = [
        numpy_helper.from_array(np.array(values, kind), name)
        for name, values, kind in (
            ("first", [AROUND], np.int64),
            ("last", [AROUND + STACK], np.int64),
            ("slices", [1], np.int64),
            ("below", LUNG_BELOW_HU, np.int32),
            ("above", np.reshape([_NO_LEAST_HU, above_hu], (2, 1, 1, 1)), np.int32),
            ("certain", 255, np.int32),
        )
    ]
    nodes = [
        helper.make_node("Cast", [taken.name], ["wide"], to=TensorProto.INT32),
        helper.make_node("Slice", ["wide", "first", "last", "slices"], ["middle"]),
        helper.make_node("Unsqueeze", ["middle", "slices"], ["one"]),
        helper.make_node("Less", ["one", "below"], ["dark"]),
        helper.make_node("Greater", ["one", "above"], ["light"]),
        helper.make_node("And", ["dark", "light"], ["between"]),
        helper.make_node("Cast", ["between"], ["ones"], to=TensorProto.INT32),
        helper.make_node("Mul", ["ones", "certain"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], [given.name], to=TensorProto.UINT8),
    ]
    return _model(OPACITY_CONTEXT, nodes, constants)


def _graph(spec: ModelSpec, where: np.ndarray, above_hu: tuple[int, ...] = (_NO_LEAST_HU,)) -> bytes:
    """255 where a pixel is dark and `where` says so; the file carries no spec. above_hu: by channel, or of all."""
    taken, given = spec.inputs[0], spec.outputs[0]
    constants = [
        numpy_helper.from_array(np.array(LUNG_BELOW_HU, np.int32), "below"),
        numpy_helper.from_array(np.array(above_hu, np.int32).reshape(-1, 1, 1), "above"),
        numpy_helper.from_array(where[None].astype(np.int32), "where"),
    ]
    nodes = [
        helper.make_node("Cast", [taken.name], ["wide"], to=TensorProto.INT32),
        helper.make_node("Less", ["wide", "below"], ["dark"]),
        helper.make_node("Greater", ["wide", "above"], ["light"]),
        helper.make_node("And", ["dark", "light"], ["between"]),
        helper.make_node("Cast", ["between"], ["one"], to=TensorProto.INT32),
        helper.make_node("Mul", ["one", "where"], ["both"]),
        helper.make_node("Cast", ["both"], [given.name], to=TensorProto.UINT8),
    ]
    return _model(spec, nodes, constants)


def _model(spec: ModelSpec, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> bytes:
    ends = [
        helper.make_tensor_value_info(tensor.name, kind, ["batch", *tensor.dims])
        for tensor, kind in ((spec.inputs[0], TensorProto.INT16), (spec.outputs[0], TensorProto.UINT8))
    ]
    graph = helper.make_graph(nodes, spec.name, ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def repository(folder: Path) -> Path:
    """A new model repository: the shipped lobes, and `lung_opacity` and `opacity_context` instead of the networks."""
    create(folder, default_repository())
    serve(folder, lung_opacity(), LUNG_OPACITY)
    serve(folder, opacity_context(), OPACITY_CONTEXT)
    return folder


def serve(repository: Path, model: bytes, spec: ModelSpec) -> ModelSpec:
    """Install a network as the next version, and make it the active one; its spec."""
    installed = add(repository, prepare(repository, model, spec, MODEL_ROLES).content)
    change(repository, installed.name, promote(installed.version))
    return installed


def toml(spec: ModelSpec) -> str:
    """The spec as a person writes it."""

    def tensor(kind: str, declared: TensorSpec) -> str:
        axes = ", ".join(f'"{axis}"' for axis in declared.axes)
        return (
            f'\n[[{kind}]]\nname = "{declared.name}"\ndtype = "{declared.dtype}"\n'
            f"dims = {list(declared.dims)}\naxes = [{axes}]\n"
        )

    lines = [f'{key} = "{getattr(spec, key)}"' for key in ("name", "layout", "licence", "source")]
    lines.append(f"max_batch = {spec.max_batch}")
    if spec.window_hu is not None:
        lines.append(f"window_hu = {list(spec.window_hu)}")
    if spec.spacing_mm is not None:
        lines.append(f"spacing_mm = {spec.spacing_mm}")
    thresholds = "".join(f"{name} = {value}\n" for name, value in spec.thresholds.items())
    text = "\n".join(lines) + "\n" + (f"\n[thresholds]\n{thresholds}" if thresholds else "")
    return (
        text + "".join(tensor("inputs", t) for t in spec.inputs) + "".join(tensor("outputs", t) for t in spec.outputs)
    )


def numbered(spec: ModelSpec, version: int) -> ModelSpec:
    return replace(spec, version=str(version))
