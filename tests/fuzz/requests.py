"""Requests that Schemathesis makes from the OpenAPI document, to the whole API on a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from helpers.dicom_peers import free_port, wait_until

from tests.fuzz import ROOT
from tests.fuzz.tally import Tally

_OPERATOR = "Authorization: Bearer ada"
_NAMES = {"path.job_id": "", "path.name": "lobes", "query.version": "2"}
"""Given to half of the requests, so that they reach what belongs to a job or a model that exists."""


def schemathesis() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("schemathesis", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def requests(folder: Path, examples: int, tally: Tally) -> None:
    """Fill the tally; examples: of each operation. folder: empty. FileNotFoundError without Schemathesis."""
    program = schemathesis()
    if program is None:
        raise FileNotFoundError("schemathesis is not installed")
    began, port = time.monotonic(), free_port()
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-m", "tests.fuzz.served_api", str(folder), str(port)]
    with (folder / "api.log").open("wb") as log:
        api = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(f"{url}/livez"), 120)
        for names in ({}, _NAMES | {"path.job_id": _job(url)}):
            _run([program, "run", f"{url}/openapi.json", "--max-examples", str(examples)], names, folder, tally)
            if api.poll() is not None:
                tally.crash("the API has ended", (folder / "api.log").read_text()[-4000:], {})
                return
    finally:
        api.kill()
        api.wait()
    tally.seconds += time.monotonic() - began


def _run(command: list[str], names: dict[str, str], folder: Path, tally: Tally) -> None:
    config = folder / "schemathesis.toml"
    config.write_text("[parameters]\n" + "".join(f'"{name}" = "{value}"\n' for name, value in names.items()))
    whole = [command[0], "--config-file", str(config), *command[1:], "--checks", "all", "--seed", str(tally.seed)]
    found = subprocess.run(
        [*whole, "--continue-on-failure", "--no-color", "-H", _OPERATOR], cwd=folder, capture_output=True, text=True
    )
    counted = re.search(r"(\d[\d,]*) generated", found.stdout)
    if counted is None:
        tally.without_name("Schemathesis did not run", found.stdout[-4000:] + found.stderr[-4000:], {})
        return
    failures = int(match[1]) if (match := re.search(r"(\d+) unique failures?", found.stdout)) else 0
    tally.tried += int(counted[1].replace(",", ""))
    tally.ends["as the document tells"] += tally.tried - sum(tally.ends.values())
    if found.returncode or failures:
        for _ in range(max(1, failures)):
            tally.without_name("an answer is not as the document tells", found.stdout[-20_000:], {})


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _job(url: str) -> str:
    name, _, value = _OPERATOR.partition(": ")
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/jobs", headers={name: value}), timeout=30) as answer:
        return str(json.load(answer)["jobs"][0]["job_id"])
