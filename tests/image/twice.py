"""`python -m tests.image.twice`: builds the image twice, from two folders, and compares layers and configuration.

What buildah alone writes about a build, such as the name of its container, is left out: no image of Docker has it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OF_THE_BUILDER = ("container", "parent", "Hostname", "comment")


def without_builder(value: Any) -> Any:
    """The same without what tells of one build."""
    if isinstance(value, dict):
        return {key: without_builder(one) for key, one in value.items() if key not in OF_THE_BUILDER}
    return [without_builder(one) for one in value] if isinstance(value, list) else value


def described(name: str) -> tuple[list[str], Any]:
    """Digests of the layers, and the configuration."""
    told = json.loads(_output("buildah", "inspect", "--type=image", name))
    layers = [layer["digest"] for layer in json.loads(told["Manifest"])["layers"]]
    return layers, without_builder(json.loads(told["Config"]))


def main() -> int:
    names = [f"thoracle-twice-{number}" for number in (1, 2)]
    with tempfile.TemporaryDirectory(prefix="twice-") as temporary:
        for number, name in enumerate(names):
            folder = Path(temporary, "deeper" * number, name)
            _output("git", "clone", "--quiet", str(ROOT), str(folder))
            environment = {**os.environ, "IMAGE": name, "PYTHON": sys.executable}
            subprocess.run([str(folder / "docker" / "build-image.sh")], check=True, env=environment)
    (layers, config), (others, other) = map(described, names)
    for name in names:
        _output("buildah", "rmi", name)
    same = [one == two for one, two in zip(layers, others, strict=True)]
    print(f"layers: {layers}", f"the same: {same}, configuration: {config == other}", sep="\n")
    return 0 if all(same) and config == other else 1


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
