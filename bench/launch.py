"""`python -m bench.launch COMMAND...`: run it on two cores; print its seconds, peak memory and exit code as JSON.

A process of its own, because Linux counts the memory of whoever starts a process as that process's peak: this one is
small.
"""

import json
import os
import resource
import subprocess
import sys
from time import perf_counter

CORES = 2


def main(command: list[str]) -> None:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    began = perf_counter()
    # What the command prints goes to stderr: stdout is for the JSON.
    done = subprocess.run(command, stdout=sys.stderr)
    wall_s = perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    peak_gb = used.ru_maxrss * 1024 / 1e9
    print(json.dumps({"exit": done.returncode, "wall_s": wall_s, "cpu_s": cpu_s, "peak_gb": peak_gb}))


if __name__ == "__main__":
    main(sys.argv[1:])
