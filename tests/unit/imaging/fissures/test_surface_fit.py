"""Shapes of fissures: the eigenfunctions that they should be, and the same ones on every processor."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.imaging.fissures.surface_fit import modes

ROOT = Path(__file__).parents[4]
SIZE, CORRELATION = 40, 0.45
DIGEST = (
    "from hashlib import sha256; from service.imaging.fissures.surface_fit import modes;"
    "print([sha256(modes(96, *shape).tobytes()).hexdigest() for shape in ((0.45, 8), (0.15, 50))])"
)


def test_modes_are_the_leading_eigenfunctions_of_the_square() -> None:
    """Against the covariance of all points of the square: what many modes make of it, and that they are orthogonal."""
    points = ((np.indices((SIZE, SIZE)).reshape(2, -1) + 0.5) / SIZE).T
    covariance = np.exp(-((points[:, None] - points) ** 2).sum(-1) / (2 * CORRELATION**2))
    many = modes(SIZE, CORRELATION, 30).reshape(30, -1)
    assert np.abs(many.T @ many - covariance).max() < 0.01
    products = many[:8] @ many[:8].T / SIZE**2
    parts = np.diag(products)
    assert np.all(np.diff(parts) < 1e-3), "the largest first"
    assert np.abs(products - np.diag(parts)).max() < 1e-3
    assert parts == pytest.approx(np.linalg.eigvalsh(covariance / SIZE**2)[::-1][:8], abs=5e-3)


@pytest.mark.slow
def test_another_processor_or_number_of_threads_gives_the_same_bits() -> None:
    """OpenBLAS has other kernels for other processors, and adds up in another order with more threads.

    In the square most eigenvalues are there twice: a solver finds any two of their eigenfunctions.
    """
    found = set()
    for kernel, threads in (("", "1"), ("HASWELL", "2"), ("PRESCOTT", "1")):
        choice = {"OPENBLAS_CORETYPE": kernel} if kernel else {}
        environment = os.environ | choice | {"OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1
