"""CutMix (Yun et al., ICCV 2019), for pixels and, as SeiT's Token-CutMix, for token embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seit_cl.core.options import POSITIVE, PROBABILITY, CheckedOptions, option
from seit_cl.learner.augment.crops import check_generator

__all__ = ["CutMixOptions", "cutmix", "soft_targets"]


@dataclass(frozen=True)
class CutMixOptions(CheckedOptions):
    """Options of CutMix."""

    cutmix_p: float = option(0.5, "probability that a batch is mixed by CutMix", PROBABILITY)
    cutmix_alpha: float = option(1.0, "alpha of CutMix's Beta distribution", POSITIVE)


def soft_targets(labels: Tensor, classes: int) -> Tensor:
    """One-hot targets, without the device synchronisation of `F.one_hot`.

    Args:
        labels: (B,) int64 in [0, classes); checked on the CPU only (a check elsewhere would
            synchronise).
        classes: number of classes C.

    Returns:
        (B, C) float32.

    Raises:
        ValueError: a label on the CPU is out of range.
    """
    if labels.device.type == "cpu" and labels.numel():
        is_valid = (labels >= 0) & (labels < classes)
        if not bool(is_valid.all()):
            raise ValueError(f"labels must lie in [0, {classes})")
    return (labels[:, None] == torch.arange(classes, device=labels.device)).float()


def cutmix(
    inputs: Tensor, labels: Tensor, classes: int, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Paste a box of another sample of the batch into every sample, and mix the labels by area.

    Every sample has a box and a lambda of its own; partners come from one random permutation of the
    batch, so that mixing stays within the batch given. A box has sides of
    `floor(side * sqrt(1 - lambda))` about a uniform centre, clipped to the image; lambda is then
    the true share of the area, as in the paper.

    Args:
        inputs: (B, D, H, W), embeddings or pixels.
        labels: (B,) int64 in [0, classes).
        classes: number of classes C.
        alpha: lambda ~ Beta(alpha, alpha), above 0.
        generator: on the device of `inputs`.

    Returns:
        Mixed inputs, of the shape, dtype and device of `inputs`, and (B, C) float32 targets whose
        rows sum to 1.

    Raises:
        ValueError: a shape, `alpha` or the generator's device is wrong.
    """
    if inputs.ndim != 4 or labels.shape != inputs.shape[:1]:
        shapes = f"{tuple(inputs.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"need inputs (B, D, H, W) and labels (B,), got {shapes}")
    if alpha <= 0.0:
        raise ValueError(f"alpha must be above 0, got {alpha}")
    check_generator(generator, inputs.device)
    targets = soft_targets(labels, classes)
    batch, _, height, width = inputs.shape
    partner, place_y, place_x = torch.rand(3, batch, generator=generator, device=inputs.device)
    order = partner.argsort()
    box_share = (1.0 - _beta(alpha, batch, generator)).sqrt()
    top, bottom = _edges((height * box_share).floor(), place_y, height)
    left, right = _edges((width * box_share).floor(), place_x, width)
    in_rows = _between(top, bottom, height)
    in_columns = _between(left, right, width)
    in_box = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]  # (B, 1, H, W)
    own_share = (1.0 - (bottom - top) * (right - left) / (height * width))[:, None]
    mixed = torch.where(in_box, inputs[order], inputs)
    return mixed, targets * own_share + targets[order] * (1.0 - own_share)


def _beta(alpha: float, batch: int, generator: torch.Generator) -> Tensor:
    """Draw Beta(alpha, alpha), (B,) float32 on the generator's device; uniform for alpha = 1."""
    if alpha == 1.0:
        return torch.rand(batch, generator=generator, device=generator.device)
    shape = torch.full((2, batch), alpha, device=generator.device)
    gamma = torch._standard_gamma(shape, generator=generator)
    first, second = gamma.clamp_min(torch.finfo(torch.float32).tiny)
    return first / (first + second)


def _edges(length: Tensor, place: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and end position (B,) of boxes along one axis, clipped to it.

    Args:
        length: (B,) of the boxes, in whole positions.
        place: (B,) uniform in [0, 1), the centre as a fraction of the axis.
        side: length of the axis.
    """
    centre = (place * side).floor().clamp_max(side - 1)
    start = centre - (length / 2).floor()
    return start.clamp_min(0.0), (start + length).clamp_max(float(side))


def _between(start: Tensor, end: Tensor, side: int) -> Tensor:
    """Mask (B, side) of the positions from start (B,) up to but not including end (B,)."""
    position = torch.arange(side, device=start.device)
    return (position >= start[:, None]) & (position < end[:, None])
