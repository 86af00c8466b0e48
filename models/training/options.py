"""The command line that every training has."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import config

T = TypeVar("T", bound=config.Training)

_CHANGES = "held_out", "steps", "seed", "rate"


def parser(description: str | None, here: Path, out: Path) -> argparse.ArgumentParser:
    """Where the configuration is, where the run goes, and on what it computes. here: folder of train.toml."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--config", type=Path, default=here / "train.toml", help="default: %(default)s")
    made.add_argument("--out", type=Path, default=out, help="checkpoint, log, curves and weights; %(default)s")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one")
    return made


def add_changes(
    to: argparse.ArgumentParser, held_out: str, choices: Sequence[str] | None = None, steps: str | None = None
) -> argparse._ArgumentGroup:
    """What may be given in place of the configuration's. held_out: a word for a case. choices: the cases there are,
    where they are known beforehand. steps: help."""
    changes = to.add_argument_group("instead of the configuration's")
    changes.add_argument("--held-out", nargs="*", choices=choices, metavar=held_out, help="measure on these")
    changes.add_argument("--steps", type=int, help=steps)
    changes.add_argument("--seed", type=int)
    return changes


def settings(kind: type[T], options: argparse.Namespace) -> T:
    """The configuration with the changes that were given; SystemExit says everything that is wrong."""
    given: dict[str, Any] = {key: getattr(options, key, None) for key in _CHANGES}
    return config.read(kind, options.config, {key: value for key, value in given.items() if value is not None})
