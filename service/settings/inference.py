"""What computes, and for how long."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from service.settings.tls import NamedTls, Tls
from service.settings.values import Frozen


def _of_grpc(tls: Tls | None) -> Tls | None:
    """The same; ValueError where gRPC's client cannot do what it says."""
    if tls is not None and not tls.ca:
        raise ValueError("ca: gRPC's client knows no authority of this machine")
    if tls is not None and tls.crl:
        raise ValueError("crl: gRPC's client checks no revocations")
    if tls is not None and tls.certificate and not tls.key:
        raise ValueError("key: gRPC's client wants it in a file of its own")
    return tls


def default_repository() -> Path:
    """The model repository shipped with the package, or that of the source tree."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "triton_repo"
    return shipped if shipped.is_dir() else package.parent / "triton_repo"


class Triton(Frozen):
    """A Triton server that serves the same repository; for `inference.backend: triton`."""

    url: str = Field("127.0.0.1:8001", pattern=r"^[^/]+:\d+$", description="host:port of its gRPC, without a scheme")
    shared_memory: Literal["auto", "always", "never"] = Field(
        "auto", description="images go to it through `/dev/shm`; auto: where it is on this host and can read ours"
    )
    timeout_s: float = Field(60, gt=0, description="for one inference (a few slices), waiting in its queue included")
    concurrency: int = Field(2, ge=1, description="requests at once; as many as it has instances of a model")
    tls: Annotated[NamedTls, AfterValidator(_of_grpc)] = Field(None, description="null: without")


class SelfPromotion(Frozen):
    """When a version of a model that analyses in the shadow becomes the active one by itself."""

    studies: int = Field(
        200,
        ge=1,
        le=1000,
        description="all analyses of its latest studies in the shadow, so many, have to be within the limits; without "
        "`inference.self_promotion` an operator promotes it",
    )
    min_dice: float = Field(
        0.9, gt=0, le=1, description="of every label with that of the active version; differences below 1 mL pass"
    )
    headline_change: dict[str, float] = Field(
        default_factory=dict,
        description="greatest change of the headline, by pipeline, in its unit; a pipeline that is not named: none",
    )


class Inference(Frozen):
    """Where models run."""

    backend: Literal["onnx", "triton"] = Field(
        "onnx", description="onnx: ONNX Runtime in the worker's process; triton: a Triton server"
    )
    repository: Path = Field(
        default_factory=default_repository,
        description="model repository; default: `data_dir`/models once `thoracle models` made it, else the shipped one",
    )
    threads: int = Field(2, ge=1, description="CPU cores that infer: as many slices of a CT at once (onnx)")
    provider: Literal["cpu", "cuda", "tensorrt"] = Field(
        "cpu",
        description="what ONNX Runtime computes on (onnx); cuda and tensorrt need `thoracle[gpu]`. Where it is missing "
        "or does not start, the service says so and ends: it never takes another",
    )
    engines: Path | None = Field(
        None,
        description="folder of TensorRT's engines (tensorrt), one for each model file; default: `data_dir`/engines",
    )
    trial_ct: Path | None = Field(
        None,
        description="folder with a chest CT on which a version of a model is tried before it gets any study; default: "
        "the demo's, which comes with the service",
    )
    check_s: float = Field(
        60,
        gt=0,
        description="every so often the models are asked for an answer that is known; while it is wrong, nothing is "
        "analysed and we are not ready",
    )
    self_promotion: SelfPromotion | None = Field(
        None,
        description="limits within which a version in the shadow becomes the active one by itself, after the same "
        "acceptance as ever; null: an operator promotes it",
    )
    triton: Triton = Triton()


class Analysis(Frozen):
    """How much one analysis of the service may take. `thoracle analyse` has no such limits."""

    time_limit_s: float = Field(
        1800, gt=0, description="an analysis that takes longer is ended, and its job fails by name"
    )
    memory_limit_gb: float | None = Field(
        None,
        gt=0,
        description="so is one that takes more memory beyond what the worker had before; null: one with which the "
        "worker takes nine tenths of the memory of its machine or container",
    )
