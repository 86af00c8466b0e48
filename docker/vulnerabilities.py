"""Looks up known vulnerabilities of the locked packages by pip-audit: `make vulnerabilities`.

Exit code 0: every package was looked up, and none has one. 1: some have, and are named. 3: some were not looked up,
and are named: pip-audit calls that success, too, and nobody may take it for "none".
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements"
COMMAND = ("pip-audit", "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
NONE, FOUND, NOT_LOOKED_UP = 0, 1, 3


def told(part: str, answer: Mapping[str, Any] | None) -> tuple[int, list[str]]:
    """The exit code and what to print. answer: pip-audit's JSON; None: it gave none."""
    if answer is None or not answer["dependencies"]:
        return NOT_LOOKED_UP, [f"{part}: not looked up"]
    lines, code = [], NONE
    for package in answer["dependencies"]:
        for one in package.get("vulns", ()):
            fixed = ", ".join(one["fix_versions"]) or "none"
            lines.append(f"{part}: {package['name']} {package['version']}: {one['id']}, fixed in: {fixed}")
            code = FOUND
    skipped = [package["name"] for package in answer["dependencies"] if "vulns" not in package]
    if skipped:
        lines.append(f"{part}: not looked up: {', '.join(skipped)}")
        code = code or NOT_LOOKED_UP
    return code, lines or [f"{part}: {len(answer['dependencies'])} packages looked up, no known vulnerability"]


def looked_up(program: Sequence[str], part: Path) -> Mapping[str, Any] | None:
    """pip-audit's answer; None where it reached nobody who knows."""
    done = subprocess.run([*program, "--requirement", str(part)], capture_output=True, text=True, check=False)
    try:
        answer: Mapping[str, Any] = json.loads(done.stdout)
    except json.JSONDecodeError:
        print(*done.stderr.splitlines()[-1:], file=sys.stderr)
        return None
    return answer


def main(folder: Path) -> int:
    """Exit code, over the packages of the service and those that build its image. folder: pip-audit's."""
    program = [str(folder / COMMAND[0]), *COMMAND[1:]]
    codes = []
    for part in ("service.txt", "gpu.txt", "build.txt", "sbom.txt"):
        code, lines = told(part, looked_up(program, LOCK / part))
        codes.append(code)
        print(*lines, sep="\n")
    print(
        "Debian's packages in an image, and libraries within wheels: not looked up. With a scanner's database:\n"
        "  docker cp CONTAINER:/usr/share/doc/thoracle/sbom.cdx.json . && grype sbom:sbom.cdx.json"
    )
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
