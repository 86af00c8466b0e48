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

_BOX = ("right, left", "slice to F", "row to P", "column to L")

LUNG_SHAPE = replace(
    _spec("lung-shape", "right, left", {"right": 0.5, "left": 0.5}),
    layout="lung-boxes",
    inputs=(TensorSpec("lungs", "uint8", (2, 16, 16, 16), _BOX),),
    outputs=(TensorSpec("probability", "uint8", (2, 16, 16, 16), _BOX),),
    max_batch=1,
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


PATCH = (32, 64, 64)
REGION = (16, 24, 24)
LESION_ABOVE_HU = -750
_SPACE = ("slice to F", *_PLANE)

TRIAGE_LESION = ModelSpec(
    name="triage-lesion",
    version="",
    inputs=(TensorSpec("hu", "int16", PATCH, _SPACE),),
    outputs=(TensorSpec("probability", "uint8", (1, *PATCH), ("lesion", *_SPACE)),),
    max_batch=2,
    thresholds={"lesion": 0.5},
    licence="CC0",
    layout="patches",
    source="tests",
)

TRIAGE_INFECTION = replace(
    TRIAGE_LESION,
    name="triage-infection",
    layout="lesion-region",
    inputs=(TensorSpec("hu", "int16", REGION, _SPACE), TensorSpec("mask", "uint8", REGION, _SPACE)),
    outputs=(
        TensorSpec("probabilities", "float32", (3,), ("COVID-19, other pulmonary infection, no infection",)),
        TensorSpec("heat_map", "uint8", REGION, _SPACE),
    ),
    thresholds={},
)


def lungs() -> bytes:
    """Lung is what is darker than `LUNG_BELOW_HU`; air around the body too, which the pipeline has to know better."""
    return _graph(LUNGS, np.full((1, SIZE, SIZE), 255, np.uint8))


def lung_shape() -> bytes:
    """Lungs lack nothing: phantoms are no chests."""
    return model(LUNG_SHAPE, [helper.make_node("Identity", ["lungs"], ["probability"])], [])


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
    return model(OPACITY_CONTEXT, nodes, constants)


def triage_lesion(spec: ModelSpec = TRIAGE_LESION) -> bytes:
    """Lesion is what is lighter than `LESION_ABOVE_HU`, with all voxels around it; the file carries no spec."""
    constants = [
        numpy_helper.from_array(np.array(values, kind), name)
        for name, values, kind in (
            ("first", [1], np.int64),
            ("least", -LESION_ABOVE_HU, np.float32),
            ("soft", 20.0, np.float32),
            ("certain", 255.0, np.float32),
        )
    ]
    nodes = [
        helper.make_node("Cast", ["hu"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["wide", "first"], ["one"]),
        helper.make_node("Neg", ["one"], ["dark"]),
        helper.make_node("MaxPool", ["dark"], ["darkest"], kernel_shape=[3, 3, 3], pads=[1] * 6),
        helper.make_node("Sub", ["least", "darkest"], ["over"]),
        helper.make_node("Div", ["over", "soft"], ["steep"]),
        helper.make_node("Sigmoid", ["steep"], ["part"]),
        helper.make_node("Mul", ["part", "certain"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["probability"], to=TensorProto.UINT8),
    ]
    return model(spec, nodes, constants)


def triage_infection() -> bytes:
    """Ground glass speaks for COVID-19, dense lesions for another infection; heat is where the lesion is.

    The logits are -(m + 450) / 100, (m + 450) / 100 and -2 for a mean of m HU in the mask.
    """
    constants = [
        numpy_helper.from_array(np.array(values, kind), name)
        for name, values, kind in (
            ("space", [1, 2, 3], np.int64),
            ("nothing", 0, np.uint8),
            ("one", 1.0, np.float32),
            ("middle", 450.0, np.float32),
            ("slope", [[-0.01, 0.01, 0.0]], np.float32),
            ("offset", [[0.0, 0.0, -2.0]], np.float32),
            ("shape", [-1, 1], np.int64),
            ("hot", 200, np.int32),
        )
    ]
    nodes = [
        helper.make_node("Greater", ["mask", "nothing"], ["there"]),
        helper.make_node("Cast", ["there"], ["part"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["hu"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide", "part"], ["inside"]),
        helper.make_node("ReduceSum", ["inside", "space"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["part", "space"], ["voxels"], keepdims=0),
        helper.make_node("Max", ["voxels", "one"], ["some"]),
        helper.make_node("Div", ["sum", "some"], ["mean"]),
        helper.make_node("Add", ["mean", "middle"], ["above"]),
        helper.make_node("Reshape", ["above", "shape"], ["column"]),
        helper.make_node("Mul", ["column", "slope"], ["linear"]),
        helper.make_node("Add", ["linear", "offset"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Cast", ["there"], ["ones"], to=TensorProto.INT32),
        helper.make_node("Mul", ["ones", "hot"], ["heat"]),
        helper.make_node("Cast", ["heat"], ["heat_map"], to=TensorProto.UINT8),
    ]
    return model(TRIAGE_INFECTION, nodes, constants)


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
    return model(spec, nodes, constants)


def model(spec: ModelSpec, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> bytes:
    taken, given = (
        [
            helper.make_tensor_value_info(
                tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), ["batch", *tensor.dims]
            )
            for tensor in tensors
        ]
        for tensors in (spec.inputs, spec.outputs)
    )
    graph = helper.make_graph(nodes, spec.name, taken, given, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def repository(folder: Path) -> Path:
    """A new model repository: the shipped lobes, and thresholds instead of the other networks; no classifier."""
    create(folder, default_repository())
    serve(folder, lung_opacity(), LUNG_OPACITY)
    serve(folder, lung_shape(), LUNG_SHAPE)
    serve(folder, opacity_context(), OPACITY_CONTEXT)
    serve(folder, triage_lesion(), TRIAGE_LESION)
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


def installed(folder: Path) -> Path:
    """A repository of tiny networks, for where it does not matter what is computed."""
    create(folder, default_repository())
    for model, spec in ((lung_opacity(), LUNG_OPACITY), (lobes(), LOBES)):
        serve(folder, model, spec)
    return folder
