"""The spec goes into an ONNX file and comes out, as the `onnx` package sees it too."""

import onnx
import pytest
from helpers import tiny_models
from onnx import helper

from service.domain.model_spec import METADATA_KEY
from service.inference.metadata import read_spec_text, with_spec_text


def metadata(model: bytes) -> dict[str, str]:
    loaded = onnx.load_from_string(model)
    onnx.checker.check_model(loaded, full_check=True)
    return {entry.key: entry.value for entry in loaded.metadata_props}


def test_in_and_out_and_in_again() -> None:
    plain = tiny_models.lungs()
    assert read_spec_text(plain) is None
    first = with_spec_text(plain, "größer")
    assert (read_spec_text(first), metadata(first)) == ("größer", {METADATA_KEY: "größer"})
    long = "x" * 100_000
    second = with_spec_text(first, long)
    assert (read_spec_text(second), metadata(second)) == (long, {METADATA_KEY: long})
    assert onnx.load_from_string(second).graph == onnx.load_from_string(plain).graph


def test_what_others_wrote_stays() -> None:
    model = onnx.load_from_string(tiny_models.lungs())
    helper.set_model_props(model, {"author": "somebody", METADATA_KEY: "old"})
    content = model.SerializeToString()
    assert read_spec_text(content) == "old"
    assert metadata(with_spec_text(content, "new")) == {"author": "somebody", METADATA_KEY: "new"}


@pytest.mark.parametrize("spoilt", [b"\x00no", b"PK\x03\x04", b"\xff" * 20, tiny_models.lungs()[:-5], b"\x0a\xff\x01"])
def test_what_is_no_onnx_file_is_an_error(spoilt: bytes) -> None:
    with pytest.raises(ValueError, match="protobuf"):
        read_spec_text(spoilt)
    with pytest.raises(ValueError, match="protobuf"):
        with_spec_text(spoilt, "spec")
