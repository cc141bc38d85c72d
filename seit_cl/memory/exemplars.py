"""A batch of exemplars, as the memory returns them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from seit_cl.core.devices import to_device
from seit_cl.core.errors import UserError


@dataclass(frozen=True)
class Exemplars:
    """A batch of decoded exemplars, on one device.

    Args:
        inputs: (B, 3, S, S) uint8 or (B, G, H, W) int16, or the memory's transform of these.
        labels: (B,) int64.
        ids: (B,) int64, positions in the memory's file; valid until the next offer or resize.
        extras: values (B, *shape) of the exemplar fields.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    extras: dict[str, Tensor]

    def __getitem__(self, rows: Tensor) -> Exemplars:
        extras = {name: values[rows] for name, values in self.extras.items()}
        return Exemplars(self.inputs[rows], self.labels[rows], self.ids[rows], extras)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        fields = sum(values.nbytes for values in self.extras.values())
        return self.inputs.nbytes + self.labels.nbytes + self.ids.nbytes + fields

    def to(self, device: torch.device) -> Exemplars:
        """Copy the batch to a device without blocking."""
        extras = {name: to_device(values, device) for name, values in self.extras.items()}
        return Exemplars(
            to_device(self.inputs, device),
            to_device(self.labels, device),
            to_device(self.ids, device),
            extras,
        )

    def room_for(self, count: int, device: torch.device) -> Exemplars:
        """Exemplars (count,) of the same shapes and types on a device, to be filled."""
        extras = {name: _room(values, count, device) for name, values in self.extras.items()}
        return Exemplars(
            _room(self.inputs, count, device),
            _room(self.labels, count, device),
            _room(self.ids, count, device),
            extras,
        )

    def fill(self, rows: slice, batch: Exemplars) -> None:
        """Copy a batch into some rows, without blocking."""
        self.inputs[rows].copy_(batch.inputs, non_blocking=True)
        self.labels[rows].copy_(batch.labels, non_blocking=True)
        self.ids[rows].copy_(batch.ids, non_blocking=True)
        for name, values in batch.extras.items():
            self.extras[name][rows].copy_(values, non_blocking=True)


def _room(values: Tensor, count: int, device: torch.device) -> Tensor:
    """An uninitialised tensor (count, *shape) for values (B, *shape)."""
    return torch.empty((count, *values.shape[1:]), dtype=values.dtype, device=device)


def draw_ids(count: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw n of the ids 0..count-1 uniformly, without replacement if n <= count.

    Args:
        count: number of ids.
        n: number of draws.
        generator: on the CPU, so that the draws are the same for every device.

    Returns:
        Ids (n,) int64, on the CPU.

    Raises:
        UserError: there are no ids to draw from, or n is no whole number from 0 on.
    """
    if not isinstance(n, Integral) or n < 0:
        raise UserError(f"{n} exemplars: give a whole number, 0 or more")
    if count == 0 and n > 0:
        raise UserError("the memory is empty; offer it samples first")
    if n > count:
        return torch.randint(count, (n,), generator=generator)
    if 4 * n > count:
        return torch.randperm(count, generator=generator)[:n]
    # Distinct draws in the order in which they first appear: uniform, and O(n) for any count.
    ids: dict[int, None] = {}
    while len(ids) < n:
        draws = torch.randint(count, (n - len(ids),), generator=generator)
        ids.update(dict.fromkeys(draws.tolist()))
    return torch.tensor(list(ids), dtype=torch.int64)
