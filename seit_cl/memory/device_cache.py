"""A memory's exemplars as the learner draws them: decoded, in id order, on its device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.core.devices import device_budget, to_device

_CHUNK = 256  # exemplars decoded at once


@dataclass(frozen=True)
class Exemplars:
    """A batch of exemplars, on one device.

    Args:
        inputs: decoded, (B, 3, S, S) uint8 or (B, G, H, W) int16; what `transform` made of that where there is one.
        labels: (B,) int64.
        ids: (B,) int64, slot numbers in the memory, valid until the next offer.
        extras: what the strategy stores, (B, *shape) each.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    extras: dict[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(
            tensor.nbytes for tensor in (self.inputs, self.labels, self.ids, *self.extras.values())
        )

    def on(self, device: torch.device) -> Exemplars:
        """The same on a device; the caller does not wait for the copy."""
        extras = {name: to_device(values, device) for name, values in self.extras.items()}
        return Exemplars(
            to_device(self.inputs, device),
            to_device(self.labels, device),
            to_device(self.ids, device),
            extras,
        )

    def __getitem__(self, rows: Tensor) -> Exemplars:
        extras = {name: values[rows] for name, values in self.extras.items()}
        return Exemplars(self.inputs[rows], self.labels[rows], self.ids[rows], extras)

    @staticmethod
    def join(parts: list[Exemplars]) -> Exemplars:
        """One batch of several."""
        inputs, labels, ids = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("inputs", "labels", "ids")
        )
        extras = {
            name: torch.cat([part.extras[name] for part in parts]) for name in parts[0].extras
        }
        return Exemplars(inputs, labels, ids, extras)


class DeviceCache:
    """A copy of all exemplars on the learner's device, so that a batch is one gather there and never waits for the CPU.

    It is working memory: reported, not counted. It is made when a memory is asked for a second batch without having
    changed, for a memory that changes with every batch (an online stream) is not worth copying; and only where
    `seit_cl.core.devices.device_budget` has room for it. Otherwise every batch is decoded and sent by itself.

    Args:
        device: the learner's.
        read: gives the exemplars of ids (B,), on the CPU.
        count: the number of exemplars N now.
    """

    def __init__(
        self, device: torch.device, read: Callable[[Tensor], Exemplars], count: Callable[[], int]
    ) -> None:
        self.device, self._read, self._count = device, read, count
        self._asked = 0
        self._whole: Exemplars | None = None

    def changed(self) -> None:
        """Forget the copy: the memory is another."""
        self._asked, self._whole = 0, None

    @property
    def nbytes(self) -> int:
        """Bytes that the copy takes on its device; 0 where there is none."""
        return 0 if self._whole is None else self._whole.nbytes

    def take(self, ids: Tensor) -> Exemplars:
        """The exemplars of ids (B,), each in 0..N-1, on the device."""
        self._asked += 1
        if self._asked == 2:
            self._whole = self._copy()
        if self._whole is None:
            return self._read(ids.cpu()).on(self.device)
        return self._whole[to_device(ids, self.device)]

    def update(self, ids: Tensor, extras: Mapping[str, Tensor]) -> None:
        """Take over new extras (B, *shape) of ids (B,)."""
        if self._whole is not None:
            for name, values in extras.items():
                held = self._whole.extras[name]
                held[to_device(ids, self.device)] = to_device(values.detach(), self.device).to(
                    held.dtype
                )

    def _copy(self) -> Exemplars | None:
        count = self._count()
        if count == 0 or self._read(
            torch.zeros(1, dtype=torch.int64)
        ).nbytes * count > device_budget(self.device):
            return None
        return Exemplars.join(
            [self._read(part).on(self.device) for part in torch.arange(count).split(_CHUNK)]
        )
