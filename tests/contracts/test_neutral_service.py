"""Outside of `service/pipelines` nothing knows what a pipeline finds; the few files that name it say why."""

import re
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
WORDS = re.compile(r"lobe|severity|opacit|covid|laa.?950|perc15", re.IGNORECASE)

_EXAMPLE = "help text: `lobes` and `lung-opacity` are the model roles of the examples"
_FISSURES = "lungs and lobes by geometry, for whatever pipeline asks for them"
_HISTORY = "a schema or a file of an earlier version, in the words of then"

ALLOWED = {
    "cli/analyse.py": "help text: the example runs the pipeline that is shipped",
    "cli/audit.py": _EXAMPLE,
    "cli/evaluate.py": "help text: the examples compare masks of opacities",
    "cli/model_life.py": _EXAMPLE,
    "cli/models.py": _EXAMPLE,
    "domain/analysis.py": "docstring: `lobes.seg.dcm` as the example of a file name",
    "domain/anatomy.py": "anatomy: the five lobes",
    "domain/flags.py": "the sentence of THICK_SLICES, which is in delivered SRs, names opacities",
    "domain/label_selection.py": "docstring: a label of the examples of `thoracle evaluate`",
    "imaging/agreement/plot.py": "SVG: fill-opacity",
    "imaging/figures.py": "docstring: opacity as the example of a noun",
    "imaging/fissures/__init__.py": _FISSURES,
    "imaging/fissures/follow.py": _FISSURES,
    "imaging/fissures/sheets.py": _FISSURES,
    "imaging/fissures/surface_fit.py": _FISSURES,
    "imaging/fissures/vessels.py": _FISSURES,
    "imaging/lobes.py": _FISSURES,
    "inference/serving_file.py": "docstring: the file by the example of the lobes' model",
    "inference/synthetic_ct.py": "the slice on which models are tried shows an opacity",
    "rollout/parity.py": "the measurement on which the limit rests was made on opacities",
    "settings/configuration.py": "the pipeline that runs where nothing is configured",
    "store/migrations/versions/v0001_first.py": _HISTORY,
    "store/migrations/versions/v0008_headline.py": _HISTORY,
    "store/migrations/versions/v0009_pipelines.py": _HISTORY,
    "worker/saved_result.py": _HISTORY,
}
"""Files that may use these words, and why."""


def naming(folder: Path) -> set[str]:
    """Files below a folder, but not of its pipelines, that use one of the words in their name or their text."""
    files = (file for kind in ("py", "toml", "mako", "html", "json") for file in folder.rglob(f"*.{kind}"))
    named = {file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8") for file in files}
    return {
        name
        for name, text in named.items()
        if not name.startswith("pipelines/") and WORDS.search(f"{name}\n{text}") is not None
    }


def test_only_these_files_name_what_a_pipeline_finds() -> None:
    assert sorted(naming(SERVICE)) == sorted(ALLOWED)


@pytest.mark.parametrize("text", ["LOBES = 5", "# the severity", "def find_opacities(): ...", '"""COVID-19"""'])
def test_the_check_sees_the_words_wherever_they_stand(tmp_path: Path, text: str) -> None:
    for folder in ("ops", "pipelines/new"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "module.py").write_text(text)
    assert naming(tmp_path) == {"ops/module.py"}
