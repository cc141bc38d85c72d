"""Formats fitted to data: what they fitted is counted, saved and restored."""

import os

import pytest
import torch

from helpers.memory_samples import CONTEXT, samples
from seit_cl import formats
from seit_cl.core.errors import BudgetTooSmall
from seit_cl.formats.tokens import TokensFormat
from seit_cl.memory import ByteBudgetBuffer

SIDE_INFO = 100  # bytes that the format below fits


class Fitted(TokensFormat):
    """Tokens with a side_info that grows at the third batch."""

    batches = 0
    side_info = b""

    def encode(self, samples):
        self.batches += 1
        self.side_info = bytes(SIDE_INFO if self.batches > 2 else 0)
        return super().encode(samples)


def fitted_memory(budget: int) -> ByteBudgetBuffer:
    return ByteBudgetBuffer(budget, formats.build_format("tokens", CONTEXT), CONTEXT)


@pytest.fixture(autouse=True)
def fitted_format(monkeypatch):
    """Puts the format above in the place of "tokens"."""
    load = formats.plugins.load
    monkeypatch.setattr(
        formats.plugins,
        "load",
        lambda kind, name: Fitted if kind == "format" else load(kind, name),
    )


def test_side_info_counts_and_makes_room_for_itself(tmp_path):
    buffer = fitted_memory(500)
    for start in range(0, 100, 20):
        buffer.offer(samples(start, [start // 20] * 20))
        buffer.save(tmp_path / "memory.bin")
        assert os.path.getsize(tmp_path / "memory.bin") == buffer.used_bytes <= 500
    assert buffer.bytes_by_kind()["side_info"] == SIDE_INFO
    loaded = ByteBudgetBuffer.load(tmp_path / "memory.bin")
    everything = torch.arange(len(buffer))
    assert loaded.fmt.side_info == buffer.fmt.side_info
    assert torch.equal(loaded.by_ids(everything).inputs, buffer.by_ids(everything).inputs)


@pytest.mark.parametrize("spare", [-60, 0])
def test_side_info_that_leaves_no_room_for_a_record_is_refused(spare):
    empty = fitted_memory(500).used_bytes
    buffer = fitted_memory(empty + SIDE_INFO + spare)
    for start in (0, 20):
        buffer.offer(samples(start, [start // 20] * 20))
    with pytest.raises(BudgetTooSmall, match=f"side info of {SIDE_INFO}"):
        buffer.offer(samples(40, [2] * 20))
