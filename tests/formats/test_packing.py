"""Packing: codes of a fixed number of bits into bytes and back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seit_cl.formats._packing import code_bits, pack, packed_bytes, unpack


@given(
    codes=st.integers(2, 16384),
    count=st.integers(0, 5),
    positions=st.integers(1, 70),
    seed=st.integers(0, 2**31),
)
def test_unpack_inverts_pack(codes, count, positions, seed):
    bits = code_bits(codes)
    tokens = torch.randint(
        codes, (count, positions), generator=torch.Generator().manual_seed(seed)
    ).to(torch.int16)
    rows = pack(tokens, bits)
    assert rows.dtype == torch.uint8
    assert rows.shape == (count, packed_bytes(positions, bits))
    assert torch.equal(unpack(rows, bits, positions), tokens)


@pytest.mark.parametrize("bits", range(1, 25))
def test_all_ones_and_all_zeros_survive_every_width(bits):
    tokens = torch.tensor([[0, 2**bits - 1] * 9, [2**bits - 1, 0] * 9], dtype=torch.int32)
    assert torch.equal(unpack(pack(tokens, bits), bits, 18).int(), tokens)


@pytest.mark.parametrize(
    "codes, bits", [(1, 1), (2, 1), (3, 2), (1024, 10), (1025, 11), (16384, 14), (32768, 15)]
)
def test_bits_are_the_logarithm_rounded_up(codes, bits):
    assert code_bits(codes) == bits


def test_codes_lie_lowest_bit_first():
    assert pack(torch.tensor([[1, 2, 3]], dtype=torch.int16), 4).tolist() == [[0x21, 0x03]]


def test_large_batches_cross_the_working_chunk():
    tokens = torch.randint(1024, (5000, 64), generator=torch.Generator().manual_seed(0)).to(
        torch.int16
    )
    assert torch.equal(unpack(pack(tokens, 10), 10, 64), tokens)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("bits", [1, 7, 10, 14, 15, 16])
def test_cuda_packs_and_unpacks_the_same_bytes(bits):
    tokens = torch.randint(2**bits, (300, 100), generator=torch.Generator().manual_seed(bits)).to(
        torch.int32
    )
    rows = pack(tokens, bits)
    assert torch.equal(pack(tokens.cuda(), bits).cpu(), rows)
    assert torch.equal(unpack(rows.cuda(), bits, 100).cpu(), unpack(rows, bits, 100))
