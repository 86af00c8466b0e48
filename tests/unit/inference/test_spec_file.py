"""A spec in TOML is taken word by word, and every mistake has a name."""

import re
from pathlib import Path

import pytest
from helpers import tiny_models

from service.domain.model_roles import mistakes
from service.errors import Permanent
from service.inference.spec_file import read_spec
from service.pipelines import MODEL_ROLES

HOW_TO = Path(__file__).resolve().parents[3] / "docs" / "how-to" / "install-better-models.md"
GOOD = tiny_models.toml(tiny_models.LUNGS)


def spec(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.toml"
    path.write_text(text)
    return path


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    for one in (tiny_models.LUNGS, tiny_models.LOBES):
        assert read_spec(spec(tmp_path, tiny_models.toml(one))) == one


def test_the_templates_of_the_how_to_fit(tmp_path: Path) -> None:
    templates = re.findall(r"```toml\n(.*?)```", HOW_TO.read_text(), re.DOTALL)
    assert templates
    for template in templates:
        assert mistakes(read_spec(spec(tmp_path, template)), MODEL_ROLES) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('licence = "CC0"', 'license = "CC0"', "licence: Field required; license: Extra inputs are not permitted"),
        ('licence = "CC0"', 'licence = ""', "licence: String should have at least 1 character"),
        ("max_batch = 4", "max_batch = 0", "max_batch: Input should be greater than or equal to 1"),
        ("max_batch = 4", 'max_batch = "4"', "max_batch: Input should be a valid integer"),
        ("max_batch = 4", 'max_batch = 4\nversion = "3"', "version: Extra inputs are not permitted"),
        ('"body-crop"', '""', "layout: String should have at least 1 character"),
        ('"int16"', '"int4"', "inputs.0.dtype: Input should be 'bool', 'int8', 'int16',"),
        ("dims = [1, 128, 128]", "dims = []", "inputs.0.dims: List should have at least 1 item"),
        ("[1, 128, 128]", "[1, 128, -1]", "inputs.0.dims.2: Input should be greater than or equal to 1"),
        ("[-1024, 600]", "[-1024]", "window_hu: List should have at least 2 items"),
        ("max_batch = 4", "max_batch = ", "is not TOML"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(Permanent) as caught:
        read_spec(spec(tmp_path, GOOD.replace(old, new, 1)))
    assert said in str(caught.value)


def test_a_sites_own_noise_floor(tmp_path: Path) -> None:
    text = GOOD + "\n[noise_floor]\nopacity_ml = 2\nopacity_percent = {}\n"
    assert read_spec(spec(tmp_path, text.format(0.5))).noise_floor == {"opacity_ml": 2.0, "opacity_percent": 0.5}
    for none in ("0", "-1", "inf", "nan", '"much"'):
        with pytest.raises(Permanent, match=r"noise_floor\.opacity_percent: Input should be "):
            read_spec(spec(tmp_path, text.format(none)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"none\.toml cannot be read: No such file"):
        read_spec(tmp_path / "none.toml")
