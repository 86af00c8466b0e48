"""Build the population prior of the five lobes from hand-marked fissure points.

    python -m models.lobes.build --data DIR [--out models/runs/lobes]

DIR is LungLobeAtlasData of the Chest Imaging Platform: fissure points of 99 patients, an affine transform from the
atlas lung to each patient, and the atlas lung. Every patient's points are brought onto the atlas lung, thin-plate
surfaces through them cut each lung's box into lobes, and the mean over the patients is the prior.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from service.domain.anatomy import Lobe
from service.imaging.harmonise import MODEL_ORIENTATION
from service.imaging.lobes import lung_boxes
from service.imaging.lungs import Side

from .spec import SIZE

ATLAS = "10002K_INSP_STD_BWH_COPD"
ATLAS_LABELS = {2: Side.RIGHT, 3: Side.LEFT}
SMOOTHING = 5.0
"""Of the surfaces, as `scipy.interpolate.RBFInterpolator` defines it: hand-marked points scatter by a few mm."""

Points = NDArray[np.float64]
Fissures = dict[str, Points]
"""Points (n, 3), LPS mm, by "right oblique", "right horizontal" and "left oblique"."""


def read_points(path: Path) -> Fissures:
    """The marked points of one patient. Spelling of regions and types varies between the files."""
    found = defaultdict(list)
    with path.open(newline="") as file:
        for region, kind, *point in csv.reader(file):
            if "fissure" in kind.lower():
                side = "left" if "left" in region.lower() else "right"
                fissure = "horizontal" if "horizontal" in kind.lower() else "oblique"
                found[f"{side} {fissure}"].append([float(p) for p in point])
    return {name: np.array(points) for name, points in found.items()}


def onto_atlas(fissures: Fissures, transform: sitk.Transform) -> Fissures:
    """The points in the atlas's frame: the file's transform goes from the atlas to the patient."""
    inverse = transform.GetInverse()
    return {name: np.array([inverse.TransformPoint(p) for p in points]) for name, points in fissures.items()}


def read_atlas(folder: Path) -> hd.Volume:
    """The atlas lungs, labels `Side`, oriented like the model."""
    image = hd.Volume.from_simpleitk(sitk.ReadImage(folder / f"{ATLAS}_leftLungRightLung.nrrd"))
    labels = np.zeros(image.spatial_shape, np.uint8)
    for value, side in ATLAS_LABELS.items():
        labels[image.array == value] = side
    return image.with_array(labels).to_patient_orientation(MODEL_ORIENTATION)


def height_mm(points: Points, box: hd.Volume) -> NDArray[np.float64]:
    """Head-ward LPS coordinate of the surface through `points` over the box's columns, shape (1, size, size)."""
    surface = RBFInterpolator(points[:, :2], points[:, 2], kernel="thin_plate_spline", smoothing=SMOOTHING, degree=1)
    x, y = _coordinates(box)[:2]
    return surface(np.stack([x[0].ravel(), y[0].ravel()], 1)).reshape(1, *x[0].shape)


def lobes_of(fissures: Fissures, boxes: dict[Side, hd.Volume]) -> NDArray[np.bool_]:
    """One patient's lobes in the boxes, shape (lobe, size, size, size), one lobe per voxel and lung."""
    right, left = (_coordinates(boxes[side])[2] for side in Side)
    above_right = right > height_mm(fissures["right oblique"], boxes[Side.RIGHT])
    above_horizontal = right > height_mm(fissures["right horizontal"], boxes[Side.RIGHT])
    above_left = left > height_mm(fissures["left oblique"], boxes[Side.LEFT])
    lobes = {
        Lobe.RUL: above_right & above_horizontal,
        Lobe.RML: above_right & ~above_horizontal,
        Lobe.RLL: ~above_right,
        Lobe.LUL: above_left,
        Lobe.LLL: ~above_left,
    }
    return np.stack([lobes[lobe] for lobe in Lobe])


def build(folder: Path) -> NDArray[np.uint8]:
    """The prior: round(255 p), shape (lobe, size, size, size), axes (slice to F, row to P, column to L)."""
    boxes = lung_boxes(read_atlas(folder), SIZE)
    total = np.zeros((len(Lobe), SIZE, SIZE, SIZE))
    cases = sorted(folder.glob("*_regionAndTypePoints.csv"))
    for path in cases:
        case = path.name.removesuffix("_regionAndTypePoints.csv")
        transform = sitk.ReadTransform(folder / f"{case}_TO_{ATLAS}_transform.tfm")
        total += lobes_of(onto_atlas(read_points(path), transform), boxes)
    print(f"{len(cases)} patients; part of each lobe:", np.round(total.mean((1, 2, 3)) / len(cases), 3))
    return np.rint(255.0 * total / len(cases)).astype(np.uint8)


def _coordinates(box: hd.Volume) -> Points:
    """LPS mm of the box's voxels, shape (3, slice, row, column)."""
    index = np.indices(box.spatial_shape).reshape(3, -1)
    return (box.affine[:3, :3] @ index + box.affine[:3, 3:]).reshape(3, *box.spatial_shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder LungLobeAtlasData")
    parser.add_argument("--out", type=Path, default=Path("models/runs/lobes"), help="folder for prior.npy")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    np.save(options.out / "prior.npy", build(options.data))


if __name__ == "__main__":
    main()
