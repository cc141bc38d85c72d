"""A recorder that works without a GPU: a tape of tensor operations with the rules of a CUDA graph.

What was recorded is not done until it is replayed. A replay repeats the operations on the same
memory, without any Python of the step. Recording fails where an operation would wait for the device
or copy from main memory, as it does on CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
# Operations whose result depends on values: a GPU's processor would have to be waited for.
READING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten._unique2.default,
    aten.unique_dim.default,
    aten.bincount.default,
}
# The schema does not say that these change their running statistics, arguments 3 and 4.
BATCH_NORM = {aten.native_batch_norm.default}
FROM_MAIN_MEMORY = {aten.lift_fresh.default, aten.lift_fresh_copy.default}


def tensors(value: Any) -> list[Tensor]:
    """All tensors of arguments or results."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    """Where a tensor's memory begins."""
    return tensor.untyped_storage().data_ptr()


def written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation changes."""
    changed = tensors(args[3:5]) if func in BATCH_NORM else []
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        value = args[index] if index < len(args) else kwargs.get(argument.name)
        changed += tensors(value)
    return changed


def is_view(func: Any) -> bool:
    """True if an operation's result is a view of an argument, so that it launches no work."""
    aliases = [result.alias_info for result in func._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


class OperationTape(TorchDispatchMode):
    """Recorded operations; also the recording (`seit_cl.learner.recording.Recording`)."""

    output: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self.own: set[int] = set()  # where memory allocated by the tape begins
        self.before: dict[int, tuple[Tensor, Tensor]] = {}  # other memory, and what it held

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        indices = args[1] if func is aten.index.Tensor else ()
        reads_mask = any(index is not None and index.dtype == torch.bool for index in indices)
        if func in READING or reads_mask:
            raise RuntimeError(f"{func} waits for the device")
        if func in FROM_MAIN_MEMORY:
            raise RuntimeError(f"{func} copies from main memory")
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"{func} draws from a generator that the recording does not own")
        for tensor in written(func, args, kwargs):
            start = place(tensor)
            if start not in self.own and start not in self.before:
                whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
                self.before[start] = (whole, whole.clone())
        results = func(*args, **kwargs)
        outputs = tensors(results)
        arguments = {place(tensor) for tensor in tensors((args, kwargs))}
        for output in outputs:
            if place(output) not in arguments:
                self.own.add(place(output))
        # A view needs no work. In inference mode an operation that may be a view can be a copy.
        if not is_view(func) or any(place(output) not in arguments for output in outputs):
            self.calls.append((func, args, kwargs, outputs))
        return results

    def undo(self) -> None:
        """Give all memory from outside its content of before the recording."""
        for whole, content in self.before.values():
            whole.copy_(content)

    @torch.no_grad()
    def replay(self) -> None:
        """Repeat the operations on the same memory."""
        for func, args, kwargs, outputs in self.calls:
            for output, result in zip(outputs, tensors(func(*args, **kwargs)), strict=True):
                if place(output) != place(result):
                    output.copy_(result)

    def release(self) -> None:
        """Forget the operations."""
        self.calls.clear()


class TapeRecorder:
    """Recorder of operation tapes (`seit_cl.learner.recording.Recorder`).

    Attributes:
        tapes: recorded so far.
    """

    def __init__(self) -> None:
        self.tapes: list[OperationTape] = []

    @contextmanager
    def stream(self) -> Iterator[None]:
        """All work is in one order on a CPU."""
        yield

    def record(self, work: Callable[[], Tensor]) -> OperationTape:
        """Record work without doing it."""
        tape = OperationTape()
        try:
            with tape:
                tape.output = work()
        finally:
            with torch.no_grad():
                tape.undo()
        self.tapes.append(tape)
        return tape
