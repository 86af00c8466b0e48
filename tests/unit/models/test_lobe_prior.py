"""The lobe prior: points in any spelling, surfaces cut a lung's box, the graph answers any lungs alike."""

from pathlib import Path

import highdicom as hd
import numpy as np
import onnxruntime as ort
import pytest
import SimpleITK as sitk

from models.lobes.build import lobes_of, onto_atlas, read_points
from models.lobes.graph import graph
from models.lobes.spec import SIZE, SPEC
from service.domain.anatomy import Lobe
from service.imaging.lungs import Side

AFFINE = np.array([[0, 0, 5.0, 0], [0, 5.0, 0, 0], [-5.0, 0, 0, 75.0], [0, 0, 0, 1]])


def plane(height_mm: float, slope: float = 0.0) -> np.ndarray:
    """Points on z = height + slope y, LPS mm."""
    x, y = (axis.ravel() for axis in np.mgrid[0:80:9, 0:80:9])
    return np.stack([x, y, height_mm + slope * y], 1).astype(float)


def test_points_are_read_in_every_spelling(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text(
        "Region,Type,X point, Y point, Z point\n"
        "RightSuperiorLobe,ObliqueFissure,1,2,3\n"
        "LEFTLUNG,OBLIQUEFISSURE,4,5,6\n"
        "RightLung, Horizontal Fissure,7,8,9\n"
        "RightLung,Airway,0,0,0\n"
    )
    found = read_points(path)
    assert {name: points.tolist() for name, points in found.items()} == {
        "right oblique": [[1, 2, 3]],
        "left oblique": [[4, 5, 6]],
        "right horizontal": [[7, 8, 9]],
    }


def test_the_transform_is_applied_backwards() -> None:
    transform = sitk.TranslationTransform(3, (1.0, 2.0, 3.0))
    assert onto_atlas({"a": np.array([[1.0, 2.0, 3.0]])}, transform)["a"].tolist() == [[0, 0, 0]]


def test_surfaces_cut_the_boxes() -> None:
    box = hd.Volume(np.zeros((16, 16, 16), np.uint8), AFFINE, "PATIENT")
    fissures = {"right oblique": plane(20.0), "right horizontal": plane(50.0), "left oblique": plane(0.0, slope=1.0)}
    lobes = lobes_of(fissures, {Side.RIGHT: box, Side.LEFT: box})
    of = dict(zip(Lobe, lobes, strict=True))
    assert (sum(of[lobe] for lobe in (Lobe.RUL, Lobe.RML, Lobe.RLL)) == 1).all()
    assert (of[Lobe.LUL] ^ of[Lobe.LLL]).all()
    assert of[Lobe.RUL][0].all()
    assert of[Lobe.RML][8].all()
    assert of[Lobe.RLL][15].all()
    assert of[Lobe.LUL][8, 0].all()
    assert of[Lobe.LLL][8, 15].all()


def test_the_graph_gives_the_prior_for_every_pair_of_lungs() -> None:
    prior = np.random.default_rng(0).integers(0, 255, SPEC.outputs[0].dims).astype(np.uint8)
    session = ort.InferenceSession(graph(prior, 18).SerializeToString(), providers=["CPUExecutionProvider"])
    answer = session.run(None, {"lungs": np.zeros((2, 2, SIZE, SIZE, SIZE), np.uint8)})[0]
    assert np.array_equal(answer, np.stack([prior, prior]))


def test_a_prior_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the prior is"):
        graph(np.zeros((5, 8, 8, 8), np.uint8), 18)
