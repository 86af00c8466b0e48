"""A Triton server behind `domain.ports.Backend`, for the same repository that ONNX Runtime reads.

The specs come from the repository's files; that the server serves those very files a canary shows, before the first
inference and again and again. A server that is away or wrong makes every call Transient, so the study is tried later.
"""

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, Self

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent
from service.inference.breaker import Breaker
from service.inference.canary import Canary, canary
from service.inference.config import priority_level
from service.inference.files import model_files, serving_of
from service.inference.shared_memory import CannotShare
from service.inference.tensors import check_inputs
from service.inference.triton_batch import InMessages, InSharedMemory
from service.inference.triton_client import (
    Address,
    Broken,
    Forgotten,
    NotServed,
    Terms,
    TritonClient,
    Unreachable,
    Wrong,
)

log = logging.getLogger(__name__)

SharedMemory = Literal["auto", "always", "never"]
"""auto: where the server is on this host and can map ours."""

_WAITS_S = (0.2, 1.0)
"""Before a request that got no answer is asked again."""

_AGAIN = 8
"""Times that a model must answer rightly after it failed: where one of two processes is dead, so many are no chance."""


class TritonBackend:
    """`domain.ports.Backend`. Permanent at construction if a model file is missing, altered or not what its spec says.

    The server may be away at construction.
    """

    def __init__(
        self,
        repository: Path,
        address: Address = Address(),
        timeout_s: float = 60.0,
        concurrency: int = 2,
        shared_memory: SharedMemory = "auto",
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """timeout_s: for one inference, repetitions included. concurrency: of requests; as the server has instances.

        versions: to serve in place of the active ones, by model name.
        """
        self.concurrency = concurrency
        self._files = model_files(repository, versions)
        self._specs = {name: file.spec for name, file in self._files.items()}
        active = serving_of(repository)
        self._active = {name for name, spec in self._specs.items() if active[name].active == spec.version}
        self._loaded_anew: set[str] = set()
        self._client = TritonClient(address, timeout_s)
        self._messages = InMessages(self._client)
        self._always = shared_memory == "always"
        share = self._always or (shared_memory == "auto" and address.on_this_host)
        self._shared = InSharedMemory(self._client, self.specs, concurrency) if share else None
        self._priority = priority_level(Urgency.ROUTINE)
        self._known: list[Canary] = []
        self._knowing = Lock()
        self._breaker = Breaker(self._try)

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specs of all models, by name."""
        return tuple(self._specs.values())

    @property
    def shares_memory(self) -> bool:
        """Whether arrays travel through shared memory; may become False at the first request."""
        return self._shared is not None

    def has(self, name: str) -> bool:
        return name in self._specs

    def spec(self, name: str) -> ModelSpec:
        if name not in self._specs:
            raise Permanent(f"Model {name} is not installed; installed are {', '.join(self._specs)}.")
        return self._specs[name]

    def check(self) -> None:
        """Ask the server for answers that are known; one try to mend it is made. Transient, in words, if it fails."""
        self._breaker.test()

    def at(self, urgency: Urgency) -> Self:
        same = copy(self)
        same._priority = priority_level(urgency)
        return same

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Transient if the server is away, late or wrong, Permanent if the model refuses."""
        spec = self.spec(name)
        check_inputs(spec, inputs)
        return self._breaker.call(partial(self._infer, spec, inputs))

    def _infer(self, spec: ModelSpec, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """A failure whose cause is not told is the server's, if the canary fails too, else the model's with this
        image."""
        try:
            return self._ask(spec, inputs)
        except Broken as error:
            log.warning("%s", error)
            self.check()
        try:
            return self._ask(spec, inputs)
        except Broken as error:
            raise Permanent(f"{error} (and the same again, while the canary is answered rightly)") from error

    def _ask(self, spec: ModelSpec, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Ask, and ask again where that is safe and may help."""
        terms = Terms(time.monotonic() + self._client.timeout_s, self._priority)
        for wait_s in _WAITS_S:
            try:
                return self._once(spec, inputs, terms)
            except Unreachable:
                time.sleep(wait_s)
            except Forgotten:
                pass  # the next region is made known to it
            except NotServed:
                self._client.load(spec.name)
        return self._once(spec, inputs, terms)

    def _once(self, spec: ModelSpec, inputs: Mapping[str, Array], terms: Terms) -> dict[str, Array]:
        if shared := self._shared:
            try:
                return shared.infer(spec, inputs, terms)
            except CannotShare as why:
                if self._always:
                    raise
                log.warning("without shared memory, so a little slower: %s", why)
                self._shared = None
        return self._messages.infer(spec, inputs, terms)

    def _try(self) -> None:
        """The breaker's trial."""
        for wait_s in _WAITS_S:
            try:
                return self._try_once()
            except Unreachable:
                time.sleep(wait_s)
        return self._try_once()

    def _try_once(self) -> None:
        """Exactly these models answer rightly; Transient, in words, if not."""
        for spec in self.specs:
            if not self._client.serves(spec):
                self._client.load(spec.name)
                if not self._client.serves(spec):
                    raise NotServed(
                        f"Triton loaded model {spec.name}, but not version {spec.version}: its repository is another, "
                        "or its config.pbtxt names other versions"
                    )
        if self._shared:
            self._shared.clear()
        for known in self._canaries():
            self._check(known)

    def _check(self, known: Canary) -> None:
        """A model that fails is asked again, for all workers wait while it is loaded anew: some times, for one of its
        processes may be dead. For wrong answers it is loaded anew once, until they are right again; for a version on
        trial never, beside which the active one serves."""
        name = known.spec.name
        try:
            self._sing(known)
        except Broken:
            try:
                for _ in range(_AGAIN):
                    self._sing(known)
            except Broken as error:
                if name not in self._active or (isinstance(error, Wrong) and name in self._loaded_anew):
                    raise
                log.warning("model %s is loaded anew: %s", name, error)
                self._loaded_anew.add(name)
                self._client.reload(name)
                self._sing(known)
        self._loaded_anew.discard(name)

    def _sing(self, known: Canary) -> None:
        """As many requests at once as there may be: the server may have as many processes, and one may be dead."""
        with ThreadPoolExecutor(self.concurrency) as threads:
            asked = [threads.submit(self._ask, known.spec, known.inputs) for _ in range(self.concurrency)]
        for one in asked:
            try:
                wrong = known.wrong(one.result())
            except Permanent as error:
                wrong = str(error)
            if wrong:
                raise Wrong(
                    f"Triton does not serve model {known.spec.name} version {known.spec.version} as it is in the "
                    f"repository: {wrong}"
                )

    def _canaries(self) -> list[Canary]:
        """Made once, when they are first needed."""
        with self._knowing:
            if not self._known:
                self._known = [canary(file) for file in self._files.values()]
            return self._known
