"""Keeps a released chart for the tests of upgrades: `python tests/helm/keep_version.py CHART`."""

import json
import shutil
import sys
from pathlib import Path

import yaml

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from fixed_fields import fixed  # noqa: E402
from helpers.helm_chart import render  # noqa: E402

if __name__ == "__main__":
    chart = Path(sys.argv[1]).resolve()
    folder = HERE / "previous" / yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    folder.mkdir(parents=True)
    kept = {}
    for values in sorted((chart / "ci").glob("*-values.yaml")):
        shutil.copy(values, folder)
        kept[values.name] = fixed(render(values, chart))
    (folder / "fixed.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
