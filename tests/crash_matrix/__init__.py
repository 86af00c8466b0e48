"""What a kill at any moment loses or repeats: nothing. `make crash-matrix` proves it, state by state.

states.py     the accidents, each at an exact moment
hooks/        holds a process of the service at such a moment, from outside
hospital.py   a modality, the service on one backend, and a PACS
cell.py       one study, one accident, and what is in the PACS in the end
page.py       docs/reference/crash-matrix.md
"""
