"""docker/pin_images.py: it finds every image of others, writes looked-up digests beside them, and makes none up."""

import os
import re
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from contracts.test_compose import interpolated

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docker" / "pin_images.py"))


@pytest.fixture
def copies(script: dict[str, Any], tmp_path: Path) -> Path:
    for file in script["FILES"]:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def test_every_image_of_others_is_found(script: dict[str, Any]) -> None:
    found = {match["name"] for _, match in script["named"](ROOT)}
    services = yaml.safe_load(interpolated())["services"].values()
    ours = {one["image"] for one in services if "build" in one}
    of_compose = {one["image"].partition("@")[0] for one in services if one["image"] not in ours}
    trial = yaml.safe_load((ROOT / "helm" / "thoracle" / "values.yaml").read_text())["trial"]
    of_chart = {trial[name]["image"].partition("@")[0] for name in ("postgresql", "s3")}
    assert found == of_compose | of_chart | {"debian:bookworm-slim"}
    assert not any(name.endswith(":latest") for name in found)


def test_digests_are_written_beside_the_tags_and_replaced(script: dict[str, Any], copies: Path) -> None:
    script["pin"](copies, lambda name: "sha256:" + "f" * 64)
    script["pin"](copies, lambda name: DIGEST)
    text = "".join((copies / file).read_text() for file in script["FILES"])
    assert text.count(f"debian:bookworm-slim@{DIGEST}") == 2
    assert f"ARG BASE=debian:bookworm-slim@{DIGEST}\n" in text
    assert f'BASE: "${{BASE:-debian:bookworm-slim@{DIGEST}}}"' in text
    assert f"image: postgres:17@{DIGEST}\n" in text
    assert "sha256:ffff" not in text
    assert {match["digest"] for _, match in script["named"](copies)} == {f"@{DIGEST}"}
    assert yaml.safe_load((copies / "compose.yaml").read_text())["services"]["thoracle"]["image"] == "thoracle"


@pytest.mark.parametrize(
    ("answer", "known"), [(f"echo {DIGEST}", True), ("echo sha256:short", False), ("exit 1", False)]
)
def test_only_a_digest_that_a_registry_gave_is_taken(
    script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, known: bool
) -> None:
    for program in ("skopeo", "docker"):
        (tmp_path / program).write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    if known:
        assert script["look_up"]("postgres:17") == DIGEST
    else:
        with pytest.raises(script["NotLookedUpError"], match=r"postgres:17: not looked up"):
            script["look_up"]("postgres:17")


def test_nothing_is_written_unless_all_are_known(script: dict[str, Any], copies: Path) -> None:
    before = {file: (copies / file).read_text() for file in script["FILES"]}

    def some(name: str) -> str:
        if name.startswith("prom"):
            raise script["NotLookedUpError"](name)
        return DIGEST

    with pytest.raises(script["NotLookedUpError"]):
        script["pin"](copies, some)
    assert {file: (copies / file).read_text() for file in script["FILES"]} == before


def test_digests_that_stand_here_are_whole(script: dict[str, Any]) -> None:
    for file in script["FILES"]:
        for digest in re.findall(r"@(sha256:\w*)", (ROOT / file).read_text()):
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest), file
