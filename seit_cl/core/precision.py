"""The precision of float32 arithmetic on CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def float32_arithmetic(device: torch.device, tf32: bool = False) -> Iterator[None]:
    """Compute in float32 inside the block: no autocast, and on CUDA no TF32 unless asked for.

    PyTorch allows TF32 in convolutions by default. It changes the codes of tokenizers, and in
    training and tests the numbers of a run in float32.

    Args:
        device: of the tensors that are computed with.
        tf32: let CUDA round the operands of convolutions and matrix products to 10 bits of
            mantissa, which is several times as fast.
    """
    backends: tuple[Any, ...] = ()
    if device.type == "cuda":
        backends = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    previous = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32" if tf32 else "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, previous, strict=True):
            backend.fp32_precision = precision
