"""What is read of a model repository is checked: a damaged file is said by name, whatever is in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import tiny_models

from service.errors import Permanent
from service.inference.files import DIGESTS, digest_of, model_files, read_digests, serving_of, what_is_served
from service.inference.serving_file import SERVING


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny_models.repository(tmp_path / "models")


@pytest.mark.parametrize("damage", [b"no two spaces\n", b"\xff\xfe  lobes/1/model.onnx\n"], ids=["a line", "no text"])
@pytest.mark.parametrize("read", [read_digests, model_files])
def test_a_damaged_list_of_digests_is_said(root: Path, damage: bytes, read: Callable[[Path], object]) -> None:
    (root / DIGESTS).write_bytes(damage)
    with pytest.raises(Permanent, match="SHA256SUMS are damaged"):
        read(root)


@pytest.mark.parametrize("name", [DIGESTS, SERVING])
def test_what_is_served_is_said_to_be_no_text(root: Path, name: str) -> None:
    (root / name).write_bytes(b"\xff\xfe")
    with pytest.raises(Permanent, match="it is no text"):
        what_is_served(root)


@pytest.mark.parametrize("read", [read_digests, model_files, serving_of])
def test_a_missing_repository_is_said(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(Permanent, match=r"nowhere.*cannot be read: No such file or directory"):
        read(tmp_path / "nowhere")


def test_a_digest_is_that_of_one_version(root: Path) -> None:
    assert digest_of(root, "lobes", "1") == read_digests(root)["lobes/1/model.onnx"]
    assert digest_of(root, "lobes", "77") is None
