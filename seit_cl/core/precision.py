"""The precision of float32 arithmetic on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def float32_products(device: torch.device, tf32: bool = False) -> Iterator[None]:
    """Set the precision of float32 convolutions and matrix products inside the block, on CUDA.

    PyTorch allows TF32 in convolutions by default, which changes the numbers of a run in float32.

    Args:
        device: of the tensors that are computed with; on a CPU nothing changes.
        tf32: let CUDA round operands to 10 bits of mantissa, which is several times as fast.
    """
    backends: tuple[Any, ...] = ()
    if device.type == "cuda":
        backends = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    previous = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32" if tf32 else "ieee"
        yield
    finally:
        for backend, precision in zip(backends, previous, strict=True):
            backend.fp32_precision = precision


@contextmanager
def float32_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in float32 inside the block, whatever is around it: no autocast and no TF32.

    Autocast inside the block would use outdated copies of weights: it keeps them until the
    outermost autocast context ends, and this is one.

    Args:
        device: of the tensors that are computed with.
    """
    with float32_products(device), torch.autocast(device.type, enabled=False):
        yield
