"""How near a training step comes to what the machine can do: its floating-point operations, the machine's rate, memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import finish

SIDES = {"cuda": 8192, "cpu": 2048}  # of the square matrices whose product is timed
TRIES = 10


def training_flops(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Floating-point operations of one sample's forward and backward pass, matrix products and convolutions alone.

    Args:
        model: gives logits (B, C).
        inputs: (B, D, h, w).
        labels: (B,).
    """
    # The unfused attention is spelt out in matrix products, so that the count is the same on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    model.zero_grad()
    return counter.get_total_flops() / len(labels)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of one large matrix product, the best of several: the rate to hold steps against."""
    side = SIDES[device.type]
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(TRIES):
        finish(device)
        began = time.perf_counter()
        torch.mm(a, b)
        finish(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Most bytes of the GPU's memory allocated during a call, by it and before it; None on a CPU."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    call()
    finish(device)
    return torch.cuda.max_memory_allocated(device)
