"""Many studies, several workers, and processes killed at random: `make soak`, or `python -m tests.soak --help`.

Two modalities send small phantom CTs to one receiver; workers on hosts of their own analyse and deliver them; they
share a PostgreSQL database and an S3 bucket. A real Orthanc is the PACS, and commits. Meanwhile receiver and workers
are killed with SIGKILL and started again. At the end the PACS must hold the results of every study exactly once.

Everything is real but for one network: the one for lungs and opacities is two thresholds (`tiny_models`), because
inference is not what is tried here.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

sys.path.append(str(ROOT / "tests"))  # as pytest does
