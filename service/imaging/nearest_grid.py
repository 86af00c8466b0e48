"""A CT on a grid of single slices by nearest neighbour, as networks want it that have learned from such slices."""

import highdicom as hd
import numpy as np

from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION


def to_nearest_grid(volume: hd.Volume, spacing_mm: float, size: int) -> hd.Volume:
    """Orient to `MODEL_ORIENTATION`, and take the nearest pixel of each slice for a grid about the image's middle.

    volume: HU, any axis order. Slices stay where they are. Returns int16 HU, shape (slices, size, size): what lies
    beyond the grid is cropped, beyond the image there is air. `harmonise.resample_like` is its inverse for what a model
    says.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    middle = (np.array(oriented.spatial_shape[1:]) - 1) / 2
    offsets_mm = (np.arange(size) - (size - 1) / 2) * spacing_mm
    rows, columns = (
        np.rint(start + offsets_mm / mm).astype(int) for start, mm in zip(middle, oriented.spacing[1:], strict=True)
    )
    last_row, last_column = (length - 1 for length in oriented.spatial_shape[1:])
    beyond = ((rows < 0) | (rows > last_row))[:, None] | ((columns < 0) | (columns > last_column))
    taken = np.ix_(rows.clip(0, last_row), columns.clip(0, last_column))
    hu = np.empty((oriented.spatial_shape[0], size, size), np.int16)
    for plane, found in zip(oriented.array, hu, strict=True):
        found[:] = np.where(beyond, AIR_HU, np.rint(plane[taken]))
    _, to_back, to_left = oriented.unit_vectors()
    centre = oriented.affine[:3] @ [0.0, *middle, 1.0]
    return hd.Volume.from_components(
        hu,
        spacing=(oriented.spacing[0], spacing_mm, spacing_mm),
        coordinate_system="PATIENT",
        position=(centre - (size - 1) / 2 * spacing_mm * (to_back + to_left)).tolist(),
        direction=oriented.direction.flatten().tolist(),
        frame_of_reference_uid=oriented.frame_of_reference_uid,
    )
