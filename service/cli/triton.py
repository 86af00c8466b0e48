"""`thoracle triton`."""

import os
from typing import Annotated

import typer

from service.cli.options import ConfigOption, failures, settings_from
from service.composition.backends import triton_server
from service.inference.triton_server.launch import Ports

_PORTS = Ports()

triton = typer.Typer(rich_markup_mode="rich")


@triton.command(context_settings={"allow_extra_args": True})
def run(
    context: typer.Context,
    grpc: Annotated[int, typer.Option(help="Port of gRPC, which the worker uses.", min=1, max=65535)] = _PORTS.grpc,
    http: Annotated[int, typer.Option(help="Port of HTTP, for curl.", min=1, max=65535)] = _PORTS.http,
    metrics: Annotated[int, typer.Option(help="Port of Prometheus metrics.", min=1, max=65535)] = _PORTS.metrics,
    config: ConfigOption = None,
) -> None:
    """Run a Triton server on this machine, for trial: the installed models, on the CPU, without a container.

    It is NVIDIA's tritonserver 2.51.0 from the Python package nvidia-pytriton, with a backend of Thoracle's that runs
    the same ONNX Runtime as the worker. It listens on loopback only, and old as it is should never listen elsewhere:
    production runs NVIDIA's current image over the same model repository, with GPUs if there are any.

    Set [bold]inference: {backend: triton}[/] in the configuration, and the worker uses it; that is all. What stands
    behind -- goes to tritonserver as it is. Stops on SIGTERM or Ctrl-C.

    [bold]Examples[/]

      thoracle triton --config thoracle.yaml

      thoracle triton --grpc 9001 --http 9000 --metrics 9002

      curl -s -o /dev/null -w '%{http_code}\\n' localhost:8000/v2/health/ready

      thoracle triton -- --log-verbose=1
    """
    settings = settings_from(config)
    with failures("Cannot run"):
        command, environment = triton_server(settings, Ports(grpc, http, metrics), context.args)
        os.execve(command[0], command, environment)
