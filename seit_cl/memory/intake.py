"""Intake of a memory: samples are encoded, the policy decides on each, and what it accepts fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seit_cl.core.blocks import FILES_AT_ONCE, images_at_once
from seit_cl.core.errors import UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import ExemplarFormat
from seit_cl.formats._records import Records
from seit_cl.formats.base import FittedFormat
from seit_cl.memory.file import FileExemplars
from seit_cl.memory.levelling import Levelling
from seit_cl.memory.selection import SelectionPolicy
from seit_cl.memory.store import ExemplarStore


def needs_fit(fmt: ExemplarFormat) -> bool:
    """True for a format that has to be fitted to data before it encodes."""
    return isinstance(fmt, FittedFormat) and fmt.unfitted


def checked_labels(samples: Samples, classes: int) -> list[int]:
    """Labels of samples (B,), all of them below the number of classes C.

    Raises:
        UserError: no Samples, or a label outside 0..C-1.
    """
    if not isinstance(samples, Samples):
        raise UserError(
            f"offer takes Samples, not {type(samples).__name__}: "
            "memory.offer(Samples.of_images(images, labels)), or Samples.of_tokens"
        )
    labels: list[int] = samples.labels.tolist()
    if labels and not 0 <= min(labels) <= max(labels) < classes:
        raise UserError(
            f"labels {min(labels)}..{max(labels)} in a memory of {classes} classes, "
            f"0..{classes - 1}; number the classes from 0, or make the memory with more classes"
        )
    return labels


class Intake:
    """Encode, choose and store the samples that a memory is offered.

    Exemplars are stored whole, or, where there is a levelling, with as many levels as fit.

    Args:
        fmt: encodes samples.
        side: image side S in pixels.
        selection: the policy, which removes exemplars too.
        store: takes the accepted ones.
        exemplar_bytes: from the length of a record to the bytes of its exemplar in the file.
        levelling: cuts exemplars; None: they are whole.
    """

    def __init__(
        self,
        fmt: ExemplarFormat,
        side: int,
        selection: SelectionPolicy,
        store: ExemplarStore,
        exemplar_bytes: Callable[[int], int],
        levelling: Levelling | None,
    ) -> None:
        self.fmt = fmt
        self.side = side
        self.selection = selection
        self.store = store
        self.exemplar_bytes = exemplar_bytes
        self.levelling = levelling

    @property
    def encoded_at_once(self) -> int:
        """Samples whose records are in memory at once, beside the exemplars'."""
        if getattr(self.fmt, "stores_files", False):
            return FILES_AT_ONCE
        return images_at_once(self.side)

    @property
    def full(self) -> bool:
        """True once a sample did not fit as the memory was, or an exemplar was cut for one."""
        return self.selection.full or (self.levelling is not None and self.levelling.has_cut)

    def counts_by_levels(self) -> dict[int, int]:
        """Count the exemplars of 1, 2, ... levels; empty where exemplars are not cut."""
        return {} if self.levelling is None else self.levelling.counts()

    def encode(self, samples: Samples) -> Records:
        """Encode samples (B,), at least one.

        Raises:
            ValueError: a format that is not fitted yet, or records of other than the fixed length.
        """
        if needs_fit(self.fmt):
            raise ValueError(f"{self.fmt.spec} has to be fitted before the first offer")
        records = self.fmt.encode(samples)
        fixed_length = self.fmt.fixed_length
        if fixed_length is not None and set(records.lengths.tolist()) != {fixed_length}:
            raise ValueError(
                f"{self.fmt.spec}: records differ from the fixed length {fixed_length}"
            )
        return records

    def offer(
        self,
        records: Records,
        labels: Sequence[int],
        fields: Mapping[str, NDArray[np.generic]],
        capacity: int,
    ) -> None:
        """Let the policy decide on each record in order, and store those that it accepts.

        Args:
            records: of B samples.
            labels: (B,) of their classes.
            fields: values (B, *shape) of every field.
            capacity: bytes that all exemplars together may take.
        """
        data = records.data.cpu().numpy()
        self.selection.begin(len(labels))
        rows = zip(labels, records.offsets.tolist(), records.lengths.tolist(), strict=True)
        for index, (label, start, length) in enumerate(rows):
            record = data[start : start + length]
            cost = self._cost(record)
            if self.selection.admit(label, cost, capacity):
                values = {name: array[index] for name, array in fields.items()}
                self._append(record, label, cost, values, capacity)

    def shrink(self, capacity: int) -> None:
        """Remove and cut exemplars until the others take at most `capacity` bytes."""
        self.selection.shrink(capacity)
        if self.levelling is not None:
            self.levelling.shrink(capacity)

    def fill(self, exemplars: FileExemplars) -> None:
        """Store the exemplars of a file, without the policy.

        Raises:
            ValueError: the records exceed the capacity, or are none of the format.
        """
        if self.levelling is None:
            self.store.fill(exemplars, self.exemplar_bytes)
        else:
            self.levelling.fill(exemplars)

    def _cost(self, record: NDArray[np.uint8]) -> int:
        """Bytes of the exemplar of a record (n,) in the file, as policies compare them."""
        if self.levelling is None:
            return self.exemplar_bytes(len(record))
        return self.levelling.cost(record)

    def _append(
        self,
        record: NDArray[np.uint8],
        label: int,
        cost: int,
        fields: Mapping[str, NDArray[np.generic]],
        capacity: int,
    ) -> None:
        """Store an exemplar that the policy has accepted."""
        if self.levelling is None:
            self.store.append(record, label, cost, fields)
        else:
            self.levelling.append(record, label, cost, fields, capacity)
