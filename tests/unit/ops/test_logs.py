"""Every line of the log is one JSON object, whoever wrote it."""

import json
import subprocess
import sys

import pytest

FAILS = """
import sys
if sys.argv[1] == "before":
    import dbos
from service.ops import logs
logs.configure("INFO", "worker")
from dbos._logger import dbos_logger, init_logger
init_logger()
try:
    raise OSError("no space")
except OSError as error:
    dbos_logger.error("a workflow failed", exc_info=error)
dbos_logger.info("of no interest")
"""


@pytest.mark.slow
def test_what_the_engine_logs_is_one_json_object_too() -> None:
    for imported in ("before", "after"):
        done = subprocess.run([sys.executable, "-c", FAILS, imported], capture_output=True, text=True, check=True)
        (line,) = done.stderr.splitlines()
        said = json.loads(line)
        assert (said["event"], said["role"], said["level"]) == ("a workflow failed", "worker", "error")
        assert "OSError: no space" in said["exception"]
