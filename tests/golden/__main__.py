"""`python -m tests.golden`: record the digests of today's evidence.

A digest that changes changes what hospitals hold: a decision record says why.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent)]

from golden.samples import FOLDER, digests  # noqa: E402 - the tests' folder comes first

if __name__ == "__main__":
    text = json.dumps(digests(), indent=2, sort_keys=True) + "\n"
    (FOLDER / "digests.json").write_text(text, encoding="utf-8")
