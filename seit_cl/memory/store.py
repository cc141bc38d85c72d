"""The exemplar store: records, labels, fields and inputs of the exemplars in working memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seit_cl.formats import ExemplarFormat
from seit_cl.formats._records import Records
from seit_cl.memory.arena import Arena
from seit_cl.memory.decoded_cache import BATCH, DecodedCache, Transform
from seit_cl.memory.exemplar_fields import TensorSpec
from seit_cl.memory.exemplars import Exemplars
from seit_cl.memory.file import FileExemplars
from seit_cl.memory.slots import SlotTable


class ExemplarStore:
    """The exemplars by id, which is their position in the canonical order of the slot table.

    Args:
        slots: an empty table.
        capacity: the most bytes of records.
        fmt: decodes records.
        fields: fields of every exemplar.
        transform: applied once to each exemplar's decoded input, or None.
        batch: exemplars that are decoded and transformed at a time.
    """

    def __init__(
        self,
        slots: SlotTable,
        capacity: int,
        fmt: ExemplarFormat,
        fields: Mapping[str, TensorSpec],
        transform: Transform | None,
        batch: int = BATCH,
    ) -> None:
        self.slots = slots
        self.arena = Arena(capacity, slots)
        self.decoded = DecodedCache(self.arena, fmt, transform, batch)
        self._columns = {name: f"field:{name}" for name in fields}
        for name, column in self._columns.items():
            slots.add_column(column, fields[name].numpy, fields[name].shape)

    @property
    def nbytes(self) -> int:
        """Bytes of main memory that the store occupies."""
        return self.arena.nbytes + self.slots.nbytes

    def append(
        self,
        record: NDArray[np.uint8],
        label: int,
        cost: int,
        fields: Mapping[str, NDArray[np.generic]],
    ) -> int:
        """Store an exemplar, and return its slot.

        Args:
            record: (L,) uint8.
            label: its class.
            cost: bytes of the exemplar in the file.
            fields: value (*shape) of every field.

        Raises:
            ValueError: the records would exceed the capacity.
        """
        slot = self.arena.append(record, label, cost)
        for name, value in fields.items():
            self.slots.set(slot, self._columns[name], value)
        return slot

    def fill(self, exemplars: FileExemplars, cost: Callable[[int], int]) -> None:
        """Store the exemplars of a file.

        Args:
            exemplars: those of the file.
            cost: maps the length of a record to the bytes of its exemplar in the file.

        Raises:
            ValueError: the records exceed the capacity.
        """
        for record, label, fields in exemplars.each():
            self.append(record, label, cost(len(record)), fields)

    def read(self, ids: Tensor) -> Exemplars:
        """Return the exemplars of ids (B,), on the CPU."""
        slots = self.slots.at(ids.numpy())
        extras = {}
        for name, column in self._columns.items():
            extras[name] = torch.from_numpy(self.slots.column(column)[slots])
        labels = torch.from_numpy(self.slots.column("label")[slots])
        return Exemplars(self.decoded.inputs(slots), labels, ids, extras)

    def update(self, ids: Tensor, fields: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace fields of ids (B,), on the CPU, with values (B, *shape)."""
        slots = self.slots.at(ids.numpy())
        for name, values in fields.items():
            self.slots.column(self._columns[name])[slots] = values

    def labels(self) -> NDArray[np.int64]:
        """Return the labels (N,) of all exemplars, by id."""
        labels: NDArray[np.int64] = self.slots.column("label")[self.slots.order()]
        return labels

    def records(self) -> Records:
        """Return a copy of all records, by id."""
        slots = self.slots.order()
        lengths = torch.from_numpy(self.slots.column("length")[slots])
        return Records(
            torch.from_numpy(self.arena.gather(slots)), lengths.cumsum(0) - lengths, lengths
        )

    def for_file(self) -> FileExemplars:
        """Return all exemplars as the file stores them."""
        slots = self.slots.order()
        fields = {}
        for name, column in self._columns.items():
            fields[name] = self.slots.column(column)[slots]
        payload = self.arena.gather(slots)
        lengths = self.slots.column("length")[slots]
        return FileExemplars(self.slots.column("label")[slots], lengths, fields, payload)
