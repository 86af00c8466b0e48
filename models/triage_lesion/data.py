"""Training volumes on the grid of the lesion network, prepared once into one file.

    python -m models.triage_lesion.data --data DIR --out FILE

DIR holds train/ and dicom/. Labelled volumes, lungs and CTs without pneumonia are those of `models.opacity_context`.
Pictures (`junma20`) have no third axis and are left out. Two patients of COVID-CT-MD have no labelled voxels: what
`opacity-context` finds in them is taken for lesions by `models.triage_infection`, and nothing there is known here.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.lung_opacity import data as single
from models.opacity_context.cases import read as read_case
from models.opacity_context.data import CTS, LUNG1
from models.opacity_context.series import CAP001, P001, load
from models.repository import ROOT
from service.domain.ct import CT
from service.domain.ports import Backend
from service.imaging.harmonise import MODEL_ORIENTATION
from service.imaging.lungs import Lungs
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.context_opacities import opacities_of
from service.pipelines.shared.lungs import slice_answers, without_dense_lung

from .spec import SPACING_MM
from .volumes import AIR_HU, MARGIN_MM, Mask, Volume, save

FOUND = {series.name: series for series in (P001, CAP001)}
"""CTs with pneumonia in which nobody labelled voxels, by name."""


def prepared(name: str, ct: CT, lung: Mask, lesion: Mask, known: Mask) -> Volume:
    """A volume from masks on the CT's own grid. HU by cubic interpolation (paper B), masks by linear."""

    def oriented(array: NDArray[np.generic]) -> NDArray[np.float32]:
        return ct.volume.with_array(array.astype(np.float32)).to_patient_orientation(MODEL_ORIENTATION).array

    spacing = ct.volume.to_patient_orientation(MODEL_ORIENTATION).spacing
    turned = oriented(lung)
    box = _around(turned > 0, np.ceil(np.divide(2 * MARGIN_MM, spacing)).astype(int))
    masks = [on_grid(one[box], spacing, 1) >= 0.5 for one in (turned, oriented(lesion), oriented(known))]
    hu = on_grid(oriented(ct.volume.array)[box], spacing, 3)
    far = ndimage.distance_transform_edt(~masks[0], sampling=SPACING_MM) > MARGIN_MM
    hu[far] = AIR_HU
    return Volume(name, np.rint(hu.clip(AIR_HU, 1000.0)).astype(np.int16), *masks)


def on_grid(array: NDArray[np.float32], spacing_mm: Sequence[float], order: int) -> NDArray[np.float32]:
    """Resampled to `SPACING_MM` by splines of an order; both grids begin at the same corner."""
    scale = np.divide(SPACING_MM, spacing_mm)
    shape = tuple(max(1, round(size / part)) for size, part in zip(array.shape, scale, strict=True))
    return ndimage.affine_transform(array, scale, (scale - 1) / 2, shape, np.float32, order, mode="nearest")


def _around(mask: Mask, margin: NDArray[np.int_]) -> tuple[slice, ...]:
    where = np.argwhere(mask)
    low, high = where.min(0) - margin, where.max(0) + margin + 1
    return tuple(slice(max(0, int(a)), int(b)) for a, b in zip(low, high, strict=True))


def read(data: Path, name: str) -> Volume:
    """A CT of `CTS`. data: folder with train/ and dicom/."""
    case = read_case(data, name)
    lung = case.lung if case.lung is not None else lungs(case.ct, OnnxBackend(ROOT)).on_source > 0
    known = case.known
    if name in LUNG1:
        source = single.read(data / "train", name)
        clear = source.hu.with_array(source.supervised).to_patient_orientation(MODEL_ORIENTATION)
        known = clear.pad([(1, 1), (0, 0), (0, 0)]).array
    return prepared(name, case.ct, lung, case.opacity, known)


def lungs(ct: CT, backend: Backend) -> Lungs:
    """The lungs that the released `lung-opacity` finds."""
    return without_dense_lung(ct, slice_answers(ct, backend, _silent), backend, _silent)


def found(data: Path, name: str) -> Volume:
    """A CT of `FOUND`: its lesions are the opacities that the released network finds, and none of it is known."""
    ct, backend = load(data, FOUND[name]), OnnxBackend(ROOT)
    there = lungs(ct, backend)
    inside = there.on_source > 0
    seen = opacities_of(ct, slice_answers(ct, backend, _silent), there, backend, _silent)
    return prepared(name, ct, inside, seen.opacity & inside, np.zeros_like(inside))


def _silent(done: float) -> None:
    """Nobody waits for the progress."""


def prepare(data: Path, out: Path) -> Path:
    """Write the file that a training reads, unless it is there. data: folder with train/ and dicom/."""
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        save([*(read(data, name) for name in CTS), *(found(data, name) for name in FOUND)], out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .npz")
    options = parser.parse_args()
    prepare(options.data, options.out)


if __name__ == "__main__":
    main()
