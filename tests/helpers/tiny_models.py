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
    ends = [
        helper.make_tensor_value_info(tensor.name, kind, ["batch", *tensor.dims])
        for tensor, kind in ((taken, TensorProto.INT16), (given, TensorProto.UINT8))
    ]
    graph = helper.make_graph(nodes, spec.name, ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def repository(folder: Path) -> Path:
    """A new model repository: the shipped models, but `lung_opacity` instead of the network for lungs and opacities."""
    create(folder, default_repository())
    serve(folder, lung_opacity(), LUNG_OPACITY)
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
