"""The command line of both trainings of covid-triage, which learn from one prepared file."""

import argparse
from pathlib import Path

from models.training import options


def parse(description: str | None, here: Path, out: Path) -> argparse.Namespace:
    """here: folder of train.toml. out: default folder of the run."""
    parser = options.parser(description, here, out)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder with train/ and dicom/, prepared in the folder of the run")
    source.add_argument("--prepared", type=Path, help="file of models.triage_lesion.data")
    options.add_changes(parser, "CT")
    return parser.parse_args()
