"""Runs cases through the path that `thoracle analyse` and the service walk."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from helpers import make_ct

from service.analysis.analyst import Analyst, Outcome, Run
from service.composition.analysis import analyst, pipelines
from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend, Progress
from service.settings import Settings
from service.store.dicom_folder import scan
from tests.inbound.cases import RIGHT, datasets, got


@dataclass(frozen=True, slots=True)
class Row:
    """One case, what became of it in words, and whether that is right."""

    name: str
    got: str
    right: bool


class Around:
    """A pipeline around another one: what it does not do itself is the other's."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)


class Replay(Around):
    """A pipeline that answers for the unmodified CT without asking the models again; any other CT is a mistake."""

    def __init__(self, pipeline: Pipeline, volume: hd.Volume, analysis: Analysis) -> None:
        super().__init__(pipeline)
        self._volume, self._analysis = volume, analysis

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Returns the analysis of the unmodified CT; AssertionError if the voxels or their places differ."""
        assert np.array_equal(ct.volume.array, self._volume.array)
        assert np.allclose(ct.volume.affine, self._volume.affine, atol=1e-4)
        return self._analysis


class Recorder(Around):
    """A pipeline that keeps the volume it was given."""

    volume: hd.Volume | None = None

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Returns the analysis of the pipeline."""
        self.volume = ct.volume
        return self._pipeline.analyse(ct, backend, progress)


def ready() -> Analyst:
    """The analysis with the released models and the default settings."""
    settings = Settings()
    (pipeline,) = pipelines(settings)
    return analyst(settings, pipeline)


def outcome_of(name: str, analysing: Analyst, folder: Path) -> Outcome:
    """Builds one case ("": the unmodified CT) in `folder` and analyses it; the files are removed again."""
    make_ct.write(datasets(name), folder)
    outcome = analysing.analyse(scan([folder]), _nobody, {}, Run(datetime(2026, 1, 1, 12, tzinfo=UTC)))
    shutil.rmtree(folder)
    return outcome


def is_same(outcome: Outcome, unmodified: Outcome) -> bool:
    """Whether masks, measurements and headline are those of the unmodified CT."""
    one, other = outcome.analysis, unmodified.analysis
    return (
        one is not None
        and other is not None
        and all(np.array_equal(a.labels, b.labels) for a, b in zip(one.label_maps, other.label_maps, strict=True))
        and one.groups == other.groups
        and one.headline == other.headline
    )


def rows(names: Iterable[str], folder: Path) -> Iterator[Row]:
    """Analyses each case with the models, one after the other."""
    analysing = ready()
    unmodified = outcome_of("", analysing, folder / "unmodified")
    for name in names:
        outcome = outcome_of(name, analysing, folder / name)
        same = is_same(outcome, unmodified)
        right = RIGHT.get(name)
        yield Row(name, got(outcome, same), right is not None and right.allows(outcome) and (same or not right.same))


def _nobody(_stage: str, _part: float) -> None:
    """Nobody is told of progress."""
