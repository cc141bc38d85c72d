"""The replay memory: as many exemplars as fit a budget of bytes, behind Avalanche's own ExemplarsBuffer."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import build_format
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat
from seit_cl.formats.entropy.model import EntropyModel
from seit_cl.memory import file
from seit_cl.memory.avalanche import DatasetSource, exemplar_dataset
from seit_cl.memory.decoded_cache import Transform
from seit_cl.memory.device_cache import Exemplars
from seit_cl.memory.file import Head
from seit_cl.memory.metered import CPU, MeteredBuffer

_BATCH = 256  # samples of an Avalanche experience offered at once


class ByteBudgetBuffer(MeteredBuffer):
    """A replay memory whose file never exceeds `budget_bytes`.

    An exemplar's id is its slot number: its place in the file, 0..N-1. Ids are valid until the next offer or resize;
    the file keeps no index into the dataset.

    Args:
        budget_bytes: the most that the saved file may take.
        fmt: encodes and decodes exemplars.
        context: what rebuilds the format; its `classes` C bounds the labels.
        policy: a key of POLICIES.
        seed: of the selection's random words, 0..2**64-1.
        exemplar_fields: extras kept with every exemplar.
        transform: applied once to every decoded exemplar, e.g. tokenizing pixels; its result is working memory, made
            when an exemplar is first sampled. It must map a batch sample by sample to CPU-representable numbers.
        device: where batches are made, and exemplars kept decoded where there is room (see Resident).

    Raises:
        ValueError: no positive budget.
        UserError: no such policy.
        BudgetTooSmall: the header and one record exceed the budget.
    """

    def fit(self, samples: Samples, features: Callable[[Tensor], Tensor]) -> None:
        """Let the format choose what it has to choose for this budget, before the first offer.

        Args:
            samples: (B,) of several classes, like those to be offered.
            features: of images (B, 3, S, S) uint8, (B, F), each of unit length.

        Raises:
            BudgetTooSmall: what it chose leaves no room for a record.
        """
        if isinstance(self.fmt, FittedFormat) and self.fmt.unfitted:
            room = self.budget_bytes - self._meter.fixed
            self.fmt.fit(
                samples,
                features,
                lambda length: room / self._meter.exemplar(round(length)) / self.context.classes,
            )
            self._meter.require(self.budget_bytes, None)

    def offer(self, samples: Samples, extras: Mapping[str, Tensor] | None = None) -> None:
        """Let the policy decide on samples (B,), in order, and store those accepted.

        Args:
            samples: with labels 0..C-1.
            extras: for each of `exemplar_fields`, values (B, *shape).

        Raises:
            ValueError: a label outside 0..C-1, extras that differ from `exemplar_fields`, or a format that waits for `fit`.
            BudgetTooSmall: what the format fitted to the samples leaves no room for a record.
        """
        labels = samples.labels.tolist()
        if labels and not 0 <= min(labels) <= max(labels) < self.context.classes:
            raise ValueError(
                f"labels {min(labels)}..{max(labels)} of {self.context.classes} classes"
            )
        columns = self._extra_columns(extras or {}, len(samples))
        if not labels:
            return
        if isinstance(self.fmt, FittedFormat) and self.fmt.unfitted:
            raise ValueError(f"{self.fmt.spec} has to be fitted before the first offer")
        records = self.fmt.encode(samples)
        data, lengths = records.data.cpu().numpy(), records.lengths.tolist()
        if self.fmt.fixed_length is not None and set(lengths) != {self.fmt.fixed_length}:
            raise ValueError(
                f"{self.fmt.spec}: records differ from the fixed length {self.fmt.fixed_length}"
            )
        self._meter.require(self.budget_bytes, None)
        self._changed()
        room = self.budget_bytes - self._meter.fixed
        self._selection.shrink(room)
        self._selection.begin(len(labels))
        for i, (label, start, length) in enumerate(
            zip(labels, records.offsets.tolist(), lengths, strict=True)
        ):
            cost = self._meter.exemplar(length)
            if self._selection.admit(label, cost, room):
                row = {name: column[i] for name, column in columns.items()}
                self._selection.add(
                    self._arena.append(data[start : start + length], label, row), label, cost
                )

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        """Exemplars drawn uniformly: without replacement where n <= N, else with replacement; on the memory's device.

        Args:
            n: how many.
            generator: on the CPU, so that the draw is the same on every device.

        Raises:
            ValueError: the memory is empty.
        """
        return self._resident.take(self._draw(n, generator))

    def _draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Ids (n,) of `sample`, on the CPU."""
        count = len(self)
        if count == 0 and n > 0:
            raise ValueError("the memory is empty")
        if n > count:
            return torch.randint(count, (n,), generator=generator)
        if 4 * n > count:
            return torch.randperm(count, generator=generator)[:n]
        chosen: dict[
            int, None
        ] = {}  # distinct draws in order of appearance: uniform without replacement, O(n)
        while len(chosen) < n:
            chosen.update(
                dict.fromkeys(
                    torch.randint(count, (n - len(chosen),), generator=generator).tolist()
                )
            )
        return torch.tensor(list(chosen), dtype=torch.int64)

    def by_class(self, label: int) -> Exemplars:
        """All exemplars of a class, by id."""
        labels = self._arena.column("label")[self._selection.order()]
        return self.by_ids(torch.from_numpy(np.flatnonzero(labels == label)))

    def by_ids(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,).

        Raises:
            IndexError: an id outside 0..N-1.
        """
        self._check(ids)
        return self._resident.take(ids)

    def _read(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,) out of the arena, on the CPU."""
        slots = self._slots(ids)
        labels = torch.from_numpy(self._arena.column("label")[slots])
        extras = {
            name: torch.from_numpy(self._arena.column(f"extra:{name}")[slots])
            for name in self.exemplar_fields
        }
        return Exemplars(self._views.inputs(slots), labels, ids, extras)

    def update_extras(self, ids: Tensor, extras: Mapping[str, Tensor]) -> None:
        """Replace stored extras of ids (B,) by values (B, *shape), for all of `exemplar_fields` or some.

        Raises:
            ValueError: extras that differ from `exemplar_fields`.
            IndexError: an id outside 0..N-1.
        """
        self._check(ids)
        slots = self._slots(ids.cpu())
        for name, values in self._extra_columns(extras, len(ids), some=True).items():
            self._arena.column(name)[slots] = values
        self._resident.update(ids, extras)

    def resize(self, strategy: Any, new_size: int) -> None:
        """Avalanche's hook: a new budget in bytes; exemplars leave by the policy where it is smaller.

        Raises:
            BudgetTooSmall: below the header and one record.
        """
        longest = int(self._arena.column("length").max()) if len(self) else None
        self._meter.require(new_size, longest)
        self.max_size, self._arena.capacity = new_size, new_size
        self._changed()
        self._selection.shrink(new_size - self._meter.fixed)

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Avalanche's hook after an experience: offer its dataset, whose inputs are what the format encodes.

        Raises:
            ValueError: the memory stores extras, which an experience has not.
        """
        source = DatasetSource(exp.dataset)
        for ids in torch.arange(len(source)).split(_BATCH):
            self.offer(Samples(ids, source.labels(ids), source))

    @property
    def buffer(self) -> Any:
        """The exemplars as they are now, as an AvalancheDataset of (input, target, task 0)."""
        if self._dataset is None:
            slots = self._selection.order()
            if self._views.transform is not None:
                inputs = self._views.inputs(slots)
                self._dataset = exemplar_dataset(inputs.__getitem__, self._labels(slots))
            else:
                lengths = torch.from_numpy(self._arena.column("length")[slots])
                data = torch.frombuffer(
                    bytearray(self._arena.gather(slots) or b"\0"), dtype=torch.uint8
                )
                starts, decode = lengths.cumsum(0) - lengths, self.fmt.decode
                self._dataset = exemplar_dataset(
                    lambda i: decode(Records(data, starts[i : i + 1], lengths[i : i + 1]))[0],
                    self._labels(slots),
                )
        return self._dataset

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise TypeError("a memory metered in bytes is filled by offer, not by assignment")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file (under a temporary name, then renamed); its size is `used_bytes`."""
        slots = self._selection.order()
        columns = self._arena.column
        labels, lengths = (
            cast(NDArray[np.int64], columns(name)[slots]) for name in ("label", "length")
        )
        extras = {name: columns(f"extra:{name}")[slots] for name in self.exemplar_fields}
        parts = file.Parts(
            labels, lengths, extras, np.frombuffer(self._arena.gather(slots), np.uint8)
        )
        fixed = self.fmt.fixed_length is not None
        body = self._head().to_bytes() + file.write_exemplars(parts, self.context.classes, fixed)
        file.write_file(path, body)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        transform: Transform | None = None,
        device: torch.device = CPU,
        entropy_model: Callable[[], EntropyModel] | None = None,
    ) -> ByteBudgetBuffer:
        """The memory of a file: the same exemplars, and from here on the same decisions.

        Args:
            path: of the file.
            transform, device: as for ByteBudgetBuffer; the file does not have them.
            entropy_model: reads the entropy model of the tokenizer's codes (Tokenizer.entropy_model), for records that
                need it. None: the bundled model, where it was fitted to this tokenizer.

        Raises:
            UserError: no such file, no memory, or a damaged one.
        """
        body = file.read_file(path)
        try:
            head, rest = file.read_head(body)
            context = replace(head.context, entropy_model=entropy_model)
            fmt = build_format(head.spec, context)
            if fmt.side_info != head.side_info:
                fmt.side_info = head.side_info
            exemplar_fields = file.read_stores(head.exemplar_fields)
            memory = cls(
                head.budget,
                fmt,
                context,
                head.policy,
                head.seed,
                exemplar_fields,
                transform,
                device,
            )
            memory._fill(head, np.frombuffer(rest, np.uint8))
        except (ValueError, IndexError, struct.error) as error:
            raise UserError(
                f"{path}: the memory file makes no sense ({error}); write it again"
            ) from None
        return memory

    def _fill(self, head: Head, data: NDArray[np.uint8]) -> None:
        """Take over a file's exemplars and the policy's state.

        Raises:
            ValueError: the data is of another size than the head says.
        """
        parts = file.read_exemplars(
            data, head.count, self.context.classes, self.exemplar_fields, self.fmt.fixed_length
        )
        ends = np.cumsum(parts.lengths).tolist()
        labels, lengths = parts.labels.tolist(), parts.lengths.tolist()
        for i, (end, length, label) in enumerate(zip(ends, lengths, labels, strict=True)):
            row = {f"extra:{name}": column[i] for name, column in parts.extras.items()}
            self._arena.append(parts.payload[end - length : end], label, row)
        chosen = self._selection
        chosen.restore(head.counters, labels, [self._meter.exemplar(n) for n in lengths])
        chosen.offered, chosen.skipped, chosen.full = head.offered, head.skipped, head.full

    def _labels(self, slots: NDArray[np.int64]) -> list[int]:
        """Labels of slots (B,)."""
        labels: list[int] = self._arena.column("label")[slots].tolist()
        return labels

    def _changed(self) -> None:
        """Exemplars come or go: what was made of them is made anew."""
        self._dataset = None
        self._resident.changed()

    def _check(self, ids: Tensor) -> None:
        """See that ids (B,) name exemplars.

        Raises:
            IndexError: an id outside 0..N-1.
        """
        if len(ids):
            low, high = (int(end) for end in torch.aminmax(ids))
            if low < 0 or high >= len(self):
                raise IndexError(f"ids {low}..{high} of {len(self)} exemplars")

    def _slots(self, ids: Tensor) -> NDArray[np.int64]:
        """Where the exemplars of ids (B,), on the CPU, lie in the arena."""
        places = ids.numpy()
        return (
            self._selection.slots(places)
            if 8 * len(places) < len(self)
            else self._selection.order()[places]
        )

    def _extra_columns(
        self, extras: Mapping[str, Tensor], count: int, some: bool = False
    ) -> dict[str, NDArray[np.generic]]:
        """Extras as arena columns.

        Raises:
            ValueError: names or shapes differ from `exemplar_fields`.
        """
        if set(extras) - set(self.exemplar_fields) or (
            set(extras) != set(self.exemplar_fields) and not some
        ):
            raise ValueError(
                f"extras {sorted(extras)} where the memory stores {sorted(self.exemplar_fields)}"
            )
        columns: dict[str, NDArray[np.generic]] = {}
        for name, values in extras.items():
            spec = self.exemplar_fields[name]
            if tuple(values.shape) != (count, *spec.shape):
                raise ValueError(
                    f"extra {name!r} of shape {tuple(values.shape)}, not {(count, *spec.shape)}"
                )
            columns[f"extra:{name}"] = values.detach().cpu().numpy().astype(spec.numpy)
        return columns
