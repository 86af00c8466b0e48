"""Acceptance: the check that a version of a model must pass before it analyses any patient's CT.

It is the file that was installed, fits its role, runs, and says nothing absurd about a chest CT; where a server runs
the models, the server says the same of it as ONNX Runtime in this process does. How far it is from the active version
is told, not judged: a better model differs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from service.domain.model_roles import mistakes
from service.domain.pipeline import Pipeline, roles_of
from service.domain.ports import Backend, Progress, unheard
from service.domain.serving import OFF
from service.errors import Permanent, Rejected
from service.imaging.difference import Difference
from service.inference.files import model_files, serving_of
from service.inference.installed_models import beside, versions_of
from service.inference.model_trial import listed_for_trial
from service.inference.smoke_test import try_model
from service.rollout.parity import check_parity, check_sense, largest_ct

On = Callable[[Mapping[str, str]], Backend]
"""A back end with these versions, by model name."""

_OTHER_TENSORS = (
    "It takes other tensors than the active version, and Triton cannot serve both at once: promote it with "
    "`inference.backend: onnx`, then let Triton serve again."
)


@dataclass(frozen=True, slots=True)
class Passed:
    """sha256: of the model file. difference: of the first pipeline's
    results from those of the active version, None where there is none to compare with."""

    sha256: str
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The acceptance check. in_process: ONNX Runtime. server: the back end that serves patients, if another.

    pipelines: that run. all_pipelines: that are installed; a model can be checked before the pipeline that needs it
    runs. ct: a folder with a chest CT, None if there is none.
    """

    pipelines: Sequence[Pipeline]
    all_pipelines: Sequence[Pipeline]
    ct: Path | None
    in_process: On
    server: On | None = None

    @property
    def required(self) -> frozenset[str]:
        """Names of the models without which a pipeline that runs could not go on."""
        return frozenset(role.name for one in self.pipelines for role in one.models)

    def check(self, repository: Path, name: str, version: str, progress: Progress = unheard) -> Passed:
        """Permanent, in words, if the version does not pass. Transient if the server is away.

        progress: is told each stage of the trial on the CT, which takes a minute.
        """
        if version not in versions_of(repository, name):
            raise Permanent(f"There is no {name} version {version} in {repository}.")
        active = {model: served.active for model, served in serving_of(repository).items()}
        wanted = active | {name: version}
        file = model_files(repository, wanted)[name]
        if wrong := mistakes(file.spec, roles_of(self.all_pipelines)):
            raise Permanent("The spec does not fit. " + "; ".join(wrong) + ".")
        try_model(file.content)
        if self.ct is None:
            raise Permanent("There is no CT to try it on: name a folder with a chest CT as `inference.trial_ct`.")
        try:
            return self._on_ct(repository, self.ct, active, wanted, name, progress)
        except Rejected as rejected:
            raise Permanent(f"The CT in {self.ct} cannot be analysed: {rejected}") from rejected

    def _on_ct(
        self,
        repository: Path,
        folder: Path,
        active: Mapping[str, str],
        wanted: Mapping[str, str],
        name: str,
        progress: Progress,
    ) -> Passed:
        progress("reading the CT", 0.0)
        ct = largest_ct(folder)
        pipelines = _using(name, self.pipelines) or _using(name, self.all_pipelines)
        needed = dict.fromkeys(role.name for pipeline in pipelines for role in pipeline.models)
        missing = [model for model in needed if active.get(model, OFF) == OFF]
        # A pipeline of several new models runs with none of them missing: each is tried with the newest of the others.
        wanted = {**wanted, **{model: _newest(repository, model, name) for model in missing if model != name}}
        candidate = self.in_process(wanted)
        reference = None if missing else self.in_process(active)
        found = [check_sense(one, ct, reference, candidate, progress).difference for one in pipelines]
        passed = Passed(candidate.spec(name).sha256, next((one for one in found if one), None))
        if self.server is None:
            return passed
        spec = candidate.spec(name)
        if reference and reference.has(name) and not beside(reference.spec(name), spec):
            raise Permanent(_OTHER_TENSORS)
        with ExitStack() as listed:
            for model in dict.fromkeys((name, *missing)):
                listed.enter_context(listed_for_trial(repository, model, wanted[model]))
            served = self.server(wanted)
            served.check()
            for pipeline in pipelines:
                check_parity(pipeline, ct, candidate, served, lambda stage, part: progress(f"server: {stage}", part))
        return passed


def _using(model: str, pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    return [one for one in pipelines if model in roles_of([one])]


def _newest(repository: Path, model: str, tried: str) -> str:
    """The newest installed version of a model that is not served; Permanent if there is none."""
    versions = versions_of(repository, model)
    if not versions:
        raise Permanent(f"{tried} is tried together with {model}, of which no version is installed: add one first.")
    return versions[-1]
