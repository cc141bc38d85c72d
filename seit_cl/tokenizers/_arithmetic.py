"""Pixels as autoencoders take them, and the float32 arithmetic that fixes codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

PREPROCESSING = "uint8/127.5-1"  # part of a tokenizer's identity; the same as `scale_pixels`


def scale_pixels(images: Tensor) -> Tensor:
    """Scale images (B, 3, S, S) uint8 to [-1, 1] in float32."""
    return images.float() / 127.5 - 1


def round_pixels(images: Tensor) -> Tensor:
    """Turn images (B, 3, S, S) around [-1, 1] into uint8."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def total_bytes(tensors: dict[str, Tensor]) -> int:
    """Count the bytes of tensors by name."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@contextmanager
def float32_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in float32 inside the block: no autocast, and on CUDA no TF32.

    PyTorch allows TF32 in convolutions by default, and it changes codes.

    Args:
        device: of the tensors that are computed with.
    """
    backends: tuple[Any, ...] = ()
    if device.type == "cuda":
        backends = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    previous = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, previous, strict=True):
            backend.fp32_precision = precision
