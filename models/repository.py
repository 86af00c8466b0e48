"""The model repository that ONNX Runtime and Triton share: written from the specs, and checked against them.

triton_repo/SHA256SUMS                     digests of every model file
triton_repo/<name>/config.pbtxt            rendered from the spec, as are the others (`service.inference.config`)
triton_repo/<name>/<version>/model.onnx    the spec is embedded
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from converters.onnx_graph import forget_the_exporter
from models.lobes.spec import SPEC as LOBES
from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.lung_shape.spec import SPEC as LUNG_SHAPE
from models.lung_tumour.spec import SPEC as LUNG_TUMOUR
from models.opacity_context.spec import SPEC as OPACITY_CONTEXT
from models.triage_lesion.spec import SPEC as TRIAGE_LESION
from service.domain.model_spec import METADATA_KEY, ModelSpec
from service.inference.config import render_configs
from service.inference.files import DIGESTS, MODEL_FILE
from service.inference.metadata import with_spec_text
from service.inference.repository_files import render_digests

ROOT = Path(__file__).resolve().parents[1] / "triton_repo"
SPECS = (LUNG_OPACITY, LUNG_SHAPE, LOBES, OPACITY_CONTEXT, TRIAGE_LESION, LUNG_TUMOUR)
OPSET = 18


def model_path(spec: ModelSpec, root: Path = ROOT) -> Path:
    return root / spec.name / spec.version / MODEL_FILE


def install(model: onnx.ModelProto, spec: ModelSpec, root: Path = ROOT) -> None:
    """Embed the spec, write the model and its configuration, and renew the digests."""
    path = model_path(spec, root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(described(model, spec))
    for config, text in _configs(spec, path).items():
        (root / spec.name / config).parent.mkdir(exist_ok=True)
        (root / spec.name / config).write_text(text, encoding="utf-8")
    (root / DIGESTS).write_text(render_digests(_digests(root)), encoding="utf-8")


def described(model: onnx.ModelProto, spec: ModelSpec) -> bytes:
    """The model file: checked, with its spec inside."""
    forget_the_exporter(model)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def network_digest(path: Path) -> str:
    """SHA-256 of a model file without its spec: what was measured on the network holds while this stays."""
    return hashlib.sha256(with_spec_text(path.read_bytes(), "")).hexdigest()


def _configs(spec: ModelSpec, model: Path) -> dict[str, str]:
    """What the model's folder has to hold beside its versions, by path."""
    return render_configs(replace(spec, sha256=hashlib.sha256(model.read_bytes()).hexdigest()))


def _digests(root: Path) -> dict[str, str]:
    """SHA-256 of every model file, by its path."""
    files = root.glob(f"*/*/{MODEL_FILE}")
    return {f.relative_to(root).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def has_spec(path: Path, spec: ModelSpec) -> bool:
    """Whether the spec inside a model file is this one."""
    return {p.key: p.value for p in onnx.load(path).metadata_props}.get(METADATA_KEY) == spec.to_json()


def differences(root: Path = ROOT, specs: Sequence[ModelSpec] = SPECS) -> list[str]:
    """What in the repository is not as the specs say; empty if it is in sync."""
    found = []
    for spec in specs:
        path = model_path(spec, root)
        if not path.exists():
            found.append(f"{spec.name}: {path.relative_to(root)} is missing")
            continue
        if not has_spec(path, spec):
            found.append(f"{spec.name}: the spec inside {path.relative_to(root)} is not the one in models/")
        for name, text in _configs(spec, path).items():
            config = root / spec.name / name
            if not config.exists() or config.read_text(encoding="utf-8") != text:
                found.append(f"{spec.name}: {name} is not what the spec renders")
    extra = {folder.name for folder in root.iterdir() if folder.is_dir()} - {spec.name for spec in specs}
    found += [f"{name}: no spec in models/ stands for it" for name in sorted(extra)]
    digests = root / DIGESTS
    if not digests.exists() or digests.read_text(encoding="utf-8") != render_digests(_digests(root)):
        found.append(f"{DIGESTS} does not match the model files")
    return found
