"""CutMix (Yun et al., ICCV 2019), for pixels and for token embeddings (SeiT's Token-CutMix; Park et al., ICCV 2023)."""

from __future__ import annotations

import torch
from torch import Tensor

from seit_cl.learner.augment.crops import check_generator

__all__ = ["cutmix", "soft_targets"]


def soft_targets(labels: Tensor, classes: int) -> Tensor:
    """One-hot targets, without the device synchronisation of ``F.one_hot``.

    Args:
        labels: (B,) int64 in [0, classes); checked on the CPU only (a check elsewhere would synchronise).
        classes: number of classes C.

    Returns:
        (B, C) float32.

    Raises:
        ValueError: if a label on the CPU is out of range.
    """
    if (
        labels.device.type == "cpu"
        and labels.numel()
        and not bool(((labels >= 0) & (labels < classes)).all())
    ):
        raise ValueError(f"labels must lie in [0, {classes})")
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def _beta(alpha: float, batch: int, generator: torch.Generator) -> Tensor:
    """(B,) float32 draws of Beta(alpha, alpha) on the generator's device; uniform for alpha = 1."""
    if alpha == 1.0:
        return torch.rand(batch, generator=generator, device=generator.device)
    shape = torch.full((2, batch), alpha, device=generator.device)
    first, second = torch._standard_gamma(shape, generator=generator).clamp_min(
        torch.finfo(torch.float32).tiny
    )
    return first / (first + second)


def _edges(cut: Tensor, place: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(B,) first and last-plus-one position of boxes ``cut`` wide about uniform centres, clipped to the axis."""
    centre = (place * side).floor().clamp_max(side - 1)
    start = centre - (cut / 2).floor()
    return start.clamp_min(0.0), (start + cut).clamp_max(float(side))


def cutmix(
    inputs: Tensor, labels: Tensor, classes: int, alpha: float, gen: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste a box of another sample of the batch into every sample, and mix the labels by area.

    Every sample has a box and a lambda of its own; partners come from one random permutation of the batch, so that
    mixing stays within the batch given. Box sides are ``floor(side * sqrt(1 - lambda))`` about a uniform centre,
    clipped to the image, and lambda is then recomputed from the true area, as in the paper.

    Args:
        inputs: (B, D, H, W), embeddings or pixels.
        labels: (B,) int64 in [0, classes).
        classes: number of classes C.
        alpha: lambda ~ Beta(alpha, alpha), above 0.
        gen: generator on the device of ``inputs``.

    Returns:
        mixed inputs, the shape, dtype and device of ``inputs``, and (B, C) float32 targets whose rows sum to 1.

    Raises:
        ValueError: if a shape, ``alpha`` or the generator's device is wrong.
    """
    if inputs.ndim != 4 or labels.shape != inputs.shape[:1]:
        raise ValueError(
            f"need inputs (B, D, H, W) and labels (B,), got {tuple(inputs.shape)} and {tuple(labels.shape)}"
        )
    if alpha <= 0.0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    check_generator(gen, inputs.device)
    targets = soft_targets(labels, classes)
    batch, _, height, width = inputs.shape
    partner, place_y, place_x = torch.rand(3, batch, generator=gen, device=inputs.device)
    order = partner.argsort()
    share = (1.0 - _beta(alpha, batch, gen)).sqrt()
    top, bottom = _edges((height * share).floor(), place_y, height)
    left, right = _edges((width * share).floor(), place_x, width)
    y, x = torch.arange(height, device=inputs.device), torch.arange(width, device=inputs.device)
    in_y, in_x = (
        (y >= top[:, None]) & (y < bottom[:, None]),
        (x >= left[:, None]) & (x < right[:, None]),
    )
    mask = (in_y[:, :, None] & in_x[:, None, :])[:, None]
    kept = (1.0 - (bottom - top) * (right - left) / (height * width))[:, None]
    return torch.where(mask, inputs[order], inputs), targets * kept + targets[order] * (1.0 - kept)
