"""Builds the back end on which models run, from the settings."""

from collections.abc import Mapping, Sequence

from service.domain.pipeline import roles_of
from service.domain.ports import Backend
from service.inference.files import model_files
from service.inference.onnx import OnnxBackend
from service.inference.providers import Runs
from service.inference.triton_server import launch
from service.pipelines import named
from service.settings import Settings, tls_files


def backend(
    settings: Settings,
    versions: Mapping[str, str] | None = None,
    beside: Sequence[Backend] = (),
    mends: bool = False,
) -> Backend:
    """Returns the back end; Permanent if a model is missing or not the released one. A Triton server may be away.

    versions: to serve in place of the active ones, by model name. beside: may share what they have loaded.
    mends: may have a server's models loaded anew.
    """
    ours = settings.inference
    if ours.backend == "onnx":
        loaded = [other for other in beside if isinstance(other, OnnxBackend)]
        watched = roles_of(named(one.name) for one in settings.pipelines)
        return OnnxBackend(ours.repository, ours.threads, versions, loaded, runs(settings), watched)
    # Only here: it takes half a second to import.
    from service.inference.triton import TritonBackend
    from service.inference.triton_client import Address

    triton = ours.triton
    return TritonBackend(
        ours.repository,
        Address(triton.url, tls_files(triton.tls)),
        triton.timeout_s,
        triton.concurrency,
        triton.shared_memory,
        versions,
        mends,
    )


def runs(settings: Settings) -> Runs:
    """What ONNX Runtime computes on in this process."""
    return Runs(settings.inference.provider, settings.inference.engines or settings.data_dir / "engines")


def checked_every_s(settings: Settings) -> float:
    """How often the back end is to be checked while it serves."""
    return settings.inference.check_s


def triton_server(settings: Settings, ports: launch.Ports, more: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a Triton server for trial; Permanent if it or a model is not installed."""
    model_files(settings.inference.repository)
    return launch.command(settings.inference.repository, settings.data_dir / "triton", ports, more)
