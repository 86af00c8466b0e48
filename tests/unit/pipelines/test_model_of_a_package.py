"""A pipeline of another package brings a model role of its own, with several tensors of any type and rank."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import make_ct, tiny_models, toy_pipeline

from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.model_roles import Role
from service.domain.pipeline import Pipeline, roles_of
from service.domain.ports import Backend, Progress, unheard
from service.domain.serving import promote
from service.errors import Permanent
from service.imaging.read import read_ct
from service.inference.install import prepare
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, change, embed, remove
from service.inference.tensors import check_inputs
from service.pipelines import BUILT_IN
from service.rollout.acceptance import Acceptance
from service.rollout.parity import compare_backends

NAME = toy_pipeline.MODEL.name
DATASETS = make_ct.make(slices=44, spacing_mm=5.0, noise_hu=50.0).datasets


@pytest.fixture(scope="module")
def added() -> Iterator[Pipeline]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(toy_pipeline.FOLDER)
        from emphysema_index.pipeline import EmphysemaIndex

        yield EmphysemaIndex()


@pytest.fixture
def roles(added: Pipeline) -> dict[str, Role]:
    return roles_of((*BUILT_IN, added))


@pytest.fixture
def root(tmp_path: Path, roles: dict[str, Role]) -> Path:
    """Version 1 finds what the threshold finds, version 2 less."""
    root = tiny_models.repository(tmp_path / "models")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    for below in (-950.0, -960.0):
        add(root, prepare(root, toy_pipeline.network(below), toy_pipeline.MODEL, roles).content)
    return root


@pytest.mark.slow
def test_its_model_is_installed_tried_and_used(root: Path, added: Pipeline, tmp_path: Path) -> None:
    make_ct.write(DATASETS, tmp_path / "ct")
    without = added.analyse(read_ct(DATASETS), OnnxBackend(root), unheard)
    acceptance = Acceptance(
        BUILT_IN, [*BUILT_IN, added], tmp_path / "ct", lambda versions: OnnxBackend(root, versions=versions)
    )
    assert NAME not in {model.name for model in without.models}
    passed = acceptance.check(root, NAME, "1")
    assert passed.difference is not None and passed.difference.worst_dice == 1.0
    change(root, NAME, promote("1"))
    used = added.analyse(read_ct(DATASETS), OnnxBackend(root), unheard)
    assert NAME in {model.name for model in used.models}
    assert np.array_equal(used.label_map("emphysema").labels, without.label_map("emphysema").labels)
    assert used.headline == without.headline


@pytest.mark.slow
def test_every_output_is_compared(root: Path, added: Pipeline) -> None:
    one, other = (OnnxBackend(root, versions={NAME: version}) for version in "12")
    same = compare_backends(added, read_ct(DATASETS), one, one, unheard)
    assert {answers.channel for answers in same.answers if answers.model == NAME} == {"emphysema", "count all"}
    assert same.mistakes == ()
    less = compare_backends(added, read_ct(DATASETS), one, other, unheard)
    wrong = {answers.channel for answers in less.answers if answers.model == NAME and answers.mistake}
    assert wrong == {"emphysema", "count all"}, "true and false, and a count, are right or wrong"


def test_a_model_that_does_not_fit_the_role_is_refused(tmp_path: Path, roles: dict[str, Role]) -> None:
    root = tiny_models.repository(tmp_path / "models")
    one = replace(toy_pipeline.MODEL, outputs=toy_pipeline.MODEL.outputs[:1])
    with pytest.raises(Permanent, match="outputs: emphysema-voxels has emphysema, count, not emphysema"):
        prepare(root, toy_pipeline.network(), one, roles)
    with pytest.raises(Permanent, match="'emphysema-voxels' is no role"):
        prepare(root, toy_pipeline.network(), toy_pipeline.MODEL, roles_of(BUILT_IN))


@pytest.mark.slow
def test_a_pipeline_of_two_new_models_is_brought_into_service(root: Path, added: Pipeline, tmp_path: Path) -> None:
    """Neither is served when the first is tried: it is tried with the newest of the other."""
    make_ct.write(DATASETS, tmp_path / "ct")
    voxels = roles_of([added])[NAME]
    other = Role("more-voxels", "the same again", voxels.check)

    class Both(type(added)):  # type: ignore[misc]
        models = (*added.models, voxels, other)
        optional_models = ()

        def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
            assert {backend.spec(role.name).name for role in (voxels, other)} == {NAME, "more-voxels"}
            return super().analyse(ct, backend, progress)  # type: ignore[no-any-return]

    acceptance = Acceptance([Both()], [Both()], tmp_path / "ct", partial(OnnxBackend, root, 1))
    with pytest.raises(Permanent, match="is tried together with more-voxels, of which no version is installed"):
        acceptance.check(root, NAME, "1")
    second = replace(toy_pipeline.MODEL, name="more-voxels")
    add(root, prepare(root, toy_pipeline.network(), second, roles_of([Both()])).content)
    for name in (NAME, "more-voxels"):
        assert acceptance.check(root, name, "1").difference is None, "there is nothing to compare with"
        change(root, name, promote("1"))
    assert {NAME, "more-voxels"} <= acceptance.required


def test_no_pipeline_needs_it_so_it_may_go(root: Path, added: Pipeline) -> None:
    acceptance = Acceptance([*BUILT_IN, added], [], None, lambda versions: OnnxBackend(root, versions=versions))
    assert acceptance.required == {"lung-opacity", "lobes", "opacity-context", "triage-lesion", "lung-tumour"}
    for version in "12":
        assert remove(root, NAME, version, required=lambda: NAME in acceptance.required) is None


def test_as_many_images_in_each_tensor() -> None:
    hu, lung = np.zeros((2, 2**16), np.float32), np.zeros((1, 2**16), np.bool_)
    check_inputs(toy_pipeline.MODEL, {"hu": hu[:1], "lung": lung})
    with pytest.raises(Permanent, match="as many images in each of hu, lung"):
        check_inputs(toy_pipeline.MODEL, {"hu": hu, "lung": lung})


def test_the_spec_survives_the_file(tmp_path: Path) -> None:
    spec = tiny_models.numbered(toy_pipeline.MODEL, 1)
    root = tiny_models.repository(tmp_path / "models")
    add(root, embed(toy_pipeline.network(), spec))
    change(root, NAME, promote("1"))
    assert replace(OnnxBackend(root).spec(NAME), sha256="") == spec
