"""Write trained models into the model repository, or check that it is in sync with the specs.

python -m models.export lung-opacity --weights models/runs/lung_opacity/weights.pt
python -m models.export opacity-context --weights models/runs/opacity_context/weights.pt
python -m models.export lobes --prior models/runs/lobes/prior.npy
python -m models.export triage-lesion --weights models/runs/triage_lesion/weights.pt
python -m models.export triage-infection --weights models/runs/triage_infection/weights.pt
python -m models.export lung-tumour --weights models/runs/lung_tumour/weights.pt
python -m models.export lung-opacity --spec-only     (needs no torch)
python -m models.export --check                      (needs no torch)

`triage-infection` is experimental: its file lies beside its card, not in the repository, and takes its temperature from
its cross-validation.

A new network for opacities has no noise floor until one is measured (`models.opacity_context.noise_floor`, then
--spec-only).
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from models.opacity_context.noise_card import NOISE
from models.repository import OPSET, ROOT, SPECS, described, differences, has_spec, install, model_path, network_digest
from models.triage_infection.released import MODEL as EXPERIMENTAL
from models.triage_infection.spec import SPEC as EXPERIMENTAL_SPEC

RUNS = Path("models/runs")

MODELS = ("lung-opacity", "lung-shape", "opacity-context", "lobes", "triage-lesion", "triage-infection", "lung-tumour")


def export_lung_opacity(weights: Path, root: Path, network: str | None) -> None:
    """Export the network, None for the released one; refused if ONNX Runtime does not repeat torch."""
    from models.lung_opacity.network import RELEASED  # torch is needed here only
    from models.lung_opacity.spec import SPEC
    from models.lung_opacity.to_onnx import to_onnx

    install(to_onnx(weights, OPSET, network or RELEASED), SPEC, root)


def export_lung_shape(weights: Path, root: Path) -> None:
    """Export the network; refused if ONNX Runtime does not repeat torch."""
    from models.lung_shape.spec import SPEC
    from models.lung_shape.to_onnx import to_onnx

    install(to_onnx(weights, OPSET), SPEC, root)


def export_opacity_context(weights: Path, root: Path, network: str | None) -> None:
    """Export the network, None for the released one; refused if ONNX Runtime does not repeat torch."""
    from models.opacity_context.network import RELEASED
    from models.opacity_context.spec import SPEC
    from models.opacity_context.to_onnx import to_onnx

    install(to_onnx(weights, OPSET, network or RELEASED), replace(SPEC, noise_floor=None), root)


def export_triage_lesion(weights: Path, root: Path, network: str | None) -> None:
    """Export the network, None for the released one; refused if ONNX Runtime does not repeat torch."""
    from models.triage_lesion.network import RELEASED
    from models.triage_lesion.spec import SPEC
    from models.triage_lesion.to_onnx import to_onnx

    install(to_onnx(weights, OPSET, network or RELEASED), SPEC, root)


def export_lung_tumour(weights: Path, root: Path, network: str | None) -> None:
    """Export the network, None for the released one; refused if ONNX Runtime does not repeat torch."""
    from models.lung_tumour.network import RELEASED
    from models.lung_tumour.spec import SPEC
    from models.lung_tumour.to_onnx import to_onnx

    install(to_onnx(weights, OPSET, network or RELEASED), SPEC, root)


def export_triage_infection(weights: Path, network: str | None) -> None:
    """Export the experimental network beside its card; refused if ONNX Runtime does not repeat torch."""
    from models.triage_infection.calibration import temperature
    from models.triage_infection.cross_validate import FOLDS_FILE, HERE
    from models.triage_infection.network import RELEASED
    from models.triage_infection.to_onnx import to_onnx

    divided_by = temperature(json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8")))
    model = to_onnx(weights, divided_by, OPSET, network or RELEASED)
    EXPERIMENTAL.write_bytes(described(model, EXPERIMENTAL_SPEC))


def export_lobes(prior: Path, root: Path) -> None:
    from models.lobes.graph import graph
    from models.lobes.spec import SPEC

    install(graph(np.load(prior), OPSET), SPEC, root)


def embed_spec(name: str, root: Path) -> None:
    """Embed the spec of models/ in the network that is in the repository.

    ValueError if the noise floor in it was measured on another network.
    """
    (spec,) = (spec for spec in SPECS if spec.name == name)
    path = model_path(spec, root)
    measured = json.loads((Path(__file__).parent / "opacity_context" / NOISE).read_text(encoding="utf-8"))[
        "network_sha256"
    ]
    if spec.noise_floor is not None and measured != network_digest(path):
        raise ValueError(f"the noise floor in the spec of {name} was measured on another network: {NOISE}")
    install(onnx.load(path), spec, root)


_NETWORKS = {
    "lung-opacity": export_lung_opacity,
    "opacity-context": export_opacity_context,
    "triage-lesion": export_triage_lesion,
    "lung-tumour": export_lung_tumour,
}
"""Exporters of the models whose networks come in several sizes."""


def _weights(options: argparse.Namespace) -> Path:
    """As given, else those of the training."""
    return options.weights or RUNS / options.model.replace("-", "_") / "weights.pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", choices=MODELS)
    parser.add_argument("--weights", type=Path, help="default: models/runs/<model>/weights.pt")
    parser.add_argument(
        "--network", help="of the weights, as in the training's configuration; default: the released one"
    )
    parser.add_argument("--prior", type=Path, default=Path("models/runs/lobes/prior.npy"))
    parser.add_argument("--repository", type=Path, default=ROOT)
    parser.add_argument("--spec-only", action="store_true", help="keep the network, embed the spec of models/ in it")
    parser.add_argument("--check", action="store_true", help="only compare the repository with the specs")
    options = parser.parse_args()
    if options.model and options.spec_only:
        embed_spec(options.model, options.repository)
    elif options.model == "lobes":
        export_lobes(options.prior, options.repository)
    elif options.model == "triage-infection":
        export_triage_infection(_weights(options), options.network)
    elif options.model == "lung-shape":
        export_lung_shape(_weights(options), options.repository)
    elif options.model:
        _NETWORKS[options.model](_weights(options), options.repository, options.network)
    elif not options.check:
        parser.error("name a model to export, or --check")
    if options.check:
        found = differences(options.repository)
        if not has_spec(EXPERIMENTAL, EXPERIMENTAL_SPEC):
            found.append(f"{EXPERIMENTAL_SPEC.name}: the spec inside {EXPERIMENTAL.name} is not the one in models/")
        print("\n".join(found) or f"{options.repository.name} is in sync with the specs")
        sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
