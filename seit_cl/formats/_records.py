"""Encoded exemplars, as formats write and memories store them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Records:
    """Encoded exemplars as three tensors, so that decoding can stay on a device.

    Args:
        data: (total bytes,) uint8.
        offsets: (B,) int64, start of each record in data.
        lengths: (B,) int64, bytes of each record.
    """

    data: Tensor
    offsets: Tensor
    lengths: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @staticmethod
    def from_rows(rows: Tensor) -> Records:
        """Records of equal length from rows (B, L) uint8."""
        count, length = rows.shape
        offsets = length * torch.arange(count, device=rows.device)
        return Records(rows.reshape(-1), offsets, torch.full_like(offsets, length))

    @staticmethod
    def from_bytes(records: Sequence[bytes]) -> Records:
        """Records from byte strings, one per exemplar."""
        lengths = torch.tensor([len(record) for record in records], dtype=torch.int64)
        joined = bytearray().join(records) or bytearray(1)  # frombuffer refuses an empty buffer
        data = torch.frombuffer(joined, dtype=torch.uint8)[: int(lengths.sum())]
        return Records(data, lengths.cumsum(0) - lengths, lengths)

    def rows(self) -> Tensor:
        """The records as rows (B, L) uint8; all must be of one length L."""
        if len(self) == 0:
            return self.data.new_zeros((0, 0))
        length = int(self.lengths[0])
        return self.data.unfold(0, length, 1)[self.offsets]

    def to_bytes(self) -> list[bytes]:
        """The records as byte strings."""
        raw = self.data.cpu().numpy()
        spans = zip(self.offsets.tolist(), self.lengths.tolist(), strict=True)
        return [raw[start : start + length].tobytes() for start, length in spans]
