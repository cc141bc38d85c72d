"""The replay memory: as many exemplars as fit a budget of bytes, behind Avalanche's interface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from avalanche.training.plugins import ReplayPlugin
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from seit_cl.core.blocks import images_at_once, slices
from seit_cl.core.digests import digest
from seit_cl.core.errors import UserError, reading
from seit_cl.data.samples import Samples
from seit_cl.formats import ExemplarFormat, FormatContext, build_format
from seit_cl.formats.base import FittedFormat
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.memory.avalanche import AvalancheSide, ImageTokenizer, replay_plugin, some_of
from seit_cl.memory.byte_accounting import ByteAccounting
from seit_cl.memory.decoded_cache import Transform
from seit_cl.memory.device_cache import DeviceCache
from seit_cl.memory.exemplar_fields import TensorSpec, field_arrays, read_fields, write_fields
from seit_cl.memory.exemplars import Exemplars, draw_ids
from seit_cl.memory.file import FileHeader, read_body, write_body
from seit_cl.memory.intake import Intake, checked_labels, needs_fit
from seit_cl.memory.levelling import Levelling, levelled_format
from seit_cl.memory.makes_new import makes_new
from seit_cl.memory.selection import (
    PolicyContext,
    build_policy,
    canonical_policy,
    degrading_options,
)
from seit_cl.memory.store import ExemplarStore
from seit_cl.memory.stored import StoredMemory
from seit_cl.results.renamed import stored_spec

CPU = torch.device("cpu")
DECODED = 256  # exemplars decoded at a time at most
_BATCH = 256  # samples of an Avalanche experience offered at a time


class ByteBudgetBuffer(ExemplarsBuffer):
    """A replay memory whose file never exceeds `budget_bytes`.

    The id of an exemplar is its position in the file, 0..N-1. Ids are valid until the next offer or
    resize. The file has no reference to the dataset.

    Args:
        budget_bytes: the most bytes that the saved file may take.
        fmt: encodes and decodes exemplars.
        context: rebuilds the format together with its spec; its `classes` C bounds the labels.
        policy: spec of the selection policy (`seit_cl.memory.selection`).
        seed: of the policy's random words, 0..2**64-1.
        exemplar_fields: tensors stored with every exemplar, by name.
        transform: applied once to the decoded input of every exemplar, when it is first sampled,
            e.g. a tokenizer for pixels. Its results are working memory. It must map a batch sample
            by sample.
        device: of the batches, and of a decoded copy of the exemplars if it fits (DeviceCache).
        device_copy: False to make no such copy, and decode every batch.
        tokenizer: for Avalanche benchmarks of images, where the format stores tokens: their images
            are encoded with it, and exemplars decoded.
        max_exemplars: the most exemplars that are stored, even where more would fit, 0..2**32-1;
            0: as many as fit.

    Raises:
        UserError: a budget that is not positive, a negative limit, or an unknown policy.
        BudgetTooSmall: a budget below the header and one record.
    """

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
        device_copy: bool = True,
        tokenizer: ImageTokenizer | None = None,
        max_exemplars: int = 0,
    ) -> None:
        if budget_bytes <= 0:
            raise UserError(f"budget_bytes={budget_bytes}: must be positive; give bytes, not MB")
        if not 0 <= max_exemplars < 2**32:
            raise UserError(f"max_exemplars={max_exemplars}: must be 0 (no limit) or more")
        super().__init__(budget_bytes)
        self.fmt = fmt
        self.context = context
        self.policy = canonical_policy(policy)
        self.seed = seed
        self.exemplar_fields = dict(exemplar_fields or {})
        self.max_exemplars = max_exemplars
        degrading = degrading_options(policy)
        levelled = None
        if degrading.cuts:
            levelled = levelled_format(fmt, self.policy, degrading.min_levels)
        most_levels = 0 if levelled is None else levelled.levels
        self.selection = build_policy(
            policy, PolicyContext(context.classes, seed, max_exemplars, most_levels)
        )
        self.slots = self.selection.slots
        decoded_at_once = images_at_once(context.resolution, DECODED)
        self._store = ExemplarStore(
            self.slots, budget_bytes, fmt, self.exemplar_fields, transform, decoded_at_once
        )
        self.device = device
        self._device_cache = DeviceCache(
            device, self._store.read, self.__len__, device_copy, decoded_at_once
        )
        self._avalanche = AvalancheSide(context.resolution, tokenizer)
        self._accounting = ByteAccounting(
            fmt,
            context.classes,
            self.exemplar_fields,
            self._header().nbytes,
            cuts=degrading.cuts,
        )
        bytes_of = self._accounting.exemplar_bytes
        levelling = None
        if levelled is not None:
            levelling = Levelling(levelled, self._store, bytes_of, degrading.min_levels)
        self._intake = Intake(
            fmt, context.resolution, self.selection, self._store, bytes_of, levelling
        )
        self._accounting.require(budget_bytes)

    @classmethod
    def of(
        cls,
        spec: str,
        budget_bytes: int,
        *,
        classes: int,
        resolution: int,
        tokenizer: ImageTokenizer | None = None,
        **options: Any,
    ) -> ByteBudgetBuffer:
        """Make an empty memory of a format's spec.

        Args:
            spec: of the format, e.g. "jpeg:quality=75", "raw" or "tokens".
            budget_bytes: the most bytes that the saved file may take.
            classes: number of classes C; labels are 0..C-1.
            resolution: image side S in pixels.
            tokenizer: for formats of tokens, from `seit_cl.open_tokenizer`.
            options: policy, seed, exemplar_fields, transform, device and max_exemplars, as for
                the class.

        Raises:
            UserError: an unknown format or policy, a side that the tokenizer does not take, or a
                budget below the header and one record.
        """
        context = FormatContext.of(resolution, classes, tokenizer)
        fmt = build_format(spec, context)
        return cls(budget_bytes, fmt, context, tokenizer=tokenizer, **options)

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def budget_bytes(self) -> int:
        """The most bytes that the file may take."""
        return int(self.max_size)

    @property
    def used_bytes(self) -> int:
        """Bytes of the file that `save` writes."""
        return self._accounting.empty_bytes + self.slots.file_bytes

    @property
    def payload_bytes(self) -> int:
        """Bytes of all records."""
        return self.slots.record_bytes

    @property
    def bytes_per_exemplar(self) -> float:
        """used_bytes / N; 0 for an empty memory."""
        return self.used_bytes / len(self) if len(self) else 0.0

    @property
    def device_bytes(self) -> int:
        """Bytes of the decoded copy on the device; 0 without one."""
        return self._device_cache.nbytes

    @property
    def working_bytes(self) -> int:
        """Bytes of main and device memory in use; not counted against the budget."""
        return self._store.nbytes + self.device_bytes

    @property
    def skipped(self) -> int:
        """Samples whose record alone exceeded the budget."""
        return self.selection.skipped

    @property
    def full(self) -> bool:
        """True once a sample did not fit into the memory as it was, by bytes or by number."""
        return self._intake.full

    @property
    def classes_covered(self) -> int:
        """Classes with at least one exemplar."""
        return int((self.counts_per_class() > 0).sum())

    def counts_per_class(self) -> Tensor:
        """Count the exemplars of each class, (C,) int64."""
        labels = self.slots.column("label")
        return torch.from_numpy(np.bincount(labels, minlength=self.context.classes))

    def counts_by_levels(self) -> dict[int, int]:
        """Count the exemplars of 1, 2, ... levels; empty where exemplars are not cut."""
        return self._intake.counts_by_levels()

    def bytes_by_kind(self) -> dict[str, int]:
        """Split `used_bytes` by purpose: header, side_info, labels, lengths, extras, payload."""
        return self._accounting.by_kind(len(self), self.payload_bytes, self.used_bytes)

    def require_budget_for(self, samples: Samples) -> None:
        """Check that the budget holds the longest record of samples (B,).

        Raises:
            BudgetTooSmall: it does not; the message gives the smallest sufficient budget.
        """
        longest = int(self.fmt.encode(samples).lengths.max())
        self._accounting.require(self.budget_bytes, longest)

    def fit(self, samples: Samples, features: Callable[[Tensor], Tensor]) -> None:
        """Fit a data-dependent format to samples and budget, before the first offer.

        Args:
            samples: (B,) of several classes, like those to be offered.
            features: maps images (B, 3, S, S) uint8 to features (B, F) of unit length.

        Raises:
            BudgetTooSmall: the fitted format leaves no room for a record.
        """
        if not isinstance(self.fmt, FittedFormat) or not self.fmt.unfitted:
            return
        classes = self.context.classes
        self.fmt.fit(samples, features, lambda length: self.exemplars_that_fit(length) / classes)
        self._accounting.require(self.budget_bytes)

    def exemplars_that_fit(self, length: float) -> float:
        """Number of exemplars with records of a mean length in bytes that the memory can hold."""
        count = self._capacity() / self._accounting.exemplar_bytes(round(length))
        return min(count, self.max_exemplars) if self.max_exemplars else count

    def offer(self, samples: Samples, extras: Mapping[str, Tensor] | None = None) -> None:
        """Let the policy decide on each sample in order, and store those that it accepts.

        Args:
            samples: (B,), with labels 0..C-1.
            extras: values (B, *shape) of every exemplar field.

        Raises:
            ValueError: extras that differ from `exemplar_fields`, or a format that is not fitted
                yet.
            UserError: no Samples, a label outside 0..C-1, or samples that the format does not take.
            BudgetTooSmall: side_info that grew with the samples leaves no room for a record.
        """
        labels = checked_labels(samples, self.context.classes)
        fields = field_arrays(extras or {}, self.exemplar_fields, len(samples), complete=True)
        for part in slices(len(samples), self._intake.encoded_at_once):
            records = self._intake.encode(samples[part])
            self._accounting.require(self.budget_bytes)
            self._invalidate()
            self._intake.shrink(self._capacity())  # side_info may have grown
            values = {name: array[part] for name, array in fields.items()}
            self._intake.offer(records, labels[part], values, self._capacity())

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        """Draw exemplars uniformly, without replacement if n <= N; on the memory's device.

        Args:
            n: number of exemplars.
            generator: on the CPU, so that the draws are the same for every device.

        Raises:
            UserError: the memory is empty, or n is no whole number from 0 on.
        """
        return self._device_cache.take(draw_ids(len(self), n, generator))

    def select(self, n: int, generator: torch.Generator) -> tuple[Exemplars, Tensor | None]:
        """Draw exemplars as `sample` does, and leave gathering them to the caller.

        Returns:
            All exemplars and the rows (n,) of those drawn, on the device; or the drawn exemplars
            themselves and None, where the device holds no copy of all.

        Raises:
            UserError: the memory is empty, or n is no whole number from 0 on.
        """
        return self._device_cache.locate(draw_ids(len(self), n, generator))

    def by_class(self, label: int) -> Exemplars:
        """Return all exemplars of a class, by id."""
        return self.by_ids(torch.from_numpy(np.flatnonzero(self._store.labels() == label)))

    def by_ids(self, ids: Tensor) -> Exemplars:
        """Return the exemplars of ids (B,).

        Raises:
            IndexError: an id outside 0..N-1.
        """
        self._check_ids(ids)
        return self._device_cache.take(ids)

    def update_extras(self, ids: Tensor, extras: Mapping[str, Tensor]) -> None:
        """Replace some or all fields of ids (B,) with values (B, *shape).

        Raises:
            ValueError: extras that differ from `exemplar_fields`.
            IndexError: an id outside 0..N-1.
        """
        self._check_ids(ids)
        self._store.update(ids.cpu(), field_arrays(extras, self.exemplar_fields, len(ids)))
        self._device_cache.update(ids, extras)

    def resize(self, strategy: Any, new_size: int) -> None:
        """Set a new budget in bytes (Avalanche's hook); the policy removes what no longer fits.

        Raises:
            BudgetTooSmall: a budget below the header and one record.
        """
        longest = int(self.slots.column("length").max()) if len(self) else None
        self._accounting.require(new_size, longest)
        self.max_size = new_size
        self._store.arena.capacity = new_size
        self._invalidate()
        self._intake.shrink(self._capacity())

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """Offer the experience that a strategy has trained on (Avalanche's hook)."""
        self.post_adapt(strategy, strategy.experience)

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Offer the dataset of an experience (Avalanche's hook).

        Its inputs are stored as they are before Avalanche's transform groups: PIL images, images of
        uint8 or of floats from 0 to 1, or integer token grids.

        Raises:
            ValueError: the memory has exemplar fields, which an experience does not provide.
            UserError: inputs that the memory cannot store.
        """
        samples = self._avalanche.samples(exp.dataset)
        for start in range(0, len(samples), _BATCH):
            self.offer(samples[start : start + _BATCH])

    def replay_plugin(self, benchmark: Any = None, **options: Any) -> ReplayPlugin:
        """Make Avalanche's ReplayPlugin with this memory; its mem_size is the budget in bytes.

        What is stored is the item before the benchmark's transform groups, which are applied anew
        to an exemplar whenever it is replayed. Floats from 0 to 1 are stored as round(255 x).

        Args:
            benchmark: Avalanche's; some items of each of its experiences are checked, so that what
                the memory cannot store is refused before any training. None: the first experience
                shows it.
            options: of ReplayPlugin, such as batch_size_mem.

        Raises:
            UserError: items of the benchmark that the memory cannot store, or a budget below one of
                their records.
        """
        self._check_benchmark(benchmark)
        return ReplayPlugin(mem_size=self.budget_bytes, storage_policy=self, **options)

    def use_in(self, strategy: Any, benchmark: Any = None) -> None:
        """Put the memory into the ReplayPlugin of an Avalanche strategy, e.g. of its `Replay`.

        Args:
            strategy: has such a plugin; its own storage policy is replaced.
            benchmark: as of `replay_plugin`.

        Raises:
            UserError: a strategy without a ReplayPlugin, or items of the benchmark that the memory
                cannot store.
        """
        self._check_benchmark(benchmark)
        plugin = replay_plugin(strategy)
        plugin.storage_policy = self
        plugin.mem_size = self.budget_bytes

    def _check_benchmark(self, benchmark: Any) -> None:
        """Encode some items of every experience; None has none."""
        if benchmark is None:
            return
        of_experiences = some_of(
            benchmark, self.context.resolution, self._avalanche.tokenizer, self.context.classes
        )
        for samples in of_experiences:
            if needs_fit(self.fmt):
                samples.pixels()
            else:
                self.require_budget_for(samples)

    @property
    def buffer(self) -> Any:
        """The present exemplars as an AvalancheDataset, whose items are like the benchmark's.

        Before the first experience they are (input, target, task 0).
        """
        return self._avalanche.dataset(self._store)

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise TypeError("a memory with a budget in bytes is filled by offer, not by assignment")

    @property
    def transformed(self) -> Tensor:
        """(N,) bool by id: True for exemplars whose transformed input is in working memory."""
        return torch.from_numpy(self._store.decoded.is_transformed(self.slots.order()))

    def transform(self, ids: Tensor) -> None:
        """Decode and transform exemplars of ids (B,) that are not, before they are sampled."""
        self._check_ids(ids)
        self._store.read(ids)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file of `used_bytes` bytes, atomically.

        Raises:
            OSError: the folder cannot be written.
        """
        write_body(path, *self._body())

    def digest(self) -> str:
        """Digest of the file that `save` would write (`seit_cl.core.digests.digest`)."""
        return digest(*self._body())

    def _body(self) -> list[bytes | memoryview]:
        """Return the parts of the file's content after the checksum."""
        exemplars = self._store.for_file().parts(
            self.context.classes, self._accounting.fixed_length
        )
        return [self._header().to_bytes(), *exemplars]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what the file has, and what it leaves to the caller of `load`."""
        rest = (self._store.decoded.transform, self.device, self.context.entropy_model)
        return _unpickled, (b"".join(self._body()), *rest, self._avalanche)

    @makes_new
    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        transform: Transform | None = None,
        device: torch.device = CPU,
        entropy_model: Callable[[], EntropyModel] | None = None,
        tokenizer: ImageTokenizer | None = None,
    ) -> ByteBudgetBuffer:
        """Load a saved memory, which then makes the same decisions as the original would.

        Args:
            path: file that `save` wrote.
            transform: as for the class.
            device: as for the class.
            entropy_model: reads the entropy model of the tokenizer's codes, for records that need
                it (Tokenizer.entropy_model); None for the bundled model, if it was fitted to this
                tokenizer.
            tokenizer: as for the class; it has the entropy model too.

        Raises:
            UserError: no such file, not a memory, a damaged file, or one of another tokenizer.
        """
        return cls._from_body(
            read_body(path), str(path), transform, device, entropy_model, tokenizer
        )

    @classmethod
    def _from_body(
        cls,
        body: memoryview,
        path: str,
        transform: Transform | None,
        device: torch.device,
        entropy_model: Callable[[], EntropyModel] | None,
        tokenizer: ImageTokenizer | None,
    ) -> ByteBudgetBuffer:
        """Rebuild a memory from the body of its file.

        Args:
            body: everything after the checksum.
            path: names the file in messages.
            transform: as for the class.
            device: as for the class.
            entropy_model: as for `load`.
            tokenizer: as for `load`.

        Raises:
            UserError: a body that is inconsistent, or of another tokenizer.
        """
        with reading(path, "the memory file is inconsistent", "write it again"):
            stored = StoredMemory.of(body, path, entropy_model, tokenizer)
            header = stored.header
            memory = cls(
                header.budget,
                stored.fmt,
                stored.context,
                header.policy,
                header.seed,
                read_fields(header.fields),
                transform,
                device,
                tokenizer=tokenizer,
                max_exemplars=header.max_exemplars,
            )
            fixed_length = memory._accounting.fixed_length
            memory._intake.fill(stored.exemplars(memory.exemplar_fields, fixed_length))
            memory.selection.restore(header.offered, header.skipped, header.full, header.counters)
        return memory

    def _header(self) -> FileHeader:
        """Return the file's header for the present state."""
        return FileHeader(
            budget=self.budget_bytes,
            seed=self.seed,
            offered=self.selection.offered,
            skipped=self.skipped,
            count=len(self),
            full=self.selection.full,
            context=self.context,
            spec=stored_spec(self.fmt.spec),
            policy=self.policy,
            fields=write_fields(self.exemplar_fields),
            counters=self.selection.counters(),
            side_info=self.fmt.side_info,
            max_exemplars=self.max_exemplars,
            levels=degrading_options(self.policy).cuts,
        )

    def _capacity(self) -> int:
        """Bytes of the budget that exemplars may take."""
        return self.budget_bytes - self._accounting.empty_bytes

    def _invalidate(self) -> None:
        """Drop everything derived from the exemplars, because they are about to change."""
        self._avalanche.forget()
        self._device_cache.invalidate()

    def _check_ids(self, ids: Tensor) -> None:
        """Check that ids (B,) are of exemplars.

        Raises:
            IndexError: an id outside 0..N-1.
        """
        if len(ids) == 0:
            return
        low, high = (int(bound) for bound in torch.aminmax(ids))
        if low < 0 or high >= len(self):
            raise IndexError(f"ids {low}..{high} of {len(self)} exemplars")


def _unpickled(
    body: bytes,
    transform: Transform | None,
    device: torch.device,
    entropy_model: Callable[[], EntropyModel] | None,
    avalanche: AvalancheSide,
) -> ByteBudgetBuffer:
    """Rebuild a pickled memory (`ByteBudgetBuffer.__reduce__`)."""
    view = memoryview(body)
    tokenizer = avalanche.tokenizer
    memory = ByteBudgetBuffer._from_body(
        view, "pickled memory", transform, device, entropy_model, tokenizer
    )
    memory._avalanche = avalanche
    return memory
