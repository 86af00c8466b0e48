"""Datasets to a CT in Hounsfield units on the source grid (PS3.3 C.8.2.1, C.11.1 Modality LUT, C.7.5.1.1.2 padding).

The datasets are expected to have passed `gate.check_headers`. The volume's slices are in highdicom's order: slice,
row and column axes form a right-handed frame, so an axial head-first CT starts at the head.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import highdicom as hd
import numpy as np
from highdicom.spatial import get_normal_vector
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.tag import Tag

from service.domain.ct import CT, Hounsfield
from service.domain.flags import LOSSY, OF_THE_CT, PADDING_MASKED, Flag, in_order
from service.domain.ports import Step, no_step
from service.errors import Reason, Refusal, Rejected, is_storage_error
from service.imaging.attributes import MALFORMED, is_multi_frame, transfer_syntax
from service.imaging.codestream import check_codestreams, decoding_plugin
from service.imaging.damaged import find_damage
from service.imaging.frames import Frame, frame_count, legible, read_frames
from service.imaging.lossy import is_lossy
from service.imaging.naming import named
from service.imaging.padding import padding_ends

Stored = NDArray[np.integer]
Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]
Whole = Callable[[Dataset], Dataset]

AIR_HU = -1024.0
"""What padding and everything below becomes: the least value of a 12-bit CT."""

_PADDING_BELOW_HU = -1200.0  # noise around air (-1000 HU) never gets there
_AIR_HU = (-1100.0, -900.0)
_SOFT_TISSUE_HU = (0.0, 150.0)
_MIN_AIR_FRACTION = 0.001
_MIN_SOFT_TISSUE_FRACTION = 0.05
_PIXEL_DATA = Tag("PixelData")


@dataclass(slots=True)
class _Census:
    """What was seen while reading: voxels, of which padding is not part of the image; whether any slice is lossy."""

    image: int = 0
    padding: int = 0
    air: int = 0
    soft_tissue: int = 0
    lossy: bool = False

    def add(self, hu: Plane, padding: Mask) -> None:
        """Count one slice, before padding is replaced."""
        padded = int(np.count_nonzero(padding))
        self.padding += padded
        self.image += hu.size - padded
        self.air += _count(hu, _AIR_HU, padding)
        self.soft_tissue += _count(hu, _SOFT_TISSUE_HU, padding)

    def refusals(self) -> Iterator[Refusal]:
        """NOT_HU where a chest CT's air and soft tissue are not where Hounsfield units put them."""
        for name, count, (low, high), least in (
            ("air", self.air, _AIR_HU, _MIN_AIR_FRACTION),
            ("soft tissue", self.soft_tissue, _SOFT_TISSUE_HU, _MIN_SOFT_TISSUE_FRACTION),
        ):
            part = count / self.image if self.image else 0.0
            if part < least:
                yield Refusal(
                    Reason.NOT_HU,
                    f"Only {part:.2%} of the image lies between {low:.0f} and {high:.0f} HU, where {name} belongs; "
                    f"at least {least:.1%} is expected.",
                )


def read_ct(
    datasets: Sequence[Dataset], flags: Sequence[Flag] = (), step: Step = no_step, whole: Whole = lambda header: header
) -> CT:
    """Decode one series into a CT; `flags` of the gate are kept. step: called before each slice.

    Datasets may come in any order and are left as they are. Classic CT: one per slice; Enhanced CT: exactly one.
    whole: returns a dataset with its pixels, where `datasets` are headers: of many files only one is then in memory.
    Rejected with UNREADABLE, CODEC, NOT_HU, DAMAGED_SLICES or MULTIPHASE.
    """
    frames = _frames(datasets)
    order = _volume_order(frames)
    if len({(f.rows, f.columns) for f in frames}) > 1:
        raise Rejected(Refusal(Reason.MIXED_GEOMETRY, "Rows and Columns differ between slices."))
    hu, census = _hounsfield(datasets, frames, order, step, whole)
    volume = hd.Volume(hu, _affine([frames[k] for k in order]), "PATIENT", frames[0].frame_of_reference_uid)
    step()
    refused = tuple(census.refusals()) or tuple(_damage(volume, [frames[k] for k in order]))
    if refused:
        raise Rejected(*refused)
    found = set(flags)
    found |= {LOSSY} if census.lossy else set()
    found |= {PADDING_MASKED} if census.padding else set()
    multi_frame = is_multi_frame(datasets[0])
    headers = [datasets[0]] if multi_frame else [datasets[frames[k].instance] for k in order]
    return CT(
        headers=tuple(_without_pixels(header) for header in headers),
        volume=volume,
        flags=in_order(found, OF_THE_CT),
        frame_numbers=tuple(frames[k].number for k in order) if multi_frame else (),
    )


def _frames(datasets: Sequence[Dataset]) -> tuple[Frame, ...]:
    """All slices in the order of the datasets; Rejected if any cannot be read."""
    instances, illegible = legible(datasets)
    frames, unreadable = read_frames(instances)
    if illegible or unreadable:
        raise Rejected(*illegible, *unreadable)
    if not frames:
        raise Rejected(Refusal(Reason.TOO_FEW, "The series is empty."))
    return frames


def _volume_order(frames: Sequence[Frame]) -> list[int]:
    """Indices of the frames in the order of the volume's slices."""
    normal = get_normal_vector(_orthonormal(frames[0].orientation).ravel().tolist(), "DR", "RIGHT_HANDED")
    return [int(k) for k in np.argsort(np.array([f.position_mm for f in frames]) @ normal, kind="stable")]


def _orthonormal(orientation: Sequence[float]) -> NDArray[np.float64]:
    """The two direction cosines freed from rounding: unit length and exactly perpendicular, axes (direction, LPS)."""
    along_row, along_column = np.array(orientation, np.float64).reshape(2, 3)
    along_row = along_row / np.linalg.norm(along_row)
    along_column = along_column - (along_column @ along_row) * along_row
    return np.stack([along_row, along_column / np.linalg.norm(along_column)])


def _affine(frames: Sequence[Frame]) -> NDArray[np.float64]:
    """(slice, row, column) to LPS mm, from frames in volume order; slice spacing from the positions."""
    cosines = _orthonormal(frames[0].orientation)
    normal = np.cross(cosines[1], cosines[0])
    first, last = (np.array(f.position_mm) for f in (frames[0], frames[-1]))
    affine = np.eye(4)
    affine[:3, 0] = normal * ((last - first) @ normal / max(1, len(frames) - 1))
    affine[:3, 1] = cosines[1] * frames[0].pixel_spacing_mm[0]
    affine[:3, 2] = cosines[0] * frames[0].pixel_spacing_mm[1]
    affine[:3, 3] = first
    return affine


def _hounsfield(
    datasets: Sequence[Dataset], frames: Sequence[Frame], order: Sequence[int], step: Step, whole: Whole
) -> tuple[Hounsfield, _Census]:
    """HU, axes (slice, row, column), as `CT.volume`; one frame is decoded at a time to keep memory at one volume."""
    hu: Hounsfield = np.empty((len(order), frames[0].rows, frames[0].columns), np.int16)
    plane = np.empty(hu.shape[1:], np.float32)
    slice_of = {frame: k for k, frame in enumerate(order)}
    census = _Census()
    for index, (frame, (stored, padding)) in enumerate(zip(frames, _decoded(datasets, whole, census), strict=True)):
        step()
        if stored.shape != hu.shape[1:]:
            raise Rejected(Refusal(Reason.CODEC, f"A frame has shape {stored.shape}, not {hu.shape[1:]}."))
        _rescale(stored, frame, plane)
        padding = padding | (plane < _PADDING_BELOW_HU)
        census.add(plane, padding)
        plane[padding] = AIR_HU
        np.maximum(plane, AIR_HU, out=plane)
        if hu.dtype == np.int16 and not _is_int16(plane, frame):
            hu = hu.astype(np.float32)
        hu[slice_of[index]] = plane
    return hu, census


def _is_int16(plane: Plane, frame: Frame) -> bool:
    """Whether the HU of a slice, at least `AIR_HU`, are whole numbers that 16 bits hold."""
    whole = all(float(of).is_integer() for of in (frame.rescale_slope, frame.rescale_intercept) if of is not None)
    return whole and float(plane.max()) <= np.iinfo(np.int16).max


def _damage(volume: hd.Volume, frames: Sequence[Frame]) -> Iterator[Refusal]:
    """A refusal for each kind of bad slice, naming them. frames: in the order of the volume's slices."""
    slices_mm, rows_mm, columns_mm = volume.spacing
    for damage in find_damage(volume.array, (slices_mm, rows_mm, columns_mm)):
        yield Refusal(damage.reason, f"{damage.what}: {named(frames, damage.slices)}.")


def _decoded(datasets: Sequence[Dataset], whole: Whole, census: _Census) -> Iterator[tuple[Stored, Mask]]:
    """Stored values and padding of every frame, dataset by dataset; Rejected if one cannot be decoded."""
    for header in datasets:
        dataset = _with_pixels(header, whole)
        if _PIXEL_DATA not in dataset:
            raise Rejected(Refusal(Reason.UNREADABLE, "PixelData is missing."))
        try:
            census.lossy |= is_lossy(dataset)
            yield from _frames_of(dataset)
        except (RuntimeError, *MALFORMED) as exc:
            cause = " ".join(str(exc).split())
            raise Rejected(Refusal(Reason.CODEC, f"Transfer syntax {_syntax_name(dataset)}: {cause}")) from exc


def _with_pixels(header: Dataset, whole: Whole) -> Dataset:
    """Returns `whole(header)`; Rejected if the file cannot be parsed, unless the storage failed."""
    try:
        return whole(header)
    except MALFORMED as exc:
        if is_storage_error(exc):
            raise
        raise Rejected(Refusal(Reason.UNREADABLE, f"A file cannot be parsed ({type(exc).__name__}).")) from exc


def _syntax_name(dataset: Dataset) -> str:
    uid = transfer_syntax(dataset)
    return "is missing" if uid is None else uid.name


def _frames_of(dataset: Dataset) -> Iterator[tuple[Stored, Mask]]:
    """Stored values and padding of every frame of one dataset; ValueError if not as many as the headers say."""
    check_codestreams(dataset)
    plugin = decoding_plugin(dataset.file_meta.TransferSyntaxUID)
    expected, found = frame_count(dataset), 0
    frames = iter_pixels(dataset, raw=True, decoding_plugin=plugin)
    for stored, written in zip(frames, _as_written(dataset, plugin), strict=False):
        found += 1
        if found > expected:
            break
        yield stored, _padding(dataset, stored) | (_padding(dataset, written) if written is not None else False)
    if found != expected:
        raise ValueError(f"the pixel data does not hold the {expected} frames that the headers tell of")


def _rescale(stored: Stored, frame: Frame, out: Plane) -> None:
    if frame.rescale_slope is None or frame.rescale_intercept is None:
        raise Rejected(Refusal(Reason.NOT_HU, "Rescale Slope or Rescale Intercept is missing."))
    np.multiply(stored, np.float32(frame.rescale_slope), out=out, casting="unsafe")
    out += np.float32(frame.rescale_intercept)


def _as_written(dataset: Dataset, plugin: str) -> Iterator[Stored | None]:
    """Frames with their unused high bits, in which padding stands that Bits Stored cannot hold; else None for each.

    Without those bits -2000, written as 63536 with 12 bits stored, would be the 2096 that bone may have.
    """
    if all(_fits(end, dataset) for end in padding_ends(dataset)):
        return repeat(None)
    return iter_pixels(dataset, raw=True, decoding_plugin=plugin, correct_unused_bits=False)


def _fits(value: int, dataset: Dataset) -> bool:
    bits = int(dataset.BitsStored)
    lowest, values = (-(1 << bits - 1) if dataset.PixelRepresentation else 0), 1 << bits
    return bits == dataset.BitsAllocated or lowest <= value < lowest + values


def _padding(dataset: Dataset, stored: Stored) -> Mask:
    """Where the stored values are Pixel Padding (value, or range to the limit)."""
    # A sender may write -2000 as the unsigned 63536; the stored values' own type tells what is meant.
    ends = [np.array(end).astype(stored.dtype) for end in padding_ends(dataset)]
    if not ends:
        return np.zeros(stored.shape, np.bool_)
    return (stored >= min(ends)) & (stored <= max(ends))


def _count(hu: Plane, bounds_hu: tuple[float, float], padding: Mask) -> int:
    return int(np.count_nonzero((hu >= bounds_hu[0]) & (hu <= bounds_hu[1]) & ~padding))


def _without_pixels(dataset: Dataset) -> Dataset:
    """Copy that shares all elements except Pixel Data, none of which is looked at: some may be malformed."""
    header = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys() if tag != _PIXEL_DATA})  # noqa: SIM118
    header.file_meta = dataset.file_meta
    return header
