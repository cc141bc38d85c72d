"""Floating-point operations of a training step, the peak rate of the machine, and peak memory."""

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
SLOW = 0.1  # seconds of a product at a quarter of the side


def training_flops(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Count the floating-point operations of one sample's forward and backward pass.

    Only matrix products and convolutions are counted.

    Args:
        model: gives logits (B, C).
        inputs: (B, D, h, w).
        labels: (B,).
    """
    # Unfused attention consists of matrix products, so that the count is the same on all devices.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
    model.zero_grad()
    return counter.get_total_flops() / len(labels)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the floating-point operations per second of a large matrix product, best of several.

    The rate of a training step is reported as a fraction of it. A product that a quarter of the
    side shows to be slow, such as in bf16 where it is emulated, is measured at that side alone.
    """
    side = SIDES[device.type] // 4
    seconds = _product_seconds(side, device, dtype)
    if seconds < SLOW:
        side = SIDES[device.type]
        seconds = _product_seconds(side, device, dtype)
    return 2 * side**3 / seconds


def _product_seconds(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Seconds of a product of square matrices, the fewest of TRIES."""
    left = torch.ones(side, side, device=device, dtype=dtype)
    right = torch.ones(side, side, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(TRIES):
        finish(device)
        started = time.perf_counter()
        torch.mm(left, right)
        finish(device)
        best = min(best, time.perf_counter() - started)
    return best


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Measure the peak bytes of GPU memory during a call, earlier allocations included.

    Returns:
        None on a CPU.
    """
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    call()
    finish(device)
    return torch.cuda.max_memory_allocated(device)
