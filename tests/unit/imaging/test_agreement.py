"""Agreement of masks against independent implementations: surface-distance (DeepMind) and SimpleITK."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from surface_distance import lookup_tables, metrics

from service.imaging.agreement import BOTH_EMPTY, Agreement, compare, summarise
from service.imaging.agreement.document import metrics_csv, metrics_document
from service.imaging.agreement.plot import bland_altman_svg
from service.imaging.agreement.surface import hausdorff_mm, surface_dice, surface_distances
from service.imaging.agreement.surfels import CORNERS, surfel_areas

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (0.9, 2.3, 1.4)]

pytestmark = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")  # of surface-distance


def blobs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping masks of smooth noise: holes, islands, and labels that touch the edge of the array."""
    noise = np.random.default_rng(seed).standard_normal((2, 22, 34, 30))
    first, second = (ndimage.gaussian_filter(n, 2.5) for n in noise)
    return first > 0.02, first + 0.6 * second > 0.02


def ball(centre: tuple[float, float, float], radius: float, shape: tuple[int, int, int] = (40, 40, 40)) -> np.ndarray:
    return radius**2 >= np.sum((np.indices(shape).T - centre) ** 2, axis=-1).T


def image(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> sitk.Image:
    result = sitk.GetImageFromArray(mask.astype(np.uint8))
    result.SetSpacing(spacing_mm[::-1])
    return result


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_the_area_of_every_surface_element_is_the_reference_s(spacing_mm: tuple[float, float, float]) -> None:
    reference = lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    weights = lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL
    theirs = [reference[sum(weights[c] for bit, c in enumerate(CORNERS) if code >> bit & 1)] for code in range(256)]
    assert np.allclose(surfel_areas(spacing_mm), theirs, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_h95_and_surface_dice_are_the_reference_s(seed: int, spacing_mm: tuple[float, float, float]) -> None:
    pred, truth = blobs(seed)
    ours = surface_distances(pred, truth, spacing_mm)
    theirs = metrics.compute_surface_distances(truth, pred, spacing_mm)
    for percent in (50, 95, 100):
        assert hausdorff_mm(ours, percent) == pytest.approx(metrics.compute_robust_hausdorff(theirs, percent))
    for tolerance_mm in (0.0, 1.18, 3.0):
        expected = metrics.compute_surface_dice_at_tolerance(theirs, tolerance_mm)
        assert 0 < expected < 1
        assert surface_dice(ours, tolerance_mm) == pytest.approx(expected)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_overlap_and_volumes_are_simpleitk_s(spacing_mm: tuple[float, float, float]) -> None:
    pred, truth = blobs(0)
    found = compare(pred, truth, spacing_mm, slice_axis=0, tolerance_mm=1.18)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(image(pred, spacing_mm), image(truth, spacing_mm))
    assert found.dice == pytest.approx(overlap.GetDiceCoefficient())
    assert found.jaccard == pytest.approx(overlap.GetJaccardCoefficient())
    shape = sitk.LabelShapeStatisticsImageFilter()
    for mask, volume_ml in ((pred, found.pred_ml), (truth, found.truth_ml)):
        shape.Execute(image(mask, spacing_mm))
        assert volume_ml == pytest.approx(shape.GetPhysicalSize(1) / 1000)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_the_hausdorff_distance_is_simpleitk_s_within_a_voxel(spacing_mm: tuple[float, float, float]) -> None:
    """SimpleITK measures between voxel centres, we between surfaces."""
    pred, truth = ball((20, 18, 22), 9), ball((16, 20, 20), 12)
    filter_ = sitk.HausdorffDistanceImageFilter()
    filter_.Execute(image(pred, spacing_mm), image(truth, spacing_mm))
    expected = filter_.GetHausdorffDistance()
    ours = hausdorff_mm(surface_distances(pred, truth, spacing_mm), 100)
    assert expected > 5
    assert ours == pytest.approx(expected, abs=float(np.linalg.norm(spacing_mm)))


def test_a_shift_by_the_tolerance_is_within_it() -> None:
    mask = np.zeros((10, 30, 10), bool)
    mask[2:8, 3:20, 2:8] = True
    spacing_mm = (1.0, 0.7, 1.0)
    shifted = np.roll(mask, 1, axis=1)
    assert compare(shifted, mask, spacing_mm, 0, tolerance_mm=0.7).surface_dice == 1
    found = compare(shifted, mask, spacing_mm, 0, tolerance_mm=0.69)
    assert found.surface_dice is not None and found.surface_dice < 1
    assert found.h95_mm == pytest.approx(0.7)
    assert found.dice == pytest.approx(16 / 17)


def test_a_mask_with_itself() -> None:
    mask, _ = blobs(1)
    found = compare(mask, mask, (2.0, 1.0, 1.0), 0, 0.0)
    assert (found.dice, found.jaccard, found.surface_dice, found.h95_mm, found.added_path_length_mm) == (1, 1, 1, 0, 0)
    assert found.difference_ml == 0 and found.empty is None


def test_the_added_path_is_the_contour_that_is_not_there() -> None:
    truth = np.zeros((3, 12, 12), bool)
    truth[1, 2:8, 2:8] = True  # a square of 6 x 6: its contour has 20 voxels
    pred = truth.copy()
    assert compare(np.zeros_like(truth), truth, (5.0, 2.0, 2.0), 0, 1.0).added_path_length_mm == 40
    pred[1, 7, 2:8] = False  # the last row is gone: its 6 voxels are not on the contour of the prediction
    assert compare(pred, truth, (5.0, 2.0, 2.0), 0, 1.0).added_path_length_mm == 12
    assert compare(truth, pred, (5.0, 2.0, 2.0), 0, 1.0).added_path_length_mm == 8  # 4 voxels inside the larger square
    turned = np.moveaxis(pred, 0, 2), np.moveaxis(truth, 0, 2)
    assert compare(*turned, (2.0, 2.0, 5.0), 2, 1.0).added_path_length_mm == 12


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_the_added_path_is_that_of_counting_voxel_by_voxel(slice_axis: int) -> None:
    spacing_mm = (1.5, 0.7, 2.9)
    sides = [side for axis, side in enumerate(spacing_mm) if axis != slice_axis]
    for seed in range(5):
        pred, truth = np.random.default_rng(seed).random((2, 5, 6, 7)) < 0.6
        added = sum(
            on_contour(truth, index, slice_axis) and not on_contour(pred, index, slice_axis)
            for index in np.ndindex(truth.shape)
        )
        found = compare(pred, truth, spacing_mm, slice_axis, 1.0).added_path_length_mm
        assert added > 10 and found == pytest.approx(added * math.sqrt(sides[0] * sides[1]))


def on_contour(mask: np.ndarray, index: tuple[int, ...], slice_axis: int) -> bool:
    """Whether a voxel is labelled and one of its four neighbours in the slice is not, or lies outside the array."""
    neighbours = []
    for axis in {0, 1, 2} - {slice_axis}:
        for step in (-1, 1):
            beside = list(index)
            beside[axis] += step
            inside = 0 <= beside[axis] < mask.shape[axis]
            neighbours.append(bool(inside and mask[tuple(beside)]))
    return bool(mask[index]) and not all(neighbours)


def test_spheres_in_each_other_have_the_distances_of_geometry() -> None:
    """Radii 12 and 9 mm: all surface is 3 mm away, the overlap is the smaller ball."""
    spacing_mm = (0.5, 0.5, 0.5)
    outer, inner = ball((30, 30, 30), 24, (61, 61, 61)), ball((30, 30, 30), 18, (61, 61, 61))
    found = compare(inner, outer, spacing_mm, 0, tolerance_mm=2.0)
    assert found.h95_mm == pytest.approx(3.0, abs=0.3) and found.surface_dice == 0
    assert found.jaccard == pytest.approx((9 / 12) ** 3, rel=0.01)
    assert found.dice == pytest.approx(2 * 9**3 / (9**3 + 12**3), rel=0.01)
    assert compare(inner, outer, spacing_mm, 0, tolerance_mm=3.5).surface_dice == 1


def test_moved_spheres_agree_where_geometry_says() -> None:
    """A sphere moved by s: the part of its surface within t of where it was is t / s, whatever its radius.

    The distance from a point of one to the other is |root(r^2 + s^2 + 2 r s u) - r|, where u, the cosine to the
    movement, is spread evenly (Archimedes). An element of surface lies up to half the diagonal of a voxel beside it.
    """
    spacing_mm = (0.4, 0.4, 0.4)
    first, second = ball((32, 32, 32), 30, (65, 65, 75)), ball((32, 32, 42), 30, (65, 65, 75))
    for tolerance_mm in (1.18, 2.0, 3.0):
        found = compare(first, second, spacing_mm, 0, tolerance_mm)
        assert found.surface_dice == pytest.approx(tolerance_mm / 4, abs=0.35 / 4)
        assert found.h95_mm == pytest.approx(0.95 * 4, abs=0.2)


def test_an_added_path_of_an_empty_prediction_is_all_of_the_truth_and_of_an_empty_truth_there_is_none() -> None:
    square = np.zeros((2, 9, 9), bool)
    square[1, 2:7, 2:7] = True
    nothing = np.zeros_like(square)
    assert compare(nothing, square, (3.0, 1.0, 1.0), 0, 1.0).added_path_length_mm == 16
    assert compare(square, nothing, (3.0, 1.0, 1.0), 0, 1.0).added_path_length_mm is None
    assert compare(nothing, nothing, (3.0, 1.0, 1.0), 0, 1.0).added_path_length_mm is None


def test_empty_masks_have_no_distance_and_two_of_them_no_overlap() -> None:
    mask, _ = blobs(2)
    nothing = np.zeros_like(mask)
    both = compare(nothing, nothing, (1.0, 1.0, 1.0), 0, 1.0)
    assert both == BOTH_EMPTY and both.empty == "both"
    assert (both.dice, both.jaccard, both.surface_dice, both.h95_mm) == (None, None, None, None)
    for pred, truth, empty in ((nothing, mask, "pred"), (mask, nothing, "truth")):
        found = compare(pred, truth, (1.0, 1.0, 1.0), 0, 1.0)
        assert (found.dice, found.jaccard, found.surface_dice, found.h95_mm) == (0, 0, 0, None)
        assert found.empty == empty


def cases(pred_ml: list[float], truth_ml: list[float]) -> list[Agreement]:
    return [
        Agreement(t, p, dice=0.5 + 0.05 * k, jaccard=0.4, surface_dice=0.3, h95_mm=float(k), added_path_length_mm=4.0)
        for k, (p, t) in enumerate(zip(pred_ml, truth_ml, strict=True))
    ]


def test_bland_altman_and_correlation_by_hand() -> None:
    summary = summarise(cases([10, 22, 33, 41], [10, 20, 30, 40]), seed=0)
    assert summary.volume.bias_ml == pytest.approx(1.5)
    assert summary.volume.sd_ml == pytest.approx(math.sqrt(5 / 3))
    assert summary.volume.limits_ml == pytest.approx((1.5 - 1.96 * math.sqrt(5 / 3), 1.5 + 1.96 * math.sqrt(5 / 3)))
    assert summary.volume.pearson_r == pytest.approx(np.corrcoef([10, 22, 33, 41], [10, 20, 30, 40])[0, 1])
    assert summary.metrics["dice"].mean == pytest.approx(0.575)
    assert summary.metrics["h95_mm"].median == pytest.approx(1.5)


def test_the_bootstrap_is_seeded_and_covers_what_it_should() -> None:
    values = np.random.default_rng(5).normal(0.8, 0.1, 200)
    many = [Agreement(1, 1, dice=float(v)) for v in values]
    (low, high), again, other = (summarise(many, seed).metrics["dice"].ci95 for seed in (0, 0, 1))
    assert again == (low, high) != other
    standard_error = values.std(ddof=1) / math.sqrt(200)
    assert low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.15 * standard_error)
    assert high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.15 * standard_error)


def test_what_is_not_defined_is_counted_and_left_out_of_means() -> None:
    missed = Agreement(truth_ml=8, pred_ml=0, dice=0, jaccard=0, surface_dice=0, added_path_length_mm=36)
    invented = Agreement(truth_ml=0, pred_ml=2, dice=0, jaccard=0, surface_dice=0)
    summary = summarise([*cases([10], [10]), missed, invented, BOTH_EMPTY], seed=0)
    assert (summary.cases, summary.empty_both, summary.empty_pred, summary.empty_truth) == (4, 1, 1, 1)
    assert (summary.metrics["dice"].n, summary.metrics["dice"].mean) == (3, pytest.approx(0.5 / 3))
    assert summary.metrics["h95_mm"].n == 1 and summary.metrics["h95_mm"].ci95 is None
    assert summary.metrics["added_path_length_mm"].n == 2, "of an empty truth nothing is drawn, and no mean flattered"
    assert summary.volume.n == 4 and summary.volume.bias_ml == pytest.approx((0 - 8 + 2 + 0) / 4)


def test_too_few_cases_give_no_interval_and_no_correlation() -> None:
    one, two = summarise(cases([1], [2]), 0), summarise(cases([1, 2], [2, 2]), 0)
    assert one.volume.sd_ml is None and one.volume.limits_ml is None and one.metrics["dice"].ci95 is None
    assert two.volume.limits_ml is not None and two.volume.pearson_r is None
    assert summarise(cases([1, 2, 3], [2, 2, 2]), 0).volume.pearson_r is None, "the truth does not vary"
    nothing = summarise([BOTH_EMPTY, BOTH_EMPTY], 0).metrics["dice"]
    assert (nothing.n, nothing.mean, nothing.median, nothing.ci95) == (0, None, None, None)


def test_documents_hold_no_nan_and_the_same_numbers() -> None:
    labels = {"a": {"x": cases([10], [12])[0], "y": BOTH_EMPTY}, "b": {"x": BOTH_EMPTY, "y": BOTH_EMPTY}}
    document = metrics_document(labels, {"tolerance_mm": 1.0}, 3, {"failed": {}})
    assert [(row["case"], row["label"]) for row in document["cases"]] == [
        ("x", "a"),
        ("x", "b"),
        ("y", "a"),
        ("y", "b"),
    ]
    assert document["cases"][0]["difference_ml"] == -2 and document["cases"][1]["dice"] is None
    assert document["settings"] == {"tolerance_mm": 1.0, "seed": 3}
    lines = metrics_csv(labels).splitlines()
    assert lines[0].startswith("case,label,empty,dice,") and len(lines) == 5
    assert lines[1] == "x,a,,0.5,0.4,0.3,0.0,12,10,-2,4.0" and lines[2] == "x,b,both,,,,,0.0,0.0,0.0,"


SVG = "{http://www.w3.org/2000/svg}"


def test_the_plot_shows_every_case_at_its_place() -> None:
    found = cases([10, 22, 33, 41], [10, 20, 30, 40])
    names = ["a", "b", "c & <d>", "e"]
    drawing = ET.fromstring(bland_altman_svg({"lung": dict(zip(names, found, strict=True)), "one": {"a": found[0]}}))
    first, second = drawing.findall(f"{SVG}g")
    dots = first.findall(f"{SVG}circle")
    assert [dot.findtext(f"{SVG}title").split(":")[0] for dot in dots] == names
    xs, ys = (np.array([float(dot.get(c)) for dot in dots]) for c in ("cx", "cy"))
    means, differences = np.array([10, 21, 31.5, 40.5]), np.array([0, 2, 3, 1])
    assert np.corrcoef(xs, means)[0, 1] == pytest.approx(1, abs=1e-4)
    assert np.corrcoef(ys, differences)[0, 1] == pytest.approx(-1, abs=1e-4)
    texts = [text.text for text in first.iter(f"{SVG}text")]
    assert {"lung (n = 4)", "bias", "1.5", "+1.96 SD", "4.03"} <= set(texts)
    dashed = [line for line in first.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert len(dashed) == 2
    low, high = sorted((float(line.get("y1")) for line in dashed), reverse=True)
    assert high < ys.min() and ys.max() < low
    assert len(second.findall(f"{SVG}circle")) == 1 and "+1.96 SD" not in [t.text for t in second.iter(f"{SVG}text")]


@pytest.mark.parametrize("volumes", [([0.0, 0.0], [0.0, 0.0]), ([5.0, 5.0], [5.0, 5.0]), ([4e-4, 9000], [0, 8000])])
def test_the_plot_survives_any_volumes(volumes: tuple[list[float], list[float]]) -> None:
    drawing = ET.fromstring(bland_altman_svg({"x": dict(zip("ab", cases(*volumes), strict=True))}))
    for dot in drawing.iter(f"{SVG}circle"):
        assert 0 <= float(dot.get("cx")) <= 440 and 0 <= float(dot.get("cy")) <= 310
