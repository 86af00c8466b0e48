"""Client of Triton over gRPC; it turns Triton's errors into those of this project."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from service.domain.model_spec import ModelSpec
from service.errors import Permanent, Transient
from service.inference.breaker import Cancelled
from service.inference.shared_memory import CannotShare
from service.tls import TlsFiles

_ANSWER_S = 10.0
"""For a question about the server."""

_LOAD_S = 1800.0
"""For loading a model: TensorRT builds its engines meanwhile, which takes minutes."""

# gRPC waits up to two minutes before it looks again for a server that was away.
_OPTIONS = [
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
]


class Unreachable(Transient):
    """No answer came. Inference changes nothing, so asking again does no harm."""


class NotServed(Transient):
    """The server does not have this model or version now."""


class Forgotten(Transient):
    """The server was started anew and does not know our shared memory any more."""


class Broken(Transient):
    """The server failed at it; whose fault it is the error does not tell."""


class Wrong(Broken):
    """The server answered, but not as the model does."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Triton is. tls: None: without."""

    url: str = "127.0.0.1:8001"
    tls: TlsFiles | None = None

    @property
    def on_this_host(self) -> bool:
        return self.url.startswith(("localhost:", "127.", "[::1]:"))


class Request(Protocol):
    """On its way."""

    def cancel(self) -> object: ...


class UnderWay:
    """Requests that are ended together. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._requests: set[Request] = set()
        self._changing = Lock()

    @contextmanager
    def begun(self, begin: Callable[[], Request]) -> Iterator[None]:
        """Begin a request and wait for it inside; what is raised there ends it."""
        with self._changing:
            request = begin()
            self._requests.add(request)
        try:
            yield
        except BaseException:
            request.cancel()
            raise
        finally:
            with self._changing:
                self._requests.discard(request)

    def cancel(self) -> None:
        """End all."""
        with self._changing:
            for request in self._requests:
                request.cancel()


@dataclass(frozen=True, slots=True)
class Terms:
    """Of one request. deadline: of `time.monotonic`, repetitions included; priority: 1 goes first.

    under_way: what it is ended with.
    """

    deadline: float
    priority: int
    under_way: UnderWay = field(default_factory=UnderWay)


class TritonClient:
    """One connection, made when it is first needed. Every method may be called from any thread."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        """timeout_s: for an inference."""
        self.timeout_s = timeout_s
        self._url = address.url
        tls = address.tls or TlsFiles()
        files = {"root_certificates": tls.ca, "certificate_chain": tls.certificate, "private_key": tls.key}
        certificates = {name: str(path) for name, path in files.items() if path}
        for path in certificates.values():
            try:
                Path(path).read_bytes()
            except OSError as error:
                raise Permanent(f"The certificates for Triton cannot be read: {error}.") from error
        self._client = grpc.InferenceServerClient(
            address.url, ssl=address.tls is not None, channel_args=_OPTIONS, **certificates
        )

    def infer(
        self, spec: ModelSpec, inputs: Sequence[grpc.InferInput], outputs: Sequence[Any], terms: Terms
    ) -> grpc.InferResult:
        """Ask for one batch. After its deadline the request is cancelled, as it is when the waiting is interrupted.

        Cancelled if it was ended with others.
        """
        left_s = terms.deadline - time.monotonic()
        if left_s <= 0:
            raise Transient(f"Triton at {self._url}, model {spec.name} version {spec.version}: no answer in time")
        answered: Future[grpc.InferResult] = Future()

        def on_answer(result: grpc.InferResult | None, error: InferenceServerException | None) -> None:
            if error is None:
                answered.set_result(result)
            else:
                answered.set_exception(error)

        def begin() -> Request:
            request: Request = self._client.async_infer(
                spec.name,
                inputs,
                on_answer,
                spec.version,
                outputs,
                priority=terms.priority,
                timeout=round(left_s * 1e6),
                client_timeout=left_s,
            )
            return request

        def ask() -> grpc.InferResult:
            with terms.under_way.begun(begin):
                return answered.result()

        return self._asked(ask, f"model {spec.name} version {spec.version}")

    def serves(self, spec: ModelSpec) -> bool:
        """Whether it says that this version of the model is ready."""
        ready = lambda: self._client.is_model_ready(spec.name, spec.version, client_timeout=_ANSWER_S)  # noqa: E731
        return bool(self._asked(ready, f"model {spec.name} version {spec.version}"))

    def load(self, name: str) -> None:
        """Load a model as its repository has it now; NotServed, with the server's reason."""
        self._control(lambda: self._client.load_model(name, client_timeout=_LOAD_S), name)

    def reload(self, name: str) -> None:
        """Unload a model and load it: its processes are made anew. What it is at is finished."""
        self._control(lambda: self._client.unload_model(name, client_timeout=_ANSWER_S), name)
        self.load(name)

    def share(self, name: str, size: int) -> None:
        """Let the server map a region of ours; CannotShare if it cannot."""
        try:
            self._asked(
                lambda: self._client.register_system_shared_memory(name, f"/{name}", size, client_timeout=_ANSWER_S),
                "shared memory",
            )
        except (Broken, Permanent) as error:
            raise CannotShare(str(error)) from error

    def shared(self) -> list[str]:
        """The names of all regions that the server has mapped; CannotShare if it maps none for anybody."""
        try:
            status = self._asked(
                lambda: self._client.get_system_shared_memory_status(client_timeout=_ANSWER_S), "shared memory"
            )
        except (Broken, Permanent) as error:
            raise CannotShare(str(error)) from error
        return list(status.regions)

    def forget(self, name: str) -> None:
        """Let the server give a region back; Broken while a request still uses it."""
        self._asked(
            lambda: self._client.unregister_system_shared_memory(name, client_timeout=_ANSWER_S), "shared memory"
        )

    def _control(self, what: Callable[[], None], name: str) -> None:
        try:
            what()
        except InferenceServerException as error:
            raise NotServed(f"Triton at {self._url} does not load model {name}: {error.message()}") from error

    def _asked(self, what: Callable[[], Any], about: str) -> Any:
        try:
            return what()
        except InferenceServerException as error:
            raise self._in_words(error, about) from error

    def _in_words(self, error: InferenceServerException, about: str) -> Transient | Permanent:
        said = f"Triton at {self._url}, {about}: {error.message()}"
        match str(error.status()).removeprefix("StatusCode."):
            case "UNAVAILABLE" if "unknown model" in error.message():  # it is being loaded or unloaded
                return NotServed(said)
            case "UNAVAILABLE":
                return Unreachable(said)
            case "NOT_FOUND" if "shared memory region" in error.message():
                return Forgotten(said)
            case "NOT_FOUND":
                return NotServed(said)
            case "DEADLINE_EXCEEDED":
                return Transient(f"Triton at {self._url}, {about}: no answer in time")
            case "CANCELLED":
                return Cancelled(f"{said} (cancelled)")
            case "INVALID_ARGUMENT":
                return Permanent(said)
            case "INTERNAL" if "RST_STREAM" in error.message():  # what lies between broke the connection
                return Unreachable(said)
            case "INTERNAL" | "UNIMPLEMENTED":
                return Broken(said)
            case _:
                return Transient(said)
