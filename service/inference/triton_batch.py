"""One batch on its way to Triton and back: inside the gRPC message, or through shared memory."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from math import prod
from queue import LifoQueue
from typing import Protocol

import numpy as np
import tritonclient.grpc as grpc

from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array
from service.errors import Transient
from service.inference.shared_memory import PREFIX, CannotShare, Region, aligned, files, left_behind
from service.inference.tensors import TRITON_TYPES
from service.inference.triton_client import Terms, TritonClient, Wrong

log = logging.getLogger(__name__)


class Transport(Protocol):
    """How arrays get to the server and back. Every method may be called from any thread."""

    @property
    def shares_memory(self) -> bool:
        """Whether they travel through shared memory now."""
        ...

    def renew(self) -> None:
        """The server is taken up anew: clean up, and try again what did not work."""
        ...

    def infer(self, spec: ModelSpec, inputs: Mapping[str, Array], terms: Terms) -> dict[str, Array]: ...


class InMessages:
    """Arrays inside the gRPC messages: everywhere."""

    shares_memory = False

    def __init__(self, client: TritonClient) -> None:
        self._client = client

    def renew(self) -> None:
        """Nothing to do."""

    def infer(self, spec: ModelSpec, inputs: Mapping[str, Array], terms: Terms) -> dict[str, Array]:
        asked = []
        for tensor in spec.inputs:
            one = _input(tensor, inputs[tensor.name])
            one.set_data_from_numpy(np.ascontiguousarray(inputs[tensor.name]))
            asked.append(one)
        wanted = [grpc.InferRequestedOutput(tensor.name) for tensor in spec.outputs]
        answer = self._client.infer(spec, asked, wanted, terms)
        _check_answer(spec, len(inputs[spec.inputs[0].name]), answer)
        # The message's own memory cannot be written.
        return {tensor.name: answer.as_numpy(tensor.name).copy() for tensor in spec.outputs}


class InSharedMemory:
    """Arrays in regions that the server maps: on one host. A region serves one request at a time.

    CannotShare where there is no memory to share, or the server cannot map it.
    """

    shares_memory = True

    def __init__(self, client: TritonClient, specs: Sequence[ModelSpec], count: int) -> None:
        """count: of requests at once; one more waits."""
        self._client = client
        self._size = max(_size(spec, spec.max_batch) for spec in specs)
        self._regions: LifoQueue[Region | None] = LifoQueue()
        for _ in range(count):
            self._regions.put(None)

    def infer(self, spec: ModelSpec, inputs: Mapping[str, Array], terms: Terms) -> dict[str, Array]:
        batch = len(inputs[spec.inputs[0].name])
        with self._region() as region:
            offset = 0
            asked, wanted, answers = [], [], {}
            for tensor in spec.inputs:
                taken = region.array((batch, *tensor.dims), tensor.dtype, offset)
                taken[...] = inputs[tensor.name]
                asked.append(_input(tensor, taken))
                asked[-1].set_shared_memory(region.name, taken.nbytes, offset)
                offset += aligned(taken.nbytes)
            for tensor in spec.outputs:
                given = region.array((batch, *tensor.dims), tensor.dtype, offset)
                wanted.append(grpc.InferRequestedOutput(tensor.name))
                wanted[-1].set_shared_memory(region.name, given.nbytes, offset)
                answers[tensor.name] = given
                offset += aligned(given.nbytes)
            # Of an answer that is too short, the rest would be the region's last one: another patient's.
            _check_answer(spec, batch, self._client.infer(spec, asked, wanted, terms))
            return {name: given.copy() for name, given in answers.items()}

    def renew(self) -> None:
        """Give back what dead processes and failed requests left behind, here and at the server."""
        for name in self._client.shared():
            if name.startswith(PREFIX) and left_behind(name):
                with suppress(Transient):  # still in use: the next time
                    self._client.forget(name)
        for name in files():
            left_behind(name)

    @contextmanager
    def _region(self) -> Iterator[Region]:
        """After a failure another one: nobody knows whether the server is still at the old one."""
        region = self._regions.get()
        try:
            if region is None:
                region = Region(self._size)
                self._client.share(region.name, self._size)
            yield region
        except BaseException:
            region = None
            raise
        finally:
            self._regions.put(region)


class InSharedMemoryIfPossible:
    """Through shared memory; after it could not be shared inside the messages, until the server is taken up anew."""

    def __init__(self, shared: InSharedMemory, messages: InMessages) -> None:
        self.shares_memory = True
        self._shared = shared
        self._messages = messages
        self._said = ""

    def infer(self, spec: ModelSpec, inputs: Mapping[str, Array], terms: Terms) -> dict[str, Array]:
        if self.shares_memory:
            try:
                return self._shared.infer(spec, inputs, terms)
            except CannotShare as why:
                self._do_without(why)
        return self._messages.infer(spec, inputs, terms)

    def renew(self) -> None:
        self.shares_memory = True
        try:
            self._shared.renew()
        except CannotShare as why:
            self._do_without(why)

    def _do_without(self, why: CannotShare) -> None:
        self.shares_memory = False
        if not self._said:
            log.warning("without shared memory, so a little slower: %s", why)
        self._said = str(why)


def _input(tensor: TensorSpec, array: Array) -> grpc.InferInput:
    return grpc.InferInput(tensor.name, array.shape, TRITON_TYPES[tensor.dtype])


def _check_answer(spec: ModelSpec, batch: int, answer: grpc.InferResult) -> None:
    """Wrong if the server gave another thing than the spec says, for so many images."""
    for tensor in spec.outputs:
        given = answer.get_output(tensor.name)
        expected = TRITON_TYPES[tensor.dtype], [batch, *tensor.dims]
        if given is None or (given.datatype, list(given.shape)) != expected:
            found = f"{given.datatype} of shape {list(given.shape)}" if given else "nothing"
            raise Wrong(
                f"Triton answers as another model than {spec.name} version {spec.version}: "
                f"{tensor.name} is {found}, not {expected[0]} of {expected[1]}"
            )


def _size(spec: ModelSpec, batch: int) -> int:
    """Bytes of all tensors of one batch."""
    tensors = (*spec.inputs, *spec.outputs)
    return sum(aligned(batch * prod(tensor.dims) * np.dtype(tensor.dtype).itemsize) for tensor in tensors)
