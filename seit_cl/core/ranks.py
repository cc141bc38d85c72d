"""One run in several processes: their number, and the exchange between them.

torchrun starts the processes, the ranks of a run. All of them do the same work in the same order,
with the same random numbers, except for what `Ranks` divides among them: rows of a batch. Whoever
asks gets the whole batch's results back, the same bits in every rank, so that nothing that is
computed from them depends on the number of ranks, up to rounding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seit_cl.core import torchrun
from seit_cl.core.devices import share_machine
from seit_cl.core.errors import UserError, one_line

T = TypeVar("T")
TIMEOUT = "SEIT_CL_RANK_TIMEOUT"  # environment variable, in seconds
DEFAULT_TIMEOUT = 1800.0  # seconds without an answer after which a rank gives the others up
_FOREVER = timedelta(days=365)  # while the first rank prepares data
RESUMES = "the same command resumes the run"


class Ranks:
    """The processes of a run, of which this is one.

    Args:
        rank: its number, from 0.
        count: number of processes.
        patient: group for waits of any length; None for a single process.
    """

    def __init__(self, rank: int = 0, count: int = 1, patient: Any = None) -> None:
        self.rank = rank
        self.count = count
        self._patient = patient
        self._alone = 0  # depth of `alone` blocks

    def __deepcopy__(self, memo: object) -> Ranks:
        return self

    @property
    def is_first(self) -> bool:
        """True in the process that writes files, prints and holds locks."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """True if work is divided: there are several processes, outside of `alone`."""
        return self.count > 1 and not self._alone

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Do all work of the block in this process, whatever the others do."""
        self._alone += 1
        try:
            yield
        finally:
            self._alone -= 1

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """Run the block in the first rank, and in the others when it has ended there.

        The others find what it has left in a cache.
        """
        if self.several and not self.is_first:
            self._wait()
        yield
        if self.several and self.is_first:
            self._wait()

    def _wait(self) -> None:
        with self._exchange():
            dist.barrier(group=self._patient)

    def of_first(self, value: T) -> T:
        """The first rank's value in every rank.

        Args:
            value: numbers, texts, truth values, or lists of them.
        """
        if not self.several:
            return value
        encoded = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        with self._exchange():
            length = torch.tensor(len(encoded))
            dist.broadcast(length, src=0)
            if not self.is_first:
                encoded = torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(encoded, src=0)
        decoded: T = json.loads(bytes(encoded.numpy()))
        return decoded

    def require_equal(self, digests: Mapping[str, str], moment: str) -> None:
        """Compare digests of all ranks' states.

        Args:
            digests: hexadecimal digests of at most 60 bits, by what they are of; the same names in
                every rank.
            moment: when they were made, for the message.

        Raises:
            UserError: in every rank, where one differs from the first rank.
        """
        if not self.several:
            return
        own = torch.tensor([int(digest[:15], 16) for digest in digests.values()])
        everyone = self._gathered(own[None])
        for column, name in enumerate(digests):
            differs = (everyone[:, column] != everyone[0, column]).nonzero()[:, 0].tolist()
            if differs:
                raise UserError(
                    f"{name} of rank {differs[0]} is another than that of rank 0 {moment}; start "
                    "all ranks on the same files, software and kind of processor; "
                    f"{RESUMES} from its last commit"
                )

    # ------------------------------------------------------------------ rows of a batch
    def own_rows(self, values: Tensor) -> Tensor:
        """This rank's rows of a batch (n, ...): ceil(n / count) of them, in order of the ranks.

        Where the rows do not go round, the last ranks have the last row, whose results are left
        out when they are put together.
        """
        total = len(values)
        each = -(-total // self.count)
        start = self.rank * each
        rows = values[start : start + each]
        if len(rows) == each:
            return rows
        missing = each - len(rows)
        return torch.cat([rows, values[-1:].expand(missing, *values.shape[1:])])

    def whole(self, own: Tensor, total: int) -> Tensor:
        """Put the results (m, ...) of every rank's own rows together to those of a batch (n, ...).

        Gradients go back to the own rows, multiplied by the number of ranks: every rank computes
        the loss of the whole batch, and `average_gradients` divides by it. A loss may thus use
        weights directly as well, whose gradients are the same in every rank.

        Args:
            own: of `own_rows` of the batch.
            total: n.
        """
        whole: Tensor = _Whole.apply(own, total, self)
        return whole

    def in_parts(self, work: Callable[..., Tensor], batch: Tensor, *others: Tensor) -> Tensor:
        """Apply a function to a batch (n, ...), each rank to its own rows, without gradients.

        Args:
            work: from rows (m, ...) of all tensors to results (m, ...), row by row.
            batch: (n, ...).
            others: further tensors (n, ...).
        """
        if not self.several or len(batch) == 0:
            return work(batch, *others)
        own = work(*(self.own_rows(values) for values in (batch, *others)))
        return self._gathered(own)[: len(batch)]

    def average_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the ranks, in one exchange."""
        if not self.several:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        with self._exchange():
            dist.all_reduce(flat)
        flat /= self.count
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def _gathered(self, own: Tensor) -> Tensor:
        """Concatenate the tensors (m, ...) of all ranks, (count * m, ...)."""
        whole = own.new_empty(self.count * len(own), *own.shape[1:])
        with self._exchange():
            dist.all_gather_into_tensor(whole, own.contiguous())
        return whole

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Turn the failure of an exchange into one line.

        Raises:
            UserError: another rank has ended or does not answer.
        """
        try:
            yield
        except RuntimeError as error:
            reason = one_line(error)
            raise UserError(
                f"torchrun: rank {self.rank} of {self.count} has lost another one, which ended or "
                f"gave no answer in time ({reason}); {RESUMES}"
            ) from error


class _Whole(torch.autograd.Function):
    """The results of all ranks' own rows, put together (`Ranks.whole`)."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, total: int, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks._gathered(own)[:total]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        ranks: Ranks = ctx.ranks
        gradient = gradients[0]
        each = -(-len(gradient) // ranks.count)
        start = ranks.rank * each
        own = gradient.new_zeros(each, *gradient.shape[1:])
        rows = gradient[start : start + each]
        own[: len(rows)] = rows * ranks.count
        return own, None, None


def join(device: torch.device) -> Ranks:
    """Join the other processes that torchrun has started, each with a GPU of its own.

    Args:
        device: of the run. The GPU is that of the process's number on its machine.

    Returns:
        The ranks of the run; a single one without torchrun.

    Raises:
        UserError: more processes than GPUs, or other processes that cannot be reached.
    """
    count = torchrun.count()
    if count == 1:
        return Ranks()
    on_gpu = device.type == "cuda"
    if on_gpu:
        if torchrun.local_rank() >= torch.cuda.device_count():
            raise UserError(
                f"torchrun --nproc-per-node {torchrun.local_count()}: this machine has "
                f"{torch.cuda.device_count()} GPUs, and each process needs one; start fewer, or "
                "use --device cpu"
            )
        torch.cuda.set_device(torchrun.local_rank())
    share_machine(torchrun.local_count(), own_gpu=on_gpu)
    ranks = Ranks(torchrun.rank(), count)
    with ranks._exchange():
        backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
        dist.init_process_group(backend, timeout=_timeout())
        ranks._patient = dist.new_group(backend="gloo", timeout=_FOREVER)
    return ranks


def leave(ranks: Ranks) -> None:
    """Part from the other processes, when all of them have ended their work."""
    if ranks.count > 1:
        ranks._wait()
        dist.destroy_process_group()


def _timeout() -> timedelta:
    """Time without an answer after which a rank gives up.

    Raises:
        UserError: SEIT_CL_RANK_TIMEOUT is no positive number.
    """
    text = os.environ.get(TIMEOUT, str(DEFAULT_TIMEOUT))
    try:
        return timedelta(seconds=_positive(text))
    except (ValueError, OverflowError):
        raise UserError(f"{TIMEOUT}={text}: give a number of seconds above 0") from None


def _positive(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0.001:
        raise ValueError(text)
    return seconds
