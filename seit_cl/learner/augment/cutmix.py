"""CutMix (Yun et al., ICCV 2019), for pixels and, as SeiT's Token-CutMix, for token embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seit_cl.learner.augment.draws import Draws, Layout, Numbers

__all__ = ["CUTMIX_LAYOUT", "cutmix", "finish_draws", "soft_targets"]

# `mix` decides whether a part is mixed, `partner` sorts samples into the order of partners,
# `box` is the centre of a box, and `share` lambda.
CUTMIX_LAYOUT = Layout({"mix": (), "partner": (), "box": (2,), "share": ()})
MIX_COLUMN = 0  # columns of CUTMIX_LAYOUT in the uniform numbers
_PARTNER = 1
_SHARE = 4


def soft_targets(labels: Tensor, classes: int) -> Tensor:
    """One-hot targets, without the device synchronisation of `F.one_hot`.

    Args:
        labels: (B,) int64 in [0, classes).
        classes: number of classes C.

    Returns:
        (B, C) float32.
    """
    targets = torch.zeros(len(labels), classes, device=labels.device)
    return targets.scatter_(1, labels[:, None], 1.0)


def finish_draws(draws: Draws, alpha: float, parts: Sequence[tuple[int, torch.Generator]]) -> None:
    """Turn uniform numbers into CutMix's draws, in place.

    Partners are sorted part by part, so that samples mix within their part only, and lambda gets
    its Beta distribution.

    Args:
        draws: of a layout that begins with CUTMIX_LAYOUT.
        alpha: lambda ~ Beta(alpha, alpha), above 0.
        parts: number of samples and generator of each part; the generators are used only where
            alpha is not 1.
    """
    start = 0
    for number, (count, generator) in enumerate(parts):
        rows = draws.uniform[start : start + count]
        if number:
            rows[:, _PARTNER].add_(number)
        if alpha != 1.0:
            rows[:, _SHARE] = _beta(alpha, count, generator)
        start += count


def _beta(alpha: float, batch: int, generator: torch.Generator) -> Tensor:
    """Draw Beta(alpha, alpha), (B,) float32 on the generator's device."""
    shape = torch.full((2, batch), alpha, device=generator.device)
    gamma = torch._standard_gamma(shape, generator=generator)
    first, second = gamma.clamp_min(torch.finfo(torch.float32).tiny)
    return first / (first + second)


def cutmix(
    inputs: Tensor,
    labels: Tensor,
    classes: int,
    probability: float,
    numbers: Numbers,
    parts: Sequence[int],
    mixed: Sequence[bool] = (True, True),
) -> tuple[Tensor, Tensor]:
    """Paste a box of another sample of its part into every sample, and mix the labels by area.

    A part is mixed or not as a whole. Every sample has a box and a lambda of its own; partners come
    from one random permutation of the part. A box has sides of `floor(side * sqrt(1 - lambda))`
    about a uniform centre, clipped to the image; lambda is then the true share of the area, as in
    the paper.

    Args:
        inputs: (B, D, S, S), embeddings or pixels.
        labels: (B,) int64 in [0, classes).
        classes: number of classes C.
        probability: that a part is mixed; the boxes of others are empty.
        numbers: those of CUTMIX_LAYOUT, after `finish_draws`.
        parts: number of samples of each part, B in all.
        mixed: for each part, False if it is known to stay as it is; then no time is spent on it.

    Returns:
        Mixed inputs, of the shape, dtype and device of `inputs`, and (B, C) float32 targets whose
        rows sum to 1.

    Raises:
        ValueError: a shape is wrong.
    """
    if inputs.ndim != 4 or inputs.shape[2] != inputs.shape[3] or labels.shape != inputs.shape[:1]:
        shapes = f"{tuple(inputs.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"need inputs (B, D, S, S) and labels (B,), got {shapes}")
    targets = soft_targets(labels, classes)
    if not any(mixed[: len(parts)]):
        return inputs, targets
    if all(mixed[: len(parts)]):
        return _mixed_rows(inputs, targets, probability, numbers, parts)
    start = 0
    results = []
    for count, may_mix in zip(parts, mixed, strict=False):
        rows = slice(start, start + count)
        result = (inputs[rows], targets[rows])
        if may_mix:
            own_numbers = {name: numbers[name][rows] for name in CUTMIX_LAYOUT.uniform}
            result = _mixed_rows(*result, probability, own_numbers, [count])
        results.append(result)
        start += count
    return torch.cat([part for part, _ in results]), torch.cat([part for _, part in results])


def _mixed_rows(
    inputs: Tensor, targets: Tensor, probability: float, numbers: Numbers, parts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Mixed inputs (B, D, S, S) and targets (B, C) of parts with B samples in all."""
    side = inputs.shape[2]
    order = numbers["partner"].argsort()
    is_mixed = _of_first(numbers["mix"], parts) < probability
    length = ((1.0 - numbers["share"]).sqrt() * side).floor() * is_mixed
    start, end = _edges(length[:, None], numbers["box"], side)
    position = torch.arange(side, device=inputs.device)
    inside = (position >= start[:, :, None]) & (position < end[:, :, None])  # (B, 2, S)
    in_box = inside[:, :1, :, None] & inside[:, 1:, None, :]  # (B, 1, S, S)
    pasted_share = (end - start).prod(dim=1, keepdim=True) / side**2
    return (
        _pasted(inputs, order, in_box),
        torch.lerp(targets, targets.index_select(0, order), pasted_share),
    )


def _pasted(inputs: Tensor, order: Tensor, in_box: Tensor) -> Tensor:
    """Inputs (B, D, S, S) with those of partners, rows (B,), where the mask (B, 1, S, S) is set."""
    if not inputs.is_contiguous(memory_format=torch.channels_last):
        return torch.where(in_box, inputs.index_select(0, order), inputs)
    # On this view the work is contiguous in memory.
    inputs = inputs.permute(0, 2, 3, 1)
    in_box = in_box.permute(0, 2, 3, 1)
    pasted = torch.where(in_box, inputs.index_select(0, order), inputs)
    return pasted.permute(0, 3, 1, 2)


def _of_first(numbers: Tensor, parts: Sequence[int]) -> Tensor:
    """Give all samples (B,) of a part the number of its first one."""
    firsts = []
    start = 0
    for count in parts:
        firsts.append(numbers[start : start + 1].expand(min(count, len(numbers))))
        start += count
    return torch.cat(firsts)


def _edges(length: Tensor, centre: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and end position (B, 2) of boxes along both axes, clipped to the image.

    Args:
        length: (B, 1) of the boxes' sides, in whole positions.
        centre: (B, 2) uniform in [0, 1), the vertical and the horizontal one.
        side: of the image.
    """
    start = (centre * side).floor() - length.floor_divide(2.0)
    return start.clamp_min(0.0), (start + length).clamp_max(float(side))
