"""The repository changes by one rename: whenever a change breaks off, what is left loads and serves a whole version."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from google.protobuf import text_format
from helpers import tiny_models
from tritonclient.grpc.model_config_pb2 import ModelConfig

from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.repository import SPECS
from service.domain.serving import OFF, Candidate, Served, canary, promote, rollback, shadow, withdraw
from service.errors import Permanent
from service.inference import repository
from service.inference.files import DIGESTS, read_digests, serving_of
from service.inference.install import prepare
from service.inference.installed_models import NUMBERS, highest_version, installed
from service.inference.model_trial import checking, listed_for_trial
from service.inference.onnx import OnnxBackend
from service.inference.repository import add, change, create, embed, remove
from service.inference.serving_file import SERVING, render_serving
from service.pipelines import MODEL_ROLES

SHIPPED = Path(__file__).resolve().parents[3] / "triton_repo"
SHIPPED_ONES = {spec.name: spec.version for spec in SPECS}


def never() -> bool:
    """A model that no pipeline requires."""
    return False


def lungs(version: int) -> bytes:
    return embed(tiny_models.lungs(), tiny_models.numbered(tiny_models.LUNGS, version))


def lobes(version: int) -> bytes:
    return embed(tiny_models.lobes(), tiny_models.numbered(tiny_models.LOBES, version))


def active(root: Path) -> dict[str, str]:
    """What the service would run; Permanent if it would not start."""
    return {spec.name: spec.version for spec in OnnxBackend(root).specs}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    create(tmp_path / "own", SHIPPED)
    return tmp_path / "own"


def listed(config: Path) -> list[int]:
    """The versions that Triton is to serve."""
    return list(text_format.Parse(config.read_text(), ModelConfig()).version_policy.specific.versions)


def test_a_new_repository_holds_the_shipped_models_byte_for_byte(own: Path) -> None:
    assert active(own) == SHIPPED_ONES
    for path in (p for p in SHIPPED.rglob("*") if p.is_file()):
        assert (own / path.relative_to(SHIPPED)).read_bytes() == path.read_bytes()
    with pytest.raises(Permanent, match="is a model repository already"):
        create(own, SHIPPED)


def test_a_new_volume_is_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    create(tmp_path, SHIPPED)
    assert active(tmp_path).keys() == SHIPPED_ONES.keys()
    assert {one.spec.name for one in installed(tmp_path)} == active(tmp_path).keys()


def test_a_folder_with_something_else_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(Permanent, match=r"holds holiday\.jpg and is no model repository"):
        create(tmp_path, SHIPPED)


def serve(root: Path, model: bytes) -> None:
    spec = add(root, model)
    change(root, spec.name, promote(spec.version))


def test_versions_come_and_go(own: Path) -> None:
    assert add(own, lungs(1)).version == "1"
    assert add(own, lobes(2)).version == "2"
    assert active(own) == SHIPPED_ONES, "what is installed is not yet served"
    change(own, "lungs", promote("1"))
    change(own, "lobes", promote("2"))
    assert active(own) == SHIPPED_ONES | {"lobes": "2", "lungs": "1"}
    assert [(i.spec.name, i.spec.version, i.state) for i in installed(own)] == [
        ("lobes", "1", "previous"),
        ("lobes", "2", "active"),
        ("lung-opacity", LUNG_OPACITY.version, "active"),
        ("lung-shape", SHIPPED_ONES["lung-shape"], "active"),
        ("lung-tumour", SHIPPED_ONES["lung-tumour"], "active"),
        ("lungs", "1", "active"),
        ("opacity-context", SHIPPED_ONES["opacity-context"], "active"),
        ("triage-lesion", SHIPPED_ONES["triage-lesion"], "active"),
    ]
    assert listed(own / "lobes/config.pbtxt") == [2]
    assert "max_batch_size: 4" in (own / "lobes/config.pbtxt").read_text()
    assert subprocess.run(["sha256sum", "--check", "--quiet", DIGESTS], cwd=own).returncode == 0
    back = remove(own, "lobes")
    assert back is not None
    assert back.version == "1"
    assert (own / "lobes/config.pbtxt").read_bytes() == (SHIPPED / "lobes/config.pbtxt").read_bytes()
    assert remove(own, "lungs", required=never) is None
    assert active(own) == SHIPPED_ONES
    assert (own / DIGESTS).read_bytes() == (SHIPPED / DIGESTS).read_bytes()


def test_a_number_is_given_once(own: Path) -> None:
    """Triton may still hold the file that had it."""
    serve(own, lobes(2))
    add(own, lobes(3))
    remove(own, "lobes", "3")
    assert highest_version(own, "lobes") == 3
    with pytest.raises(Permanent, match="lobes had a version 3 before"):
        add(own, lobes(3))
    assert add(own, lobes(4)).version == "4"
    add(own, lungs(1))
    remove(own, "lungs", "1", required=never)
    assert prepare(own, tiny_models.lungs(), tiny_models.LUNGS, MODEL_ROLES).spec.version == "2"
    (own / NUMBERS).write_text("[]")
    with pytest.raises(Permanent, match=r"numbers\.json, cannot be read"):
        highest_version(own, "lobes")


def test_a_trial_a_promotion_and_the_way_back(own: Path) -> None:
    add(own, lobes(2))
    assert change(own, "lobes", canary("2", 0.25)) == Served("1", candidate=Candidate("2", 0.25))
    assert change(own, "lobes", shadow("2")).candidate == Candidate("2", 0.25, shadow=True)
    assert active(own)["lobes"] == "1"
    assert change(own, "lobes", promote()) == Served("2", previous="1")
    assert active(own)["lobes"] == "2"
    assert change(own, "lobes", rollback) == Served("1")
    assert active(own)["lobes"] == "1"


def test_a_repository_without_the_file_serves_the_highest_version(own: Path) -> None:
    """As it did before there was one."""
    add(own, lobes(2))
    (own / SERVING).unlink()
    assert active(own)["lobes"] == "2"
    add(own, lobes(3))
    assert active(own)["lobes"] == "2", "what was served stays"


def test_an_older_version_can_go_too(own: Path) -> None:
    serve(own, lobes(2))
    left = remove(own, "lobes", "1")
    assert left is not None
    assert (left.version, active(own)["lobes"]) == ("2", "2")
    assert listed(own / "lobes/config.pbtxt") == [2]
    with pytest.raises(Permanent, match="no earlier version to go back to"):
        change(own, "lobes", rollback)


def test_triton_serves_side_by_side_what_takes_the_same_tensors(own: Path) -> None:
    serve(own, lobes(2))
    serve(own, lobes(3))
    assert listed(own / "lobes/config.pbtxt") == [3, 2]


def test_triton_loads_what_may_get_a_study_and_what_is_tried(own: Path) -> None:
    """Where one of the versions does not load, Triton serves none of them."""
    config = own / "lobes/config.pbtxt"
    serve(own, lobes(2))
    add(own, lobes(3))
    assert listed(config) == [2]
    with pytest.raises(Permanent, match="no good"), listed_for_trial(own, "lobes", "3"):
        assert listed(config) == [2, 3]
        raise Permanent("no good")
    assert listed(config) == [2]
    change(own, "lobes", shadow("3"))
    assert listed(config) == [2, 3]
    change(own, "lobes", withdraw)
    assert listed(config) == [2]


CHECKS = """
import sys, time
from pathlib import Path
from service.inference.model_trial import checking, listed_for_trial
root = Path(sys.argv[1])
with checking(root, "lobes", "3", "ada"), listed_for_trial(root, "lobes", "3"):
    print(flush=True)
    time.sleep(600)
"""


def test_one_version_is_checked_at_a_time_whichever_process_asks(own: Path) -> None:
    """And what a check that is killed leaves listed for Triton, the next one takes back."""
    config = own / "lobes/config.pbtxt"
    serve(own, lobes(2))
    add(own, lobes(3))
    other = subprocess.Popen([sys.executable, "-c", CHECKS, str(own)], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        said = "lobes version 3, for ada, is being checked; try again in a minute"
        with pytest.raises(Permanent, match=said), checking(own, "lungs", "1", "eve"):
            pass
        assert listed(config) == [2, 3]
    finally:
        other.kill()
        other.wait()
    with checking(own, "lungs", "1", "eve"):
        assert listed(config) == [2]
    with pytest.raises(FileNotFoundError), checking(own, "lungs", "1", "eve"):
        raise FileNotFoundError("of the CT: no trouble of the repository")
    with checking(own, "lungs", "1", "eve"):
        pass


@pytest.mark.parametrize(
    ("change_", "said"),
    [
        (lambda root: add(root, lobes(1)), "lobes version 1 is installed already"),
        (lambda root: add(root, tiny_models.lobes()), "There is no spec in the new model"),
        (lambda root: remove(root, "lungs"), "There is no lungs version at all"),
        (lambda root: remove(root, "lobes", "7"), "There is no lobes version 7"),
        (lambda root: remove(root, ".."), "There is no .. version at all"),
        (lambda root: remove(root, "lobes"), "a pipeline that runs needs it"),
        (lambda root: change(root, "lobes", promote("7")), "There is no lobes version 7"),
        (lambda root: change(root, "lobes", shadow("../1")), "There is no lobes version ../1"),
        (lambda root: change(root, "lobes", rollback), "no earlier version to go back to"),
        (lambda root: change(root, "lobes", withdraw), "There is no candidate"),
        (lambda root: change(root, "lungs", withdraw), "There is no model lungs in .*; there are lobes, lung-opacity"),
        (lambda root: change(root, "lobes", promote("")), "A pipeline that runs needs lobes|no candidate"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    own: Path, change_: Callable[[Path], object], said: str
) -> None:
    before = sorted(own.rglob("*"))
    with pytest.raises(Permanent, match=said):
        change_(own)
    assert sorted(own.rglob("*")) == before
    assert active(own) == SHIPPED_ONES


def test_there_is_no_way_to_an_altered_version(own: Path) -> None:
    serve(own, lobes(2))
    with (own / "lobes/1/model.onnx").open("ab") as file:
        file.write(b"x")
    for way in (lambda: remove(own, "lobes"), lambda: change(own, "lobes", rollback)):
        with pytest.raises(Permanent, match="was altered"):
            way()
    assert active(own)["lobes"] == "2"


def test_an_altered_version_does_not_bar_the_way_to_a_good_one(own: Path) -> None:
    serve(own, lobes(2))
    add(own, lobes(3))
    with (own / "lobes/3/model.onnx").open("ab") as file:
        file.write(b"x")
    change(own, "lobes", rollback)
    assert active(own)["lobes"] == "1"


def test_a_version_that_was_rolled_back_from_does_not_come_back_by_a_removal(own: Path) -> None:
    serve(own, lobes(2))
    serve(own, lobes(3))
    change(own, "lobes", rollback)
    for gone in (None, "2"):
        with pytest.raises(Permanent, match="Version 2 is active, and none was before it: promote another one first"):
            remove(own, "lobes", gone)
    assert active(own)["lobes"] == "2"
    change(own, "lobes", promote("1"))
    assert remove(own, "lobes", "2") is not None
    assert active(own)["lobes"] == "1"


def test_a_model_that_is_needed_is_not_switched_off_by_a_removal(own: Path) -> None:
    add(own, lobes(2))
    (own / SERVING).write_text(render_serving(serving_of(own) | {"lobes": Served("1", previous=OFF)}))
    with pytest.raises(Permanent, match="A pipeline that runs needs lobes"):
        remove(own, "lobes")
    assert active(own)["lobes"] == "1"


def test_the_last_version_of_a_model_that_is_not_needed_may_go(own: Path) -> None:
    serve(own, lungs(1))
    serve(own, lungs(2))
    change(own, "lungs", rollback)
    assert remove(own, "lungs", "2") is not None
    assert remove(own, "lungs", required=never) is None
    assert "lungs" not in active(own)


@pytest.mark.parametrize("text", ["", "[]", '{"lobes": "2"}', '{"lobes": {"active": "../2", "previous": null}}'])
def test_a_file_that_says_nothing_sensible_is_refused(own: Path, text: str) -> None:
    (own / SERVING).write_text(text)
    with pytest.raises(Permanent, match=r"serving\.json does not say which versions are served"):
        active(own)


def test_an_altered_file_does_not_become_a_released_one(own: Path) -> None:
    key = f"lung-opacity/{LUNG_OPACITY.version}/model.onnx"
    path = own / key
    path.write_bytes(path.read_bytes() + b"x")
    add(own, lungs(1))
    assert read_digests(own)[key] == read_digests(SHIPPED)[key]
    with pytest.raises(Permanent, match="was altered"):
        OnnxBackend(own)


class Killed(BaseException):
    """The process ends here: no clean-up of ours runs."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> bool:
    """Run a change and end it right before its nth step on the disk; False if it has fewer."""
    steps = 0

    def count(real: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed
            return real(*arguments, **options)

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", count(Path.rename))
        patched.setattr(os, "fsync", count(os.fsync))
        patched.setattr(repository.shutil, "rmtree", lambda *_args, **_options: None)  # nor does its own clearing up
        try:
            change()
        except Killed:
            return True
    return False


CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, str], dict[str, str]]] = {
    "a new name": (lambda root: add(root, lungs(1)), SHIPPED_ONES, SHIPPED_ONES),
    "a new version": (lambda root: add(root, lobes(2)), SHIPPED_ONES, SHIPPED_ONES),
    "promoted": (lambda root: change(root, "lobes", promote("3")), SHIPPED_ONES, SHIPPED_ONES | {"lobes": "3"}),
    "rolled back": (lambda root: change(root, "lobes", rollback), SHIPPED_ONES | {"lobes": "2"}, SHIPPED_ONES),
    "back": (lambda root: remove(root, "lobes"), SHIPPED_ONES | {"lobes": "2"}, SHIPPED_ONES),
    "away": (lambda root: remove(root, "lungs", required=never), SHIPPED_ONES | {"lungs": "1"}, SHIPPED_ONES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, before, after = CHANGES[name]
    start = tmp_path / "start"
    create(start, SHIPPED)
    if "lungs" in before:
        serve(start, lungs(1))
    if before["lobes"] == "2":
        serve(start, lobes(2))
    if after["lobes"] == "3":
        add(start, lobes(3))
    seen = []
    for step in range(1, 99):
        root = tmp_path / str(step)
        shutil.copytree(start, root)
        if not killed_at(step, monkeypatch, lambda root=root: make(root)):
            break
        seen.append(active(root))
        assert seen[-1] in (before, after), f"step {step}"
        if seen[-1] == before:
            with suppress(Permanent):  # a file that is installed already
                make(root)  # a second try succeeds
        assert active(root) == after
        if name == "a new name":
            assert highest_version(root, "lungs") == 1
        if name == "a new version":
            assert highest_version(root, "lobes") == 2
        add(root, lungs(5))  # and the next change clears up
        assert not (root / ".staging").exists()
        assert subprocess.run(["sha256sum", "--check", "--quiet", DIGESTS], cwd=root).returncode == 0
    assert before in seen
    assert seen == sorted(seen, key=lambda state: state == after), "once new, never old again"
    assert len(seen) > 4


@pytest.mark.slow
def test_a_kill_while_the_repository_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in range(1, 99):
        root = tmp_path / str(step)
        if not killed_at(step, monkeypatch, lambda root=root: create(root, SHIPPED)):
            break
        if not (root / DIGESTS).exists():
            create(root, SHIPPED)
        assert active(root) == SHIPPED_ONES
    assert step > 4


def test_what_cannot_be_written_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Permanent, match=r"cannot be changed: .*inference\.repository"):
        create(tmp_path / "file" / "models", SHIPPED)
