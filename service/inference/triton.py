"""A Triton server behind `domain.ports.Backend`, for the same repository that ONNX Runtime reads.

The specs come from the repository's files; a known-answer check shows that the server serves them, before the first
inference and again and again. A server that is away or wrong makes every call Transient, so the study is tried later.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Literal, Self

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.domain.priority import Urgency
from service.errors import Permanent, Transient
from service.inference.breaker import Breaker
from service.inference.config import priority_level
from service.inference.files import model_files, serving_of
from service.inference.known_answer import KnownAnswer, known_answer
from service.inference.tensors import check_inputs
from service.inference.triton_batch import InMessages, InSharedMemory, InSharedMemoryIfPossible, Transport
from service.inference.triton_client import (
    Address,
    Broken,
    Forgotten,
    NotServed,
    Terms,
    TritonClient,
    UnderWay,
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
        mends: bool = False,
    ) -> None:
        """timeout_s: for one inference, repetitions included. concurrency: of requests; as the server has instances.

        versions: to serve in place of the active ones, by model name. mends: has an active model that fails or answers
        wrongly unloaded and loaded, for whoever uses it. For the service alone: others may be wrong themselves.
        """
        self.concurrency = concurrency
        self._files = model_files(repository, versions)
        self._specs = {name: file.spec for name, file in self._files.items()}
        active = serving_of(repository)
        self._active = {name for name, spec in self._specs.items() if active[name].active == spec.version}
        self._loaded_anew: set[str] = set()
        self._client = TritonClient(address, timeout_s)
        self._mends = mends
        self._transport = _transport(shared_memory, address, self._client, self.specs, concurrency)
        self._under_way = UnderWay()
        self._priority = priority_level(Urgency.ROUTINE)
        self._known: list[KnownAnswer] = []
        self._knowing = Lock()
        self._breaker = Breaker(self._try)

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specs of all models, by name."""
        return tuple(self._specs.values())

    @property
    def shares_memory(self) -> bool:
        """Whether arrays travel through shared memory now."""
        return self._transport.shares_memory

    def has(self, name: str) -> bool:
        return name in self._specs

    def spec(self, name: str) -> ModelSpec:
        if name not in self._specs:
            raise Permanent(f"Model {name} is not installed; installed are {', '.join(self._specs)}.")
        return self._specs[name]

    def check(self) -> None:
        """Ask the server for answers that are known. Transient, in words, if it fails, and cannot be mended."""
        self._breaker.test()

    def at(self, urgency: Urgency) -> Self:
        same = copy(self)
        same._priority = priority_level(urgency)
        same._under_way = UnderWay()
        return same

    def cancel(self) -> None:
        """What waits at the server is then not computed."""
        self._under_way.cancel()

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Transient if the server is away, late, wrong or fails, Permanent if it refuses the inputs."""
        spec = self.spec(name)
        check_inputs(spec, inputs)
        return self._breaker.call(partial(self._infer, spec, inputs))

    def _infer(self, spec: ModelSpec, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """After a failure whose cause is not told, the known-answer check is made, then this is asked again, once for
        each instance: one may be dead. It is never final: the server may be short of memory for a batch, not for the
        check.
        """
        try:
            return self._ask(spec, inputs, self._under_way)
        except Broken as error:
            log.warning("%s", error)
            self.check()
        for _ in range(self.concurrency - 1):
            try:
                return self._ask(spec, inputs, self._under_way)
            except Broken as error:
                log.warning("%s", error)
        try:
            return self._ask(spec, inputs, self._under_way)
        except Broken as error:
            raise Transient(f"{error} (again and again, while the known-answer check passes)") from error

    def _ask(self, spec: ModelSpec, inputs: Mapping[str, Array], under_way: UnderWay) -> dict[str, Array]:
        """Ask, and ask again where that is safe and may help."""
        terms = self._terms(under_way)
        for wait_s in _WAITS_S:
            try:
                return self._transport.infer(spec, inputs, terms)
            except Unreachable:
                time.sleep(wait_s)
            except Forgotten:
                pass  # the next region is made known to it
            except NotServed:
                self._client.load(spec.name)
                terms = self._terms(under_way)
        return self._transport.infer(spec, inputs, terms)

    def _terms(self, under_way: UnderWay) -> Terms:
        return Terms(time.monotonic() + self._client.timeout_s, self._priority, under_way)

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
        self._transport.renew()
        for known in self._known_answers():
            self._check(known)

    def _check(self, known: KnownAnswer) -> None:
        """A model that fails is asked again, for all workers wait while it is loaded anew: some times, for one of its
        processes may be dead. For wrong answers it is loaded anew once, until they are right again; for a version on
        trial never, beside which the active one serves."""
        name = known.spec.name
        try:
            self._check_answers(known)
        except Broken:
            try:
                for _ in range(_AGAIN):
                    self._check_answers(known)
            except Broken as error:
                in_vain = isinstance(error, Wrong) and name in self._loaded_anew
                if not self._mends or name not in self._active or in_vain:
                    raise
                log.warning("model %s is loaded anew: %s", name, error)
                self._loaded_anew.add(name)
                self._client.reload(name)
                self._check_answers(known)
        self._loaded_anew.discard(name)

    def _check_answers(self, known: KnownAnswer) -> None:
        """As many requests at once as there may be: the server may have as many processes, and one may be dead."""
        with ThreadPoolExecutor(self.concurrency) as threads:
            asked = [threads.submit(self._ask, known.spec, known.inputs, UnderWay()) for _ in range(self.concurrency)]
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

    def _known_answers(self) -> list[KnownAnswer]:
        """Made once, when they are first needed."""
        with self._knowing:
            if not self._known:
                self._known = [known_answer(file) for file in self._files.values()]
            return self._known


def _transport(
    shared_memory: SharedMemory, address: Address, client: TritonClient, specs: Sequence[ModelSpec], count: int
) -> Transport:
    """count: of requests at once."""
    messages = InMessages(client)
    if shared_memory == "never" or (shared_memory == "auto" and not address.on_this_host):
        return messages
    shared = InSharedMemory(client, specs, count)
    return shared if shared_memory == "always" else InSharedMemoryIfPossible(shared, messages)
