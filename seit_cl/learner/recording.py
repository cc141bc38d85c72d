"""Training steps and tests recorded once as a CUDA graph, then replayed with other samples.

A small model's step takes less time than launching its kernels one by one. A CUDA graph launches
them all at once: gathering, augmentation, forward and backward pass, clipping and optimiser. A
replay repeats the recorded work on the same memory, so that a step's samples and random numbers are
copied into tensors that stay; Python of the step is not run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from seit_cl.core.blocks import slices
from seit_cl.core.devices import to_device
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.draws import Draws
from seit_cl.learner.batches import RawStep, Rows

WARM_UP = 3  # steps run without a graph first: they make the optimiser's state and choose kernels
WORTHWHILE = 20  # steps of an experience, or batches of a test, from which on recording pays
TakeStep = Callable[[RawStep], Tensor]


class Sliceable(Protocol):
    """Data (N, ...) whose slices are tensors: a tensor, or data that are read when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Tensor: ...


class Recording(Protocol):
    """Recorded work on a device."""

    output: Tensor

    def replay(self) -> None:
        """Do the work again, on the same memory."""

    def release(self) -> None:
        """Free the memory that the work uses."""


class Recorder(Protocol):
    """A way to record work; `CudaGraphs` is the one for CUDA."""

    def stream(self) -> AbstractContextManager[None]:
        """Context in which all steps run, recorded or not."""

    def record(self, work: Callable[[], Tensor]) -> Recording:
        """Record work without doing it, inside of `stream`.

        Raises:
            RuntimeError: the work reads a value back from the device.
        """


class CudaRecording:
    """A captured CUDA graph.

    Args:
        graph: has captured the work.
        output: of the work, overwritten by every replay.
    """

    def __init__(self, graph: torch.cuda.CUDAGraph, output: Tensor) -> None:
        self.graph = graph
        self.output = output

    def replay(self) -> None:
        """Launch the graph."""
        self.graph.replay()

    def release(self) -> None:
        """Free the graph's memory pool, which would otherwise stay reserved."""
        torch.cuda.synchronize(self.output.device)
        self.graph.reset()
        torch.cuda.empty_cache()


class CudaGraphs:
    """Recorder of CUDA graphs (torch.cuda.graph).

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Run the block on a stream of its own, in order with the work around it.

        Gradients are accumulated on the stream of the first forward pass, and capturing fails where
        that is another one.
        """
        outer = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(outer)
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            outer.wait_stream(self._stream)

    def record(self, work: Callable[[], Tensor]) -> CudaRecording:
        """Capture a CUDA graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            output = work()
        return CudaRecording(graph, output)


@dataclass(frozen=True)
class _Recorded:
    """A recorded step.

    Args:
        step: its samples and random numbers, in tensors that later ones are copied into.
        recording: of the work on them.
    """

    step: RawStep
    recording: Recording

    def fits(self, step: RawStep) -> bool:
        """True if the samples of a step come from the same data."""
        sources = [part.source for part in step.parts]
        own_sources = [part.source for part in self.step.parts]
        if len(sources) != len(own_sources):
            return False
        return all(own is source for own, source in zip(own_sources, sources, strict=True))

    def refill(self, step: RawStep) -> None:
        """Copy another step's rows and random numbers into those that were recorded."""
        for own, other in zip(self.step.parts, step.parts, strict=True):
            assert own.rows is not None
            assert other.rows is not None
            own.rows.copy_(other.rows)
        self.step.draws.uniform.copy_(step.draws.uniform)
        self.step.draws.normal.copy_(step.draws.normal)


class RecordedSteps:
    """Training steps of an experience, recorded as soon as it pays.

    Steps run as they are until WARM_UP steps of full size were taken on data that lie on the
    device; the next one is recorded. Smaller batches, and data that do not fit on the device,
    always run as they are. A new experience is recorded anew: its data, classes and optimiser are
    others.

    Args:
        take_step: takes a training step and returns its loss (1,), detached.
        capture_step: the same, while it is recorded.
        recorder: records it.
        note: called with a line for the run's log.
    """

    def __init__(
        self,
        take_step: TakeStep,
        capture_step: TakeStep,
        recorder: Recorder,
        note: Callable[[str], None],
    ) -> None:
        self._take_step = take_step
        self._capture_step = capture_step
        self._recorder = recorder
        self._note = note
        self._recorded: _Recorded | None = None
        self._full: list[int] = []  # numbers of samples of a full step
        self._warm = 0
        self._began = 0.0

    @contextmanager
    def experience(self, batch: int, replay_batch: int, steps: int) -> Iterator[None]:
        """Context of an experience's steps (`begin` has the arguments)."""
        self.begin(batch, replay_batch, steps)
        try:
            with self.stream():
                yield
        finally:
            self.end()

    def begin(self, batch: int, replay_batch: int, steps: int) -> None:
        """Prepare for an experience.

        Args:
            batch: fresh samples of a full step.
            replay_batch: its exemplars.
            steps: number of steps to be taken.
        """
        self._full = [batch, replay_batch]
        self._warm = 0 if steps >= WORTHWHILE else -steps
        self._began = time.monotonic()

    def stream(self) -> AbstractContextManager[None]:
        """Context in which the steps of an experience are taken."""
        return self._recorder.stream()

    def end(self) -> None:
        """Free the memory of the experience's recording."""
        if self._recorded is not None:
            self._recorded.recording.release()
            self._recorded = None

    def step(self, step: RawStep) -> Tensor:
        """Take a step and return its loss, which later steps do not overwrite."""
        if not self._can_be_recorded(step):
            return self._take_step(step)
        if self._recorded is not None and not self._recorded.fits(step):
            self.end()
            self._warm = 0
        if self._recorded is not None:
            self._recorded.refill(step)
        elif self._warm < WARM_UP:
            self._warm += 1
            return self._take_step(step)
        else:
            self._recorded = self._record(step)
        self._recorded.recording.replay()
        return self._recorded.recording.output.clone()

    def _can_be_recorded(self, step: RawStep) -> bool:
        """True for a step of full size on data that lie on the device."""
        counts = [len(part) for part in step.parts]
        is_full = counts == self._full[: len(counts)]
        return is_full and all(part.rows is not None for part in step.parts)

    def _record(self, step: RawStep) -> _Recorded:
        """Record a step, with tensors of its own for samples and numbers, without taking it.

        Raises:
            UserError: the strategy reads values back from the device, or its memory is full.
        """
        own = _copied(step)
        recording = _record(self._recorder, lambda: self._capture_step(own), "a training step")
        seconds = time.monotonic() - self._began
        self._note(f"training steps run as a CUDA graph after {seconds:.1f} s")
        return _Recorded(own, recording)


def _record(recorder: Recorder, work: Callable[[], Tensor], name: str) -> Recording:
    """Record work.

    Raises:
        UserError: naming the work that cannot be recorded.
    """
    try:
        return recorder.record(work)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{name} cannot be recorded as a CUDA graph ({reason}); use --no-graph"
        ) from error


def _copied(step: RawStep) -> RawStep:
    """A step with rows and random numbers of its own."""
    draws = Draws(step.draws.uniform.clone(), step.draws.normal.clone())
    replay = None if step.replay is None else _copied_rows(step.replay)
    return RawStep(_copied_rows(step.fresh), replay, draws)


def _copied_rows(rows: Rows) -> Rows:
    assert rows.rows is not None
    return Rows(rows.source, rows.rows.clone())


def in_batches(
    work: Callable[..., Tensor],
    data: Sequence[Sliceable],
    batch: int,
    device: torch.device,
    recorder: Recorder | None,
) -> Tensor:
    """Apply a function to data batch by batch, recorded where that pays.

    Args:
        work: from data (B, ...) on the device, a tensor for each of `data`, to results (B, ...)
            there; a pure function.
        data: each (N, ...), on any device, or read when a batch of it is due.
        batch: largest B. A smaller last batch is not recorded.
        device: where the work is done.
        recorder: None to record nothing.

    Returns:
        (N, ...), on the device.
    """
    spans = list(slices(len(data[0]), batch)) or [slice(0)]

    def part_of(span: slice) -> list[Tensor]:
        return [values[span] for values in data]

    def work_on(part: Sequence[Tensor]) -> Tensor:
        return work(*(to_device(values, device) for values in part))

    if recorder is None or len(spans) < WORTHWHILE:
        return torch.cat([work_on(part_of(span)) for span in spans])
    with recorder.stream():
        results = [work_on(part_of(span)) for span in spans[:WARM_UP]]
        own = [to_device(values, device).clone() for values in part_of(spans[0])]
        recording = _record(recorder, lambda: work(*own), "a test")
        for span in spans[WARM_UP:]:
            part = part_of(span)
            if len(part[0]) < batch:
                results.append(work_on(part))
                continue
            for values, new in zip(own, part, strict=True):
                values.copy_(new, non_blocking=True)
            recording.replay()
            results.append(recording.output.clone())
        recording.release()
        return torch.cat(results)
