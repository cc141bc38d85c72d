"""A memory's parts and what they cost: everything about ByteBudgetBuffer that neither stores nor draws exemplars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from avalanche.training.storage_policy import ExemplarsBuffer
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.errors import UserError, nearest
from seit_cl.data.samples import Samples
from seit_cl.formats import ExemplarFormat, FormatContext
from seit_cl.memory.arena import Arena
from seit_cl.memory.byte_accounting import ByteAccounting
from seit_cl.memory.decoded_cache import DecodedCache, Transform
from seit_cl.memory.device_cache import DeviceCache, Exemplars
from seit_cl.memory.file import Head, TensorSpec, write_stores
from seit_cl.memory.selection import POLICIES
from seit_cl.results.renamed import stored_spec

CPU = torch.device("cpu")


class MeteredBuffer(ExemplarsBuffer):
    """Arena, policy and meter of a memory, and the numbers that runs report. See ByteBudgetBuffer for the arguments."""

    def __init__(
        self,
        budget_bytes: int,
        fmt: ExemplarFormat,
        context: FormatContext,
        policy: str = "class-balanced",
        seed: int = 0,
        exemplar_fields: Mapping[str, TensorSpec] | None = None,
        transform: Transform | None = None,
        device: torch.device = CPU,
    ) -> None:
        if budget_bytes <= 0:
            raise ValueError(
                f"a budget of {budget_bytes} bytes; a run without memory has no buffer"
            )
        if policy not in POLICIES:
            raise UserError(f"unknown selection policy {policy!r}; {nearest(policy, POLICIES)}")
        super().__init__(budget_bytes)
        self.fmt, self.context, self.policy, self.seed = fmt, context, policy, seed
        self.exemplar_fields = dict(exemplar_fields or {})
        self._arena = Arena(budget_bytes)
        for name, spec in self.exemplar_fields.items():
            self._arena.add_column(f"extra:{name}", spec.numpy, spec.shape)
        self._selection = POLICIES[policy](context.classes, seed, self._arena.remove)
        self._dataset: Any = None
        self._views = DecodedCache(self._arena, fmt, transform)
        self._resident = DeviceCache(device, self._read, self.__len__)
        self._meter = ByteAccounting(
            fmt, context.classes, self.exemplar_fields, self._head().header_bytes
        )
        self._meter.require(budget_bytes, None)

    def __len__(self) -> int:
        return len(self._arena)

    def _read(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,), on the CPU."""
        raise NotImplementedError

    @property
    def budget_bytes(self) -> int:
        """The most that the file may take."""
        return int(self.max_size)

    @property
    def used_bytes(self) -> int:
        """The size of the file that `save` writes."""
        return self._meter.fixed + self._selection.used

    @property
    def payload_bytes(self) -> int:
        """Bytes of the records alone."""
        return self._arena.live_bytes

    @property
    def working_bytes(self) -> int:
        """Memory held while in use (buffer, columns, decoded and transformed exemplars), on the learner's device or not;
        not counted against the budget."""
        return self._arena.working_bytes + self._resident.nbytes

    @property
    def bytes_per_exemplar(self) -> float:
        """used_bytes / N; 0 for an empty memory."""
        return self.used_bytes / len(self) if len(self) else 0.0

    @property
    def skipped(self) -> int:
        """Samples whose record alone exceeds the whole budget."""
        return self._selection.skipped

    @property
    def offered(self) -> int:
        """Samples offered so far."""
        return self._selection.offered

    @property
    def full(self) -> bool:
        """Whether a sample once did not fit: the budget has bound."""
        return self._selection.full

    @property
    def best_first(self) -> bool:
        """Whether samples are to be offered in the order of `seit_cl.memory.herding`."""
        return self._selection.best_first

    def bytes_by_kind(self) -> dict[str, int]:
        """Bytes of the file by what they are for; they sum to `used_bytes`."""
        return self._meter.by_kind(len(self), self.payload_bytes, self.used_bytes)

    def counts_per_class(self) -> Tensor:
        """Exemplars of each class (C,) int64."""
        labels = cast(NDArray[np.int64], self._arena.column("label"))
        return torch.from_numpy(np.bincount(labels, minlength=self.context.classes))

    @property
    def classes_covered(self) -> int:
        """Classes with at least one exemplar."""
        return int((self.counts_per_class() > 0).sum())

    def require_room(self, samples: Samples) -> None:
        """Check that the budget holds the header and the longest record of samples (B,).

        Raises:
            BudgetTooSmall: it does not; the message says how many bytes would do.
        """
        self._meter.require(self.budget_bytes, int(self.fmt.encode(samples).lengths.max()))

    @classmethod
    def smallest_budget(
        cls,
        samples: Samples,
        fmt: ExemplarFormat,
        context: FormatContext,
        policy: str = "class-balanced",
        exemplar_fields: Mapping[str, TensorSpec] | None = None,
    ) -> int:
        """Bytes that do for a memory of one exemplar, the longest of samples (B,); to be asked before one is built."""
        meter = cls(1 << 62, fmt, context, policy, exemplar_fields=exemplar_fields)._meter
        lengths = fmt.encode(samples).lengths
        return meter.fixed + meter.exemplar(int(lengths.max()))

    def _head(self) -> Head:
        """The file's head as the memory is now."""
        chosen = self._selection
        return Head(
            self.budget_bytes,
            self.seed,
            chosen.offered,
            chosen.skipped,
            len(self),
            chosen.full,
            self.context,
            stored_spec(self.fmt.spec),
            self.policy,
            write_stores(self.exemplar_fields),
            chosen.state(),
            self.fmt.side_info,
        )
