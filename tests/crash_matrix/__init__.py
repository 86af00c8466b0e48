"""What a kill at any moment loses or repeats: nothing. `make crash-matrix`, or `python -m tests.crash_matrix --help`.

states.py     the accidents, each at an exact moment
hooks/        holds a process of the service at such a moment, from outside
hospital.py   a modality, the service on one backend, and a PACS
cell.py       one study, one accident, and what is in the PACS in the end
page.py       docs/reference/crash-matrix.md
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # as pytest does
