"""Floating-point operations (FLOPs) of a run's work, by kind.

They are those of matrix products, convolutions and attention, as torch.utils.flop_counter counts
them: a product of (m, k) and (k, n) matrices has 2mkn. Elementwise operations, norms and gathers
are not counted, nor is anything outside of torch, such as the decoding of image files.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

KINDS = (
    "training",
    "strategy",
    "hooks",
    "tokenizing",
    "decoding",
    "encoding",
    "selection",
    "testing",
)


def _cholesky(matrix: torch.Size, *_: Any, **__: Any) -> int:
    """Cholesky factor of matrices (..., n, n): n^3 / 3 each (Golub and Van Loan, section 4.2)."""
    return matrix.numel() * matrix[-1] // 3


def _cholesky_solve(right: torch.Size, factor: torch.Size, *_: Any, **__: Any) -> int:
    """Two triangular systems of (..., n, n) with right sides (..., n, k): 2 n^2 k."""
    return 2 * factor.numel() * right[-1]


def _solve(matrix: torch.Size, right: torch.Size, *_: Any, **__: Any) -> int:
    """A system of (..., n, n) with right sides (..., n, k) by LU: 2/3 n^3 + 2 n^2 k."""
    return 2 * matrix.numel() * matrix[-1] // 3 + 2 * matrix.numel() * right[-1]


def _convolution_backward(
    gradient: torch.Size, inputs: torch.Size, weight: torch.Size, *arguments: Any, **_: Any
) -> int:
    """Gradients of a convolution: the FLOPs of its forward pass for the input's, and the weight's.

    torch's own formula counts the weight's gradient as if there was one group of channels.
    """
    transposed = arguments[4]
    wanted = arguments[7]  # of input, weight and bias
    positions = inputs if transposed else gradient
    forward = 2 * inputs[0] * positions[2:].numel() * weight.numel()
    return forward * (int(wanted[0]) + int(wanted[1]))


_FORMULAS = {
    torch.ops.aten.convolution_backward: _convolution_backward,
    torch.ops.aten.linalg_cholesky_ex: _cholesky,
    torch.ops.aten.cholesky_solve: _cholesky_solve,
    torch.ops.aten._linalg_solve_ex: _solve,
}


def flop_counter() -> FlopCounterMode:
    """Make a counter of the FLOPs of all operations in its context, linear systems included."""
    return FlopCounterMode(display=False, custom_mapping=_FORMULAS)


class FlopMeter:
    """FLOPs of a run so far, by kind of work.

    Attributes:
        totals: FLOPs by kind (KINDS).
    """

    def __init__(self) -> None:
        self.totals = dict.fromkeys(KINDS, 0)
        self._per_sample: dict[Hashable, tuple[int, int]] = {}  # FLOPs and samples of a block
        self._nested: list[int] = []  # FLOPs of blocks within those that are open

    def add(self, kind: str, flops: int) -> None:
        """Add FLOPs to a kind; they are taken from the block around the call, if there is one."""
        self.totals[kind] += flops
        if self._nested:
            self._nested[-1] += flops

    @contextmanager
    def counting(self, kind: str, key: Hashable = None, samples: int = 0) -> Iterator[None]:
        """Add the FLOPs of the block to a kind, without those of blocks of other kinds within it.

        Args:
            kind: one of KINDS.
            key: of work whose FLOPs are proportional to its samples. The first block of a key is
                counted, later ones are computed from it. None counts every block.
            samples: number of samples of the block, at least 1 where there is a key.
        """
        known = None if key is None else self._per_sample.get(key)
        self._nested.append(0)
        if known is None:
            with flop_counter() as counter:
                yield
            within = self._nested.pop()
            own = counter.get_total_flops() - within
            if key is not None:
                self._per_sample[key] = own, samples
        else:
            yield
            within = self._nested.pop()
            flops, counted_samples = known
            own = flops * samples // counted_samples
        self.totals[kind] += own
        if self._nested:
            self._nested[-1] += own + within

    @contextmanager
    def counting_part(self, own: int, samples: int) -> Iterator[None]:
        """Count a block that processes a part of some samples as if it processed all of them.

        For work that processes divide among them: its FLOPs are counted once, as in one process.

        Args:
            own: number of samples of the block, at least 1; FLOPs are proportional to it.
            samples: number of all samples.
        """
        if not self._nested:  # nothing counts around it
            yield
            return
        with flop_counter() as counter:
            yield
        of_own = counter.get_total_flops()
        # What a block has besides its own operations is taken from it, and this is lacking.
        self._nested[-1] -= of_own * samples // own - of_own


@dataclass(frozen=True)
class CountedTransform:
    """A function of batches of samples whose FLOPs are added to a meter.

    Args:
        transform: from (B, ...) to (B, ...), sample by sample.
        meter: gets the FLOPs.
        kind: one of KINDS.
    """

    transform: Callable[[Tensor], Tensor]
    meter: FlopMeter
    kind: str

    def __call__(self, batch: Tensor) -> Tensor:
        key = (self.kind, tuple(batch.shape[1:]))
        with self.meter.counting(self.kind, key, len(batch)):
            return self.transform(batch)
