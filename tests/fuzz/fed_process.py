"""The process that is fed, seen from the one that feeds it: started again after a crash or a hang."""

import json
import os
import select
import subprocess
import sys
from typing import Any, Self

from tests.fuzz import ROOT
from tests.fuzz.tally import HANGS_AFTER_S

MEMORY_BYTES = 3 << 30
"""Address space of the process: ten times what a sound series of this size takes."""


class Hang(Exception):
    """No answer within 30 s."""


class Crash(Exception):
    """The process has ended; the text is the end of its standard error."""


class FedProcess:
    """Used in a `with` block."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, **asked: str) -> dict[str, Any]:
        """What became of a series; Hang or Crash."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], HANGS_AFTER_S)
        line = self._process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        self._process.kill()
        _, errors = self._process.communicate()
        self._start()
        if not ready:
            raise Hang(errors[-2000:])
        raise Crash(errors[-4000:])

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.fuzz.feed", str(MEMORY_BYTES)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
