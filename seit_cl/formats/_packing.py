"""Pack codes of a fixed number of bits into bytes, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

_CHUNK = 1 << 17  # codes packed at once on a CPU, so that intermediate results stay in its cache


def code_bits(codes: int) -> int:
    """Bits of one code of a codebook of K codes: ceil(log2 K), at least 1."""
    return max(1, (codes - 1).bit_length())


def packed_bytes(positions: int, bits: int) -> int:
    """Bytes of a row of `positions` codes of `bits` bits each."""
    return -(-positions * bits // 8)


def pack(tokens: Tensor, bits: int) -> Tensor:
    """Pack codes into rows of bytes.

    Code i takes bits i*bits .. (i+1)*bits-1 of its row, lowest bit first. Eight codes are `bits`
    whole bytes, so a few shifts of whole columns do the work. The integer operations are the same
    on CPU and CUDA.

    Args:
        tokens: (B, P), each in 0..2**bits-1.
        bits: of a code, 1..24.

    Returns:
        (B, ceil(P*bits/8)) uint8.
    """
    count, positions = tokens.shape
    shape = (count, packed_bytes(positions, bits))
    rows = torch.empty(shape, dtype=torch.uint8, device=tokens.device)
    size = _chunk_rows(tokens, positions)
    for start in range(0, count, size):
        rows[start : start + size] = _pack_chunk(tokens[start : start + size], bits)
    return rows


def unpack(rows: Tensor, bits: int, positions: int) -> Tensor:
    """Invert `pack`.

    Args:
        rows: (B, ceil(P*bits/8)) uint8.
        bits: of a code, 1..24.
        positions: P.

    Returns:
        Codes (B, P), int16 (int32 above 15 bits).
    """
    count = len(rows)
    groups = -(-positions // 8)
    codes = torch.empty((count, groups, 8), dtype=_code_type(bits), device=rows.device)
    size = _chunk_rows(rows, positions)
    for start in range(0, count, size):
        _unpack_chunk(rows[start : start + size], bits, codes[start : start + size])
    return codes.view(count, groups * 8)[:, :positions]


def _code_type(bits: int) -> torch.dtype:
    """Narrowest type that torch can shift and that holds a code."""
    if not 1 <= bits <= 24:
        raise ValueError(f"codes of {bits} bits; 1..24 are possible")
    return torch.int16 if bits <= 15 else torch.int32


def _chunk_rows(rows: Tensor, positions: int) -> int:
    """Rows to process at once: all of them on an accelerator, as many as fit the cache on a CPU."""
    if rows.device.type != "cpu":
        return max(1, len(rows))
    return max(1, _CHUNK // max(1, positions))


def _pack_chunk(tokens: Tensor, bits: int) -> Tensor:
    """`pack`, for rows that fit the cache."""
    count, positions = tokens.shape
    groups = -(-positions // 8)
    padded = pad(tokens, (0, groups * 8 - positions)).view(count, groups, 8)
    codes = padded.permute(2, 0, 1)
    codes = codes.to(_code_type(bits), memory_format=torch.contiguous_format).contiguous()
    packed = torch.empty((count, groups, bits), dtype=torch.uint8, device=tokens.device)
    for byte in range(bits):
        first_code = 8 * byte // bits
        last_code = (8 * byte + 7) // bits
        value = _shifted(codes[first_code], first_code * bits - 8 * byte)
        for i in range(first_code + 1, last_code + 1):
            value = value | _shifted(codes[i], i * bits - 8 * byte)
        packed[..., byte] = value & 255
    return packed.view(count, -1)[:, : packed_bytes(positions, bits)]


def _shifted(codes: Tensor, shift: int) -> Tensor:
    """Codes shifted left, or right where the shift is negative."""
    return codes << shift if shift >= 0 else codes >> -shift


def _unpack_chunk(rows: Tensor, bits: int, codes: Tensor) -> None:
    """`unpack`, for rows that fit the cache, into codes (b, groups, 8)."""
    count, groups, _ = codes.shape
    padded = pad(rows, (0, groups * bits - rows.shape[1])).view(count, groups, bits)
    data = padded.permute(2, 0, 1)
    data = data.to(codes.dtype, memory_format=torch.contiguous_format)
    mask = (1 << bits) - 1
    for i in range(8):
        first_byte = i * bits // 8
        last_byte = ((i + 1) * bits - 1) // 8
        code = data[first_byte] >> (i * bits - 8 * first_byte)
        for byte in range(first_byte + 1, last_byte + 1):
            code |= data[byte] << (8 * byte - i * bits)
        codes[..., i] = code.bitwise_and_(mask)
