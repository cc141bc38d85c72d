"""Token grids: what a tokenizer leaves of an image, each code in as many bits, or in fewer where its neighbours foretell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from seit_cl.core.errors import UserError, nearest
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.base import FormatContext
from seit_cl.formats.entropy.grids import CODERS, GridCoder
from seit_cl.formats.entropy.reader import EntropyReader

_CHUNK = 1 << 17  # codes worked on at once on a CPU, so that intermediate results stay in its cache


@dataclass(frozen=True)
class TokensOptions:
    """Options of the tokens format.

    Args:
        coder: "fixed": ceil(log2 K) bits a code; "table": entropy-coded with tables, fast; "context": with a network, dense.
    """

    coder: str = "fixed"


class FixedCoder:
    """Grids (B, P) of P codes as ceil(P * ceil(log2 K) / 8) bytes each.

    Args:
        codes: codebook size K.
        positions: P.
    """

    def __init__(self, codes: int, positions: int) -> None:
        self.bits, self.positions = code_bits(codes), positions
        self.length = packed_bytes(positions, self.bits)

    def encode(self, tokens: Tensor) -> Records:
        """Records of equal length."""
        return Records.from_rows(pack(tokens, self.bits))

    def decode(self, records: Records) -> Tensor:
        """Codes (B, P) int16."""
        rows = records.rows() if len(records) else records.data.new_zeros((0, self.length))
        return unpack(rows, self.bits, self.positions)


class TokensFormat:
    """Token grids (G, H, W), by one of several coders.

    Args:
        options: the coder.
        context: gives the codebook size K, the grid (G, H, W) and the tokenizer's identity.

    Raises:
        UserError: more codes than int16 token grids can name, no such coder, or no probabilities for an entropy coder.
    """

    Options = TokensOptions
    source = "Park et al., ICCV 2023 (SeiT)"
    domain: Literal["pixels", "tokens"] = "tokens"

    def __init__(self, options: TokensOptions, context: FormatContext) -> None:
        if not 1 <= context.codes <= 1 << 15:
            raise UserError(f"tokens: a codebook of {context.codes} codes; 1..32768 can be stored")
        self.options, self.codes, self.grid = options, context.codes, context.grid
        self._model, self.codec_bytes = b"", 0
        self.fixed_length: int | None = None
        if options.coder == "fixed":
            fixed = FixedCoder(context.codes, context.grid[0] * context.grid[1] * context.grid[2])
            self.fixed_length = fixed.length
            self._encode: Callable[[Tensor], Records] = lambda tokens: fixed.encode(
                tokens.flatten(1)
            )
            self._decode = fixed.decode
        else:
            coder = entropy_coder(options.coder, context)
            self._model, self.codec_bytes = coder.model.identity, coder.model.nbytes
            self._encode, self._decode = lambda tokens: coder.encode(tokens[:, 0]), coder.decode

    @classmethod
    def build(cls, options: TokensOptions, context: FormatContext) -> Self:
        """Build the format."""
        return cls(options, context)

    @property
    def side_info(self) -> bytes:
        """Which probabilities the records were written with; nothing where the coder is "fixed"."""
        return self._model

    @side_info.setter
    def side_info(self, saved: bytes) -> None:
        """Take over what a memory's file says.

        Raises:
            UserError: its records were written with other probabilities, and would come back as other tokens.
        """
        if saved != self._model:
            raise UserError(
                f"{self.spec}: these records were written with probabilities that were fitted anew since; put the "
                "earlier file of them beside the tokenizer"
            )

    @property
    def spec(self) -> str:
        """The canonical spec: "tokens" or, with another coder than "fixed", e.g. "tokens:coder=context"."""
        return "tokens" if self.options.coder == "fixed" else f"tokens:coder={self.options.coder}"

    def encode(self, samples: Samples) -> Records:
        """Records from token grids (B, G, H, W), of equal length where the coder is "fixed".

        Raises:
            UserError: a grid of another shape, or a code outside 0..K-1.
        """
        tokens = samples.tokens()
        if tuple(tokens.shape[1:]) != tuple(self.grid):
            raise UserError(
                f"tokens: grids of shape {tuple(tokens.shape[1:])} where {tuple(self.grid)} was expected"
            )
        if tokens.numel():
            low, high = (int(v) for v in torch.aminmax(tokens))
            if low < 0 or high >= self.codes:
                wrong = low if low < 0 else high
                raise UserError(
                    f"tokens: code {wrong} is outside 0..{self.codes - 1}; is it another tokenizer's?"
                )
        return self._encode(tokens)

    def decode(self, records: Records) -> Tensor:
        """Token grids (B, G, H, W) int16, on the records' device."""
        return self._decode(records).reshape(len(records), *self.grid)


def entropy_coder(name: str, context: FormatContext) -> GridCoder:
    """An entropy coder of a tokenizer's grids.

    Raises:
        UserError: no such coder, several codes a position, or no probabilities of these codes.
    """
    if name not in CODERS:
        raise UserError(
            f"tokens: coder={name} is none of fixed, {', '.join(CODERS)}; {nearest(name, ['fixed', *CODERS])}"
        )
    groups, height, width = context.grid
    if groups != 1:
        raise UserError(
            f"tokens: coder={name} codes one token a position, not {groups}; use coder=fixed"
        )
    read_model = context.entropy_model or EntropyReader(context.tokenizer)
    return CODERS[name](read_model(), height, width)


def code_bits(codes: int) -> int:
    """Bits of one code of a codebook of K codes: ceil(log2 K), at least 1."""
    return max(1, (codes - 1).bit_length())


def packed_bytes(positions: int, bits: int) -> int:
    """Bytes that P codes of so many bits take."""
    return -(-positions * bits // 8)


def _dtype(bits: int) -> torch.dtype:
    """The narrowest of torch's shiftable integers that holds a code."""
    if not 1 <= bits <= 24:
        raise ValueError(f"codes of {bits} bits; 1..24 are possible")
    return torch.int16 if bits <= 15 else torch.int32


def _chunk_rows(rows: Tensor, positions: int) -> int:
    """Rows worked on at once: all of them on an accelerator, a cache-full on a CPU."""
    return max(1, _CHUNK // max(1, positions)) if rows.device.type == "cpu" else max(1, len(rows))


def pack(tokens: Tensor, bits: int) -> Tensor:
    """Pack codes (B, P), each in 0..2**bits-1, into rows (B, ceil(P*bits/8)) uint8.

    Code i takes bits i*bits .. (i+1)*bits-1 of the row, lowest bit first. Eight codes are `bits` whole bytes, so the
    work is a few shifts of whole columns; the same integer operations run on CPU and CUDA.
    """
    count, positions = tokens.shape
    rows = torch.empty(
        (count, packed_bytes(positions, bits)), dtype=torch.uint8, device=tokens.device
    )
    step = _chunk_rows(tokens, positions)
    for start in range(0, count, step):
        rows[start : start + step] = _pack_chunk(tokens[start : start + step], bits)
    return rows


def _pack_chunk(tokens: Tensor, bits: int) -> Tensor:
    """`pack` of rows that fit the cache."""
    count, positions = tokens.shape
    groups = -(-positions // 8)
    codes = pad(tokens, (0, groups * 8 - positions)).view(count, groups, 8).permute(2, 0, 1)
    codes = codes.to(_dtype(bits), memory_format=torch.contiguous_format).contiguous()
    out = torch.empty((count, groups, bits), dtype=torch.uint8, device=tokens.device)
    for byte in range(bits):
        total = None
        for i in range(8 * byte // bits, (8 * byte + 7) // bits + 1):
            shift = i * bits - 8 * byte
            part = codes[i] << shift if shift >= 0 else codes[i] >> -shift
            total = part if total is None else total | part
        assert total is not None
        out[..., byte] = total & 255
    return out.view(count, -1)[:, : packed_bytes(positions, bits)]


def unpack(rows: Tensor, bits: int, positions: int) -> Tensor:
    """Codes (B, P) int16 (int32 above 15 bits) from rows (B, ceil(P*bits/8)) uint8: the inverse of `pack`."""
    count = len(rows)
    groups = -(-positions // 8)
    out = torch.empty((count, groups, 8), dtype=_dtype(bits), device=rows.device)
    step = _chunk_rows(rows, positions)
    for start in range(0, count, step):
        _unpack_chunk(rows[start : start + step], bits, out[start : start + step])
    return out.view(count, groups * 8)[:, :positions]


def _unpack_chunk(rows: Tensor, bits: int, out: Tensor) -> None:
    """`unpack` of rows that fit the cache, into out (b, groups, 8)."""
    count, groups, _ = out.shape
    data = pad(rows, (0, groups * bits - rows.shape[1])).view(count, groups, bits).permute(2, 0, 1)
    data = data.to(out.dtype, memory_format=torch.contiguous_format)
    mask = (1 << bits) - 1
    for i in range(8):
        first, last = i * bits // 8, ((i + 1) * bits - 1) // 8
        code = data[first] >> (i * bits - 8 * first)
        for byte in range(first + 1, last + 1):
            code |= data[byte] << (8 * byte - i * bits)
        out[..., i] = code.bitwise_and_(mask)


FORMAT = TokensFormat
