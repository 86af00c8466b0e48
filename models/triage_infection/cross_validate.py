"""What the classifier says of lesions of CTs that it has not learned: leave one patient out, one after the other.

    python -m models.triage_infection.cross_validate --prepared FILE [--out models/runs/triage_infection_folds]

FILE is what `models.triage_lesion.data` writes. A stopped run goes on where it was; a fold that is trained is only
measured. Writes cross_validation.json beside this file, from which the temperature is fitted.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from models.training import config, device
from models.training.loop import train
from models.training.run import Run
from models.triage_lesion.cross_validate import FOLDS as LESION_FOLDS
from models.triage_lesion.cross_validate import keep
from models.triage_lesion.data import FOUND
from models.triage_lesion.volumes import load

from .network import build
from .regions import Patient
from .train import HERE, Config, logits_of, task

FOLDS_FILE = "cross_validation.json"

FOLDS = ((*LESION_FOLDS[0], *FOUND), *LESION_FOLDS[1:])
"""The first one leaves out all of COVID-CT-MD, so it has not seen this source. It learns no other infection: there is
only one patient who has it."""


def fold(prepared: Path, out: Path, held_out: tuple[str, ...]) -> dict[str, Any]:
    """Label and logits of every lesion of the CTs that the fold does not learn."""
    settings = config.read(Config, HERE / "train.toml", {"held_out": list(held_out)})
    volumes = load(prepared)
    if not (out / "weights.pt").exists():
        where = device.use("auto")
        run = Run.start(lambda: build(settings.network), settings, settings.steps, out, where)
        train(run, task(volumes, settings, where), settings.log_every, settings.save_every)
    network = build(settings.network)
    network.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    found = {}
    for name in held_out:
        patient = Patient.of(volumes[name], torch.device("cpu"))
        logits = [[round(value, 4) for value in row] for row in logits_of(network, patient).tolist()]
        found[name] = {"label": patient.label, "logits": logits}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True, help="file of models.triage_lesion.data")
    parser.add_argument(
        "--out", type=Path, default=Path("models/runs/triage_infection_folds"), help="a folder per fold"
    )
    numbers = range(1, len(FOLDS) + 1)
    parser.add_argument("--fold", type=int, nargs="*", choices=numbers, default=numbers, help="only these, 1 first")
    options = parser.parse_args()
    for number in options.fold:
        new = fold(options.prepared, options.out / f"fold{number}", FOLDS[number - 1])
        keep(HERE / FOLDS_FILE, number, new)


if __name__ == "__main__":
    main()
