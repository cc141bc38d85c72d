"""Augmentation of pixel batches: random resized crop and flip in training, centre crop in tests."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from seit_cl.learner.augment.crops import BOX_NUMBERS, CropResize, RandomBoxes, center_crop
from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.augment.settings import PixelAugmentOptions

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "PixelAugment"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PixelAugment(nn.Module):
    """Turn stored pixels into the learner's input: crop, flip, ImageNet normalisation.

    The module holds its constants as buffers: move it to the device of the data.

    Args:
        crop: side of the output in pixels.
        options: what to apply when training.

    Raises:
        ValueError: `crop` is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, crop: int, options: PixelAugmentOptions | None = None) -> None:
        super().__init__()
        if crop < 1:
            raise ValueError(f"crop must be positive, got {crop}")
        self.crop = crop
        self.options = options or PixelAugmentOptions()
        self.boxes = RandomBoxes((self.options.pixel_rrc, 1.0))
        self.resize = CropResize(crop)
        mean = 255.0 * torch.tensor(IMAGENET_MEAN)[:, None, None]
        std = 255.0 * torch.tensor(IMAGENET_STD)[:, None, None]
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def layout(self, shape: torch.Size) -> Layout:
        """The random numbers that an image (3, S, S) needs."""
        uniform: dict[str, tuple[int, ...]] = {}
        if self.options.flip_p > 0.0:
            uniform["flip"] = ()
        if self.options.pixel_rrc < 1.0:
            uniform["boxes"] = BOX_NUMBERS
        if self.options.pixel_pad:
            uniform["corner"] = (2,)
        return Layout(uniform)

    def mirrored(self, pixels: Tensor) -> Tensor | None:
        """Mirror images (B, 3, S, S) left to right; None where training mirrors none."""
        return pixels.flip(-1) if self.options.flip_p > 0.0 else None

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise (B, 3, S, S) in [0, 255] to ImageNet's mean and deviation per channel."""
        return (pixels.float() - self.mean) / self.std

    def forward(self, pixels: Tensor, numbers: Numbers | None = None) -> Tensor:
        """Augment a batch, or crop its centre, and normalise it.

        Args:
            pixels: (B, 3, S, S) uint8.
            numbers: those of `layout`, for training; None to crop the centre.

        Returns:
            (B, 3, crop, crop) float32 on the device of `pixels`.

        Raises:
            ValueError: the shape or dtype is wrong, or a centre crop exceeds the image.
        """
        is_image = pixels.ndim == 4 and pixels.shape[1] == 3 and pixels.shape[2] == pixels.shape[3]
        if not is_image or pixels.dtype != torch.uint8:
            actual = f"{pixels.dtype} {tuple(pixels.shape)}"
            raise ValueError(f"pixels must be uint8 of shape (B, 3, S, S), got {actual}")
        if numbers is None:
            return self.normalise(center_crop(pixels, self.crop))
        flip = numbers["flip"] < self.options.flip_p if "flip" in numbers else None
        if "boxes" in numbers:
            cropped = self._random_crop(pixels, numbers["boxes"], flip)
            return cropped.clamp_(0.0, 255.0).sub_(self.mean).div_(self.std)  # bicubic overshoots
        if "corner" in numbers:
            return self.normalise(self._padded_crop(pixels, numbers["corner"], flip))
        centre = center_crop(pixels, self.crop)
        if flip is not None:
            centre = torch.where(flip[:, None, None, None], centre.flip(-1), centre)
        return self.normalise(centre)

    def _padded_crop(self, pixels: Tensor, numbers: Tensor, flip: Tensor | None) -> Tensor:
        """Crop every image with a black border at a random place, uint8.

        Args:
            pixels: (B, 3, S, S).
            numbers: (B, 2) uniform, one for each axis.
            flip: (B,) bool, the crops to mirror; None for none.
        """
        border = self.options.pixel_pad
        padded = functional.pad(pixels, [border] * 4)
        places = padded.shape[-1] - self.crop + 1
        corner = (places * numbers).long()
        offsets = torch.arange(self.crop, device=pixels.device)
        rows = corner[:, :1] + offsets
        columns = corner[:, 1:] + offsets
        if flip is not None:
            columns = torch.where(flip[:, None], columns.flip(1), columns)
        images = torch.arange(len(pixels), device=pixels.device)[:, None, None]
        cropped = padded[images, :, rows[:, :, None], columns[:, None, :]]
        return cropped.permute(0, 3, 1, 2)

    def _random_crop(self, pixels: Tensor, numbers: Tensor, flip: Tensor | None) -> Tensor:
        """Crop a random box of every image, resized to the output's side, float32 in 0 to 255."""
        corner, size = self.boxes(numbers)
        side = pixels.shape[-1]
        values = pixels.shape[1] * side**2
        cropped: Tensor = self.resize(lambda part: pixels[part], corner, size, side, values, flip)
        return cropped
