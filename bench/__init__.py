"""How fast and how large: `python -m bench` measures what the specification sets targets for.

Benchmarks are no tests: a missed target is said aloud, but never fails anything.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

sys.path.append(str(ROOT / "tests"))  # the tests' phantom is measured here too
