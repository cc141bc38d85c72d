"""Pixels as autoencoders take them, and bytes of weights."""

from __future__ import annotations

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
