"""Random crop boxes and batched crop-and-resize, shared by token and pixel augmentation.

Everything works on whole batches, on the device of its input, and draws nothing: boxes are
computed from uniform numbers (`seit_cl.learner.augment.draws`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = [
    "BOX_NUMBERS",
    "CropResize",
    "Mode",
    "RandomBoxes",
    "center_crop",
    "crop_resize",
    "random_resized_boxes",
]

Mode = Literal["bicubic", "bilinear"]
TRIES = 10  # torchvision's number of tries before it falls back to the centre
BOX_NUMBERS = (4, TRIES)  # shape of the uniform numbers that a box needs
BLOCK_VALUES = 2**18  # float32 values of a cache block, 1 MiB
EDGE_EPS = 1e-4  # pixels; a box edge this close to a whole pixel counts as lying on it
# Weights of the taps as polynomials in t, the distance behind the second one, by rising powers:
# Keys' cubic convolution with a = -0.75, as in torch.nn.functional.interpolate, and linear.
POLYNOMIALS = {
    "bicubic": (
        (0.0, 1.0, 0.0, 0.0),
        (-0.75, 0.0, 0.75, 0.0),
        (1.5, -2.25, 1.5, -0.75),
        (-0.75, 1.25, -1.25, 0.75),
    ),
    "bilinear": ((1.0, 0.0), (-1.0, 1.0)),
}
FIRST_TAP = {"bicubic": -1, "bilinear": 0}


class RandomBoxes(nn.Module):
    """Boxes of random resized crops of square images, from uniform numbers.

    The distribution is torchvision's `RandomResizedCrop` without its rounding to whole pixels: area
    uniform in `scale`, aspect ratio log-uniform in `ratio`, the first of 10 tries that fits in the
    image, else the largest centred box of an allowed ratio; the position is uniform.

    Args:
        scale: smallest and largest area, as fractions of the image, 0 < low <= high <= 1.
        ratio: smallest and largest width / height.

    Raises:
        ValueError: if `scale` or `ratio` is out of range.
    """

    low: Tensor
    high: Tensor
    fallback: Tensor
    middle: Tensor

    def __init__(
        self,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        super().__init__()
        if not 0.0 < scale[0] <= scale[1] <= 1.0:
            raise ValueError(f"scale must satisfy 0 < low <= high <= 1, got {scale}")
        if not 0.0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio must satisfy 0 < low <= high, got {ratio}")
        low = torch.tensor([[scale[0]], [math.log(ratio[0])]])
        high = torch.tensor([[scale[1]], [math.log(ratio[1])]])
        aspect = min(max(1.0, ratio[0]), ratio[1])
        fallback = torch.tensor([min(1.0, aspect), min(1.0, 1.0 / aspect)])
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        self.register_buffer("fallback", fallback, persistent=False)
        self.register_buffer("middle", torch.tensor(0.5), persistent=False)

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Compute boxes.

        Args:
            numbers: (B, 4, TRIES) uniform in [0, 1): area, aspect ratio and, of the first try, the
                horizontal and the vertical position.

        Returns:
            Corner (B, 2) and size (B, 2), each horizontal and vertical, as fractions of the image's
            side; the box lies inside the image.
        """
        area, log_ratio = torch.lerp(self.low, self.high, numbers[:, :2]).unbind(1)
        ratio = log_ratio.exp()
        squares = torch.stack(
            [area * ratio, area / ratio], dim=1
        )  # (B, 2, TRIES): width^2, height^2
        fits = squares.amax(dim=1) <= 1.0
        first = fits.to(torch.uint8).argmax(dim=1)  # the first maximum
        chosen = squares.gather(2, first[:, None, None].expand(-1, 2, 1))[:, :, 0].sqrt()
        any_fits = fits.any(dim=1, keepdim=True)
        size = torch.where(any_fits, chosen, self.fallback)
        place = torch.where(any_fits, numbers[:, 2:, 0], self.middle)
        return torch.addcmul(place, size, place, value=-1.0), size


def random_resized_boxes(
    batch: int,
    generator: torch.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Draw one random-resized-crop box (`RandomBoxes`) for each sample of a batch.

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
    boxes = RandomBoxes(scale, ratio).to(generator.device)
    numbers = torch.rand(4, batch, TRIES, generator=generator, device=generator.device)
    return torch.cat(boxes(numbers.transpose(0, 1)), dim=1)


class CropResize(nn.Module):
    """Crop a box of its own out of every sample and resize it, in two batched matrix products.

    Equal to `F.interpolate(crop, out, mode=mode, align_corners=False, antialias=False)` for boxes
    on whole positions, and its continuation between them: positions outside the crop count as its
    edge. Computed in float32, autocast or not. Strong shrinking aliases.

    Args:
        out: output side.
        mode: kernel of the interpolation.

    Raises:
        ValueError: if `mode` is unknown or `out` is not positive.
    """

    first_centre: Tensor
    steps: Tensor
    taps: Tensor
    coefficients: Tensor
    is_horizontal: Tensor

    def __init__(self, out: int, mode: Mode = "bicubic") -> None:
        super().__init__()
        if mode not in POLYNOMIALS:
            raise ValueError(f"mode must be 'bicubic' or 'bilinear', got {mode!r}")
        if out < 1:
            raise ValueError(f"the output side must be positive, got {out}")
        self.out = out
        polynomials = torch.tensor(POLYNOMIALS[mode])
        first = FIRST_TAP[mode]
        taps = torch.arange(first, first + polynomials.shape[1], dtype=torch.float32)
        # Positions are those of centres: a box that begins at the image's edge begins at -0.5.
        self.register_buffer("first_centre", torch.tensor(-0.5), persistent=False)
        self.register_buffer("steps", (torch.arange(out) + 0.5) / out, persistent=False)
        self.register_buffer("taps", taps, persistent=False)
        self.register_buffer("coefficients", polynomials, persistent=False)
        self.register_buffer("is_horizontal", torch.tensor([True, False]), persistent=False)

    def forward(
        self,
        load: Callable[[slice], Tensor],
        corner: Tensor,
        size: Tensor,
        side: int,
        values: int,
        flip: Tensor | None = None,
    ) -> Tensor:
        """Crop and resize samples that are made block by block, in a CPU's cache.

        Args:
            load: makes the samples of a slice of the batch, (b, C, side, side) float or uint8, on
                the device of the boxes.
            corner: (B, 2) horizontal and vertical, fractions of the side.
            size: (B, 2) of the boxes, likewise.
            side: of the samples, in positions.
            values: number of values of a sample.
            flip: (B,) bool, samples to mirror left to right; None for no sample.

        Returns:
            (B, C, out, out) float32.
        """
        return self._by_blocks(_resample, load, corner, size, side, values, flip)

    def by_columns(
        self,
        load: Callable[[slice], Tensor],
        corner: Tensor,
        size: Tensor,
        side: int,
        values: int,
    ) -> Tensor:
        """Crop and resize samples as `forward` does, with the channels last in memory.

        Args:
            load: makes the samples of a slice of the batch, (b, columns, rows, C) float.
            corner: as in `forward`, and so are the rest.
            size: (B, 2).
            side: in positions.
            values: of a sample.

        Returns:
            (B, out, out, C) float32: rows, columns, channels.
        """
        return self._by_blocks(_resample_columns, load, corner, size, side, values, None)

    def _by_blocks(
        self,
        resample: Callable[[Tensor, Tensor], Tensor],
        load: Callable[[slice], Tensor],
        corner: Tensor,
        size: Tensor,
        side: int,
        values: int,
        flip: Tensor | None,
    ) -> Tensor:
        batch = len(corner)
        with torch.autocast(corner.device.type, enabled=False):
            matrices = self.matrices(corner, size, side, flip)
            slices = _blocks(batch, values, corner.device)
            if len(slices) == 1:
                return resample(load(slices[0]), matrices)
            whole = None
            for part in slices:
                resized = resample(load(part), matrices[part])
                if whole is None:
                    whole = resized.new_empty(batch, *resized.shape[1:])
                whole[part] = resized
            assert whole is not None
            return whole

    def matrices(
        self, corner: Tensor, size: Tensor, side: int, flip: Tensor | None = None
    ) -> Tensor:
        """Build the matrices that crop and resize both axes.

        Row i of a matrix holds the weights of the `side` input positions in output position i.

        Args:
            corner: as in `forward`, and so are the rest.
            size: (B, 2).
            side: in positions.
            flip: (B,) bool or None.

        Returns:
            (B, 2, out, side) float32, of the horizontal and the vertical axis; every row sums to 1.
        """
        begin = torch.add(self.first_centre, corner, alpha=side)  # (B, 2), in input positions
        end = torch.add(begin, size, alpha=side)
        low = (begin + (0.5 + EDGE_EPS)).floor_()
        high = (end + (0.5 - EDGE_EPS)).floor_().clamp_(0, side - 1)
        if flip is not None:
            is_flipped = flip[:, None] & self.is_horizontal
            begin = torch.where(is_flipped, end, begin)
            size = torch.where(is_flipped, -size, size)
        centre = torch.addcmul(begin[:, :, None], size[:, :, None], self.steps, value=side)
        base = centre.floor()  # (B, 2, out)
        behind = (centre - base)[..., None]
        weights = self.coefficients[-1]
        for coefficient in reversed(self.coefficients[:-1].unbind()):
            weights = torch.addcmul(coefficient, weights, behind)  # (B, 2, out, taps)
        index = (base[..., None] + self.taps).clamp(low[:, :, None, None], high[:, :, None, None])
        matrices = torch.zeros(*centre.shape, side, device=centre.device)
        return matrices.scatter_add_(3, index.long(), weights)


def _blocks(batch: int, values: int, device: torch.device) -> list[slice]:
    """Cut a batch into slices that fit in a CPU's cache; other devices get one slice.

    Args:
        batch: number of samples B.
        values: number of values of a sample.
        device: where the samples are.

    Returns:
        slices that cover the batch; at least 4 samples each, the last one excepted.
    """
    step = max(4, BLOCK_VALUES // values) if device.type == "cpu" else max(batch, 1)
    return [slice(start, min(start + step, batch)) for start in range(0, max(batch, 1), step)]


def _resample(x: Tensor, matrices: Tensor) -> Tensor:
    """Apply (B, 2, out, side) matrices to (B, C, side, side).

    Returns:
        (B, C, out, out) float32, a view.
    """
    batch, channels, side, _ = x.shape
    horizontal, vertical = matrices.unbind(1)
    out = matrices.shape[2]
    half = x.float().reshape(batch, channels * side, side) @ horizontal.transpose(1, 2)
    half = half.view(batch, channels, side, out).transpose(1, 2)
    half = half.reshape(batch, side, channels * out)
    return (vertical @ half).view(batch, out, channels, out).transpose(1, 2)


def _resample_columns(x: Tensor, matrices: Tensor) -> Tensor:
    """Apply (B, 2, out, side) matrices to (B, columns, rows, C).

    Returns:
        (B, out, out, C) float32: rows, columns, channels.
    """
    batch, side, _, channels = x.shape
    horizontal, vertical = matrices.unbind(1)
    out = matrices.shape[2]
    half = horizontal @ x.reshape(batch, side, side * channels)
    half = half.view(batch, out, side, channels).transpose(1, 2)
    half = half.reshape(batch, side, out * channels)
    return (vertical @ half).view(batch, out, out, channels)


def crop_resize(
    x: Tensor, boxes: Tensor, out: int, mode: Mode = "bicubic", flip: Tensor | None = None
) -> Tensor:
    """Crop a box of its own out of every sample and resize it (`CropResize`).

    Args:
        x: (B, C, S, S) floating point or uint8.
        boxes: (B, 4) `(x0, y0, w, h)`, fractions of the side S, inside the image, on the device of
            `x`.
        out: output side.
        mode: "bicubic" or "bilinear".
        flip: (B,) bool, samples to mirror left to right; None for no sample.

    Returns:
        (B, C, out, out) on the device of `x`, of its dtype; float32, unclamped, for uint8.

    Raises:
        ValueError: if a shape, the dtype or the mode is wrong.
    """
    if x.ndim != 4 or not (x.is_floating_point() or x.dtype == torch.uint8):
        raise ValueError(
            f"x must be float or uint8 of shape (B, C, S, S), got {x.dtype} {tuple(x.shape)}"
        )
    batch, channels, side, width = x.shape
    if side != width:
        raise ValueError(f"x must be square, got {tuple(x.shape)}")
    if boxes.shape != (batch, 4) or (flip is not None and flip.shape != (batch,)):
        raise ValueError("boxes must have shape (B, 4) and flip (B,), B being the batch of x")
    resize = CropResize(out, mode).to(x.device)
    corner, size = boxes.float().chunk(2, dim=1)
    values = channels * side * side
    whole: Tensor = resize(lambda part: x[part], corner, size, side, values, flip)
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
