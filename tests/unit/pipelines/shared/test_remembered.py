"""Lungs and lobes are found once for a CT, whichever pipelines ask; comparisons find them anew."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from helpers import make_ct, toy_pipeline

from service.analysis.analyst import Analyst, Run
from service.analysis.last_ct import LastCt
from service.domain.analysis import Analysis
from service.domain.backend_wrapper import BackendWrapper
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.pipeline import Pipeline
from service.domain.ports import Array, Backend, unheard
from service.errors import Reason
from service.imaging.read import read_ct
from service.pipelines.covid_burden.pipeline import CovidBurden
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.lung_density.pipeline import LungDensity
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY, LUNG_SHAPE, OPACITY_CONTEXT
from service.rollout.parity import compare_backends
from service.store.dicom_folder import scan

pytestmark = pytest.mark.slow


class Counting(BackendWrapper):
    """Counts calls by model."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.calls: Counter[str] = Counter()

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.calls[name] += 1
        return self._backend.infer(name, inputs)


class WrongLobes(BackendWrapper):
    """The same models by name, version and digest, but no lobe anywhere."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        answer = self._backend.infer(name, inputs)
        return {tensor: np.zeros_like(said) for tensor, said in answer.items()} if name == LOBES.name else answer


class Blind(BackendWrapper):
    """No lung anywhere."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {tensor: np.zeros_like(said) for tensor, said in self._backend.infer(name, inputs).items()}


@pytest.fixture(scope="module")
def added() -> Iterator[Pipeline]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(toy_pipeline.FOLDER)
        from emphysema_index.pipeline import EmphysemaIndex

        yield EmphysemaIndex()


RUN = Run(datetime(2026, 3, 1, tzinfo=UTC))
DATASETS = make_ct.make(slices=44, spacing_mm=5.0, noise_hu=50.0, findings=make_ct.FINDINGS).datasets


@pytest.fixture
def ct() -> CT:
    return read_ct(DATASETS)


def analyst(pipeline: Pipeline, backend: Backend, last: LastCt) -> Analyst:
    return Analyst(pipeline, backend, Limits(), "0.2.0", last=last)


def test_a_second_pipeline_asks_the_networks_nothing(backend: Backend, added: Pipeline, ct: CT) -> None:
    counting = Counting(backend)
    CovidSeverity().analyse(ct, counting, unheard)
    first = dict(counting.calls)
    assert first.keys() == {LUNG_OPACITY.name, LUNG_SHAPE.name, LOBES.name, OPACITY_CONTEXT.name}
    for second in (added, CovidBurden(), LungDensity()):
        second.analyse(ct, counting, unheard)
    assert counting.calls == first


def test_the_first_pipeline_asks_only_for_what_the_second_did_not_need(
    backend: Backend, added: Pipeline, ct: CT
) -> None:
    """Opacities are asked for by covid-severity alone."""
    alone, together = Counting(backend), Counting(backend)
    CovidSeverity().analyse(ct.afresh(), alone, unheard)
    for pipeline in (added, CovidSeverity()):
        pipeline.analyse(ct, together, unheard)
    assert together.calls == alone.calls


def test_results_are_the_same_whoever_came_first(backend: Backend, added: Pipeline, ct: CT) -> None:
    order = (added, CovidSeverity(), added)
    alone = [analysed(one, ct.afresh(), backend) for one in order[:2]]
    assert [analysed(one, ct, backend) for one in order] == [*alone, alone[0]]


def analysed(pipeline: Pipeline, ct: CT, backend: Backend) -> tuple[object, ...]:
    """All that an analysis found, ready to be compared."""
    found: Analysis = pipeline.analyse(ct, backend, unheard)
    labels = [one.labels.tobytes() for one in found.label_maps]
    return found.headline, found.groups, found.uncertainty, found.flags, dict(found.drift), found.models, labels


def test_a_comparison_of_back_ends_sees_a_wrong_answer_of_the_same_model(backend: Backend, ct: CT) -> None:
    CovidSeverity().analyse(ct, backend, unheard)
    found = compare_backends(CovidSeverity(), ct, backend, WrongLobes(backend), unheard)
    assert any(answers.model == LOBES.name and answers.mistake for answers in found.answers), found.mistakes


def test_a_shadow_analysis_finds_everything_anew(backend: Backend, added: Pipeline, ct: CT) -> None:
    last, counting, calls = LastCt(keeps=True), Counting(backend), []
    for memory in (last, last, last.afresh()):
        before = counting.calls.total()
        added.analyse(memory.get("the files", (), lambda: ct), counting, unheard)
        calls.append(counting.calls.total() - before)
    assert calls[0] > 0 and calls == [calls[0], 0, calls[0]]


def test_a_refusal_names_the_model_whose_answer_another_pipeline_had_asked_for(
    backend: Backend, added: Pipeline, tmp_path: Path
) -> None:
    """Else a candidate version would cost the second pipeline its result: nobody would know that it had a part."""
    make_ct.write(DATASETS, tmp_path)
    last, blind = LastCt(keeps=True), Counting(Blind(backend))
    for pipeline in (CovidSeverity(), added):
        outcome = analyst(pipeline, blind, last).analyse(scan([tmp_path]), unheard, {}, RUN)
        assert [r.reason for rs in outcome.refusals.values() for r in rs] == [Reason.NO_LUNG]
        assert [model.name for model in outcome.models] == [LUNG_OPACITY.name, LUNG_SHAPE.name], pipeline.name
