"""Triton's configuration of each model in a repository, rendered anew whenever what is served changes."""

from collections.abc import Sequence
from pathlib import Path

from service.domain.model_spec import ModelSpec
from service.domain.serving import OFF, Served
from service.errors import Permanent
from service.inference.config import render_configs
from service.inference.files import model_folders, read_digests
from service.inference.installed_models import beside, served_of, spec_of, versions_of
from service.inference.repository_files import changing, replace


def configure(
    repository: Path,
    name: str,
    served: Served | None = None,
    versions: Sequence[str] | None = None,
    tried: str = OFF,
) -> None:
    """Render the configuration. served, versions: as they are to be, instead of as they are.

    It is that of the active version. Triton serves beside it those that may get a study, and the one that is tried, if
    they take and give the same tensors: where one version does not load, Triton serves none.
    """
    served = served or served_of(repository, name)
    versions = versions or versions_of(repository, name)
    digests = read_digests(repository)
    candidate = served.candidate.version if served.candidate else OFF
    wanted = dict.fromkeys((served.active, served.previous or OFF, candidate, tried))
    listed = [version for version in wanted if version in versions]

    def spec(version: str) -> ModelSpec:
        return spec_of(repository, repository / name / version, digests)

    def is_alike(version: str) -> bool:
        try:
            return beside(spec(version), chosen)
        except Permanent:  # an altered file is not served, and keeps nobody from going back to a good one
            return False

    chosen = spec(listed[0] if listed else versions[-1])
    for path, text in render_configs(chosen, [v for v in listed if is_alike(v)]).items():
        replace(repository / name / path, text)


def configure_all(repository: Path) -> None:
    """Render the configurations of all models."""
    with changing(repository):
        for folder in model_folders(repository):
            configure(repository, folder.name)
