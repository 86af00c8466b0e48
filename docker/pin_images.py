"""Writes the digest beside each image of others that a tag names: `make pin-images`; `--check`: names those without.

Exit code 3: a registry was not reached, and nothing is written: a digest is looked up, never made up.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("docker/Dockerfile", "compose.yaml", "helm/thoracle/values.yaml")
NAMED = re.compile(
    r"(?P<before>\bBASE(?:=|:-)|\bimage: )"
    r"(?P<name>[a-z0-9./-]+:[A-Za-z0-9._-]+)(?P<digest>@sha256:[0-9a-f]{64})?"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
LOOK_UP = {
    "skopeo": ("skopeo", "inspect", "--no-tags", "--format={{.Digest}}", "docker://docker.io/{}"),
    "docker": ("docker", "buildx", "imagetools", "inspect", "--format={{.Manifest.Digest}}", "{}"),
}


class NotLookedUpError(Exception):
    """No registry answered."""


def named(root: Path) -> Iterator[tuple[str, re.Match[str]]]:
    """File and place of each image."""
    for file in FILES:
        for found in NAMED.finditer((root / file).read_text(encoding="utf-8")):
            yield file, found


def look_up(name: str) -> str:
    """The digest of the image's list of platforms; NotLookedUpError."""
    for program, command in LOOK_UP.items():
        if shutil.which(program):
            asked = [word.format(name) if word.endswith("{}") else word for word in command]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.returncode == 0 and DIGEST.fullmatch(done.stdout.strip()):
                return done.stdout.strip()
    raise NotLookedUpError(f"{name}: not looked up: neither skopeo nor docker reached its registry")


def pin(root: Path, looking: Callable[[str], str]) -> dict[str, str]:
    """The digest of each name. Nothing is written unless all are known."""
    digests = {name: looking(name) for name in sorted({found["name"] for _, found in named(root)})}
    for file in FILES:
        text = (root / file).read_text(encoding="utf-8")
        written = NAMED.sub(lambda one: f"{one['before']}{one['name']}@{digests[one['name']]}", text)
        (root / file).write_text(written, encoding="utf-8")
    return digests


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        without = sorted({f"{file}: {one['name']}" for file, one in named(ROOT) if not one["digest"]})
        print(*without, sep="\n")
        return 1 if without else 0
    try:
        digests = pin(ROOT, look_up)
    except NotLookedUpError as error:
        print(error)
        return 3
    print(*(f"{name}@{digest}" for name, digest in digests.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
