"""Random crop boxes and batched crop-and-resize, shared by token and pixel augmentation.

Everything works on whole batches, on the device of its input. By convention of the package a
generator lives on the device of the tensors that it augments (`check_generator`), so that no draw
forces a device synchronisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seit_cl.core.options import PROBABILITY, CheckedOptions, option

__all__ = [
    "FlipOptions",
    "Mode",
    "blocks",
    "center_crop",
    "check_generator",
    "crop_resize",
    "crop_resize_from",
    "random_resized_boxes",
    "resize_matrix",
]

Mode = Literal["bicubic", "bilinear"]
TRIES = 10  # torchvision's number of tries before it falls back to the centre
CUBIC_A = -0.75  # the cubic kernel of torch.nn.functional.interpolate
BLOCK_VALUES = 2**18  # float32 values of a cache block, 1 MiB
EDGE_EPS = 1e-4  # pixels; a box edge this close to a whole pixel counts as lying on it


@dataclass(frozen=True)
class FlipOptions(CheckedOptions):
    """The option of mirroring, which token and pixel augmentation share."""

    flip_p: float = option(
        0.5, "probability that an image is mirrored, in pixels or in tokens", PROBABILITY
    )


def check_generator(generator: torch.Generator, device: torch.device) -> None:
    """Check that the generator lives on the device of the data.

    Raises:
        ValueError: if it lives on another device.
    """
    own = generator.device
    if own.type != device.type or (own.index or 0) != (device.index or 0):
        raise ValueError(
            f"the generator is on {own}, the data on {device}; make it on the data's device"
        )


def random_resized_boxes(
    batch: int,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Draw one random-resized-crop box for each sample of a batch of square images.

    The distribution is torchvision's `RandomResizedCrop` without its rounding to whole pixels: area
    uniform in `scale`, aspect ratio log-uniform in `ratio`, the first of 10 tries that fits in the
    image, else the largest centred box of an allowed ratio; the position is uniform.

    Args:
        batch: number of boxes B, >= 0.
        generator: source of randomness; the boxes are made on its device.
        scale: smallest and largest area, as fractions of the image, 0 < low <= high <= 1.
        ratio: smallest and largest width / height.

    Returns:
        (B, 4) float32 `(x0, y0, w, h)`, fractions of the image side, inside the image.

    Raises:
        ValueError: if `batch`, `scale` or `ratio` is out of range.
    """
    if batch < 0:
        raise ValueError(f"batch must not be negative, got {batch}")
    if not 0.0 < scale[0] <= scale[1] <= 1.0:
        raise ValueError(f"scale must satisfy 0 < low <= high <= 1, got {scale}")
    if not 0.0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio must satisfy 0 < low <= high, got {ratio}")
    draws = torch.rand(4, batch, TRIES, generator=generator, device=generator.device)
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    root = torch.exp(
        0.5 * (math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draws[1])
    )
    sides = torch.stack([area.sqrt() * root, area.sqrt() / root], dim=-1)  # (B, TRIES, 2): w, h
    fits = (sides <= 1.0).all(dim=-1)
    first = fits.to(torch.uint8).argmax(dim=1)  # the first maximum
    chosen = sides.gather(1, first[:, None, None].expand(batch, 1, 2)).squeeze(1)
    aspect = min(max(1.0, ratio[0]), ratio[1])
    widest, highest = (
        torch.full_like(area[:, 0], min(1.0, side)) for side in (aspect, 1.0 / aspect)
    )
    fallback = torch.stack([widest, highest], dim=1)
    any_fits = fits.any(dim=1, keepdim=True)
    size = torch.where(any_fits, chosen, fallback)
    place = torch.where(any_fits, draws[2:, :, 0].T, torch.full_like(size, 0.5))
    return torch.cat([(1.0 - size) * place, size], dim=1)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel (a = -0.75) at non-negative distances up to 2."""
    near = ((CUBIC_A + 2.0) * distance - (CUBIC_A + 3.0)) * distance * distance + 1.0
    far = (
        (CUBIC_A * distance - 5.0 * CUBIC_A) * distance + 8.0 * CUBIC_A
    ) * distance - 4.0 * CUBIC_A
    return torch.where(distance <= 1.0, near, far)


def resize_matrix(
    start: Tensor,
    size: Tensor,
    side: int,
    out: int,
    mode: Mode = "bicubic",
    flip: Tensor | None = None,
) -> Tensor:
    """Build the per-sample matrices that crop and resize one axis.

    Row i of a matrix holds the weights of the `side` input positions in output position i, as
    `F.interpolate` with `align_corners=False` and no antialiasing computes them on the crop:
    positions outside the crop count as its edge.

    Args:
        start: (B,) float32, start of the crop as a fraction of the axis.
        size: (B,) float32, length of the crop as a fraction of the axis.
        side: length of the input axis.
        out: length of the output axis.
        mode: kernel.
        flip: (B,) bool, samples whose output axis is reversed; None for no sample.

    Returns:
        (B, out, side) float32; every row sums to 1.

    Raises:
        ValueError: if `mode` is unknown or a length is not positive.
    """
    if mode not in ("bicubic", "bilinear"):
        raise ValueError(f"mode must be 'bicubic' or 'bilinear', got {mode!r}")
    if side < 1 or out < 1:
        raise ValueError(f"side and out must be positive, got {side} and {out}")
    begin = start[:, None] * side  # (B, 1), in input positions
    length = size[:, None] * side
    low = (begin + EDGE_EPS).floor().clamp(0, side - 1)
    high = torch.maximum(((begin + length - EDGE_EPS).ceil() - 1.0).clamp(0, side - 1), low)
    steps = torch.arange(out, device=start.device, dtype=torch.float32)[None] + 0.5
    if flip is not None:
        steps = torch.where(flip[:, None], out - steps, steps)
    centre = begin + steps * (length / out) - 0.5  # (B, out)
    base = centre.floor()
    taps = torch.arange(
        0 if mode == "bilinear" else -1, 2 if mode == "bilinear" else 3, device=start.device
    )
    distance = ((centre - base)[:, :, None] - taps).abs()  # (B, out, taps)
    weight = 1.0 - distance if mode == "bilinear" else _cubic(distance)
    index = torch.minimum(
        torch.maximum(base[:, :, None] + taps, low[:, :, None]), high[:, :, None]
    ).long()
    matrix = torch.zeros(start.shape[0], out, side, device=start.device).scatter_add_(
        2, index, weight
    )
    return matrix


def blocks(batch: int, elements: int, device: torch.device) -> list[slice]:
    """Cut a batch into slices that fit in a CPU's cache; other devices get one slice.

    Args:
        batch: number of samples B.
        elements: number of values of a sample.
        device: where the samples are.

    Returns:
        slices that cover the batch; at least 4 samples each, the last one excepted.
    """
    step = max(4, BLOCK_VALUES // elements) if device.type == "cpu" else max(batch, 1)
    return [slice(start, min(start + step, batch)) for start in range(0, batch, step)]


def _resize_matrices(
    boxes: Tensor, sides: tuple[int, int], outs: tuple[int, int], mode: Mode, flip: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The vertical and horizontal matrices of boxes (B, 4), in one call for equal axes."""
    left, top, wide, high = boxes.unbind(1)
    if sides[0] == sides[1] and outs[0] == outs[1]:
        both = None if flip is None else torch.cat([torch.zeros_like(flip), flip])
        matrices = resize_matrix(
            torch.cat([top, left]), torch.cat([high, wide]), sides[0], outs[0], mode, both
        )
        vertical, horizontal = matrices.chunk(2)
        return vertical, horizontal
    return resize_matrix(top, high, sides[0], outs[0], mode), resize_matrix(
        left, wide, sides[1], outs[1], mode, flip
    )


def _resample(x: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Apply (B, rows, H) and (B, columns, W) matrices to (B, C, H, W).

    Returns:
        (B, C, rows, columns) float32, a view.
    """
    batch, channels, height, width = x.shape
    rows = vertical.shape[1]
    columns = horizontal.shape[1]
    with torch.autocast(x.device.type, enabled=False):
        if channels > 1 and x.is_contiguous(memory_format=torch.channels_last):
            half = vertical @ x.float().permute(0, 2, 3, 1).reshape(batch, height, width * channels)
            half = (
                half.view(batch, rows, width, channels)
                .transpose(1, 2)
                .reshape(batch, width, rows * channels)
            )
            return (horizontal @ half).view(batch, columns, rows, channels).permute(0, 3, 2, 1)
        half = x.float().reshape(batch, channels * height, width) @ horizontal.transpose(1, 2)
        half = half.view(batch, channels, height, columns).transpose(1, 2)
        half = half.reshape(batch, height, channels * columns)
        return (vertical @ half).view(batch, rows, channels, columns).transpose(1, 2)


def crop_resize_from(
    load: Callable[[slice], Tensor],
    shape: tuple[int, int, int, int],
    boxes: Tensor,
    out: int | tuple[int, int],
    mode: Mode = "bicubic",
    flip: Tensor | None = None,
) -> Tensor:
    """Crop and resize samples that are made block by block, in a CPU's cache (see `crop_resize`).

    Args:
        load: makes the samples of a slice of the batch, (b, C, H, W) float or uint8, on the device
            of `boxes`.
        shape: (B, C, H, W) of the whole batch.
        boxes: as in `crop_resize`, and so are the rest.
        out: output side, or (height, width).
        mode: "bicubic" or "bilinear".
        flip: (B,) bool or None.

    Returns:
        (B, C, out, out) float32 on the device of `boxes`.

    Raises:
        ValueError: if a shape or the mode is wrong.
    """
    batch, channels, height, width = shape
    if boxes.shape != (batch, 4) or (flip is not None and flip.shape != (batch,)):
        raise ValueError("boxes must have shape (B, 4) and flip (B,), B being the batch of x")
    rows, columns = (out, out) if isinstance(out, int) else out
    boxes = boxes.float()
    vertical, horizontal = _resize_matrices(boxes, (height, width), (rows, columns), mode, flip)
    whole = torch.empty(batch, channels, rows, columns, device=boxes.device)
    for part in blocks(batch, channels * height * width, boxes.device):
        whole[part] = _resample(load(part), vertical[part], horizontal[part])
    return whole


def crop_resize(
    x: Tensor,
    boxes: Tensor,
    out: int | tuple[int, int],
    mode: Mode = "bicubic",
    flip: Tensor | None = None,
) -> Tensor:
    """Crop a box of its own out of every sample and resize it, in two batched matrix products.

    Equal to `F.interpolate(crop, out, mode=mode, align_corners=False, antialias=False)` for boxes
    on whole positions, and its continuation between them. Computed in float32, autocast or not. A
    channels-last input is taken without a copy. Strong shrinking aliases.

    Args:
        x: (B, C, H, W) floating point or uint8.
        boxes: (B, 4) `(x0, y0, w, h)`, fractions of width and height, inside the image, on the
            device of `x`.
        out: output side, or (height, width).
        mode: "bicubic" or "bilinear".
        flip: (B,) bool, samples to mirror left to right; None for no sample.

    Returns:
        (B, C, out, out) on the device of `x`, of its dtype; float32, unclamped, for uint8.

    Raises:
        ValueError: if a shape, the dtype or the mode is wrong.
    """
    if x.ndim != 4 or not (x.is_floating_point() or x.dtype == torch.uint8):
        raise ValueError(
            f"x must be float or uint8 of shape (B, C, H, W), got {x.dtype} {tuple(x.shape)}"
        )
    batch, channels, height, width = x.shape
    whole = crop_resize_from(
        lambda part: x[part], (batch, channels, height, width), boxes, out, mode, flip
    )
    return whole if x.dtype == torch.uint8 else whole.to(x.dtype)


def center_crop(x: Tensor, side: int) -> Tensor:
    """Cut the central square.

    Args:
        x: (..., H, W).
        side: side of the square in positions.

    Returns:
        (..., side, side), a view; `x` itself where it has that size already.

    Raises:
        ValueError: if `x` is smaller than the square.
    """
    height, width = x.shape[-2:]
    if height < side or width < side:
        raise ValueError(f"cannot crop {side} x {side} out of {height} x {width}")
    top = (height - side) // 2
    left = (width - side) // 2
    return x[..., top : top + side, left : left + side]
