"""Augmentation of pixel batches: random resized crop and flip in training, centre crop in tests."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seit_cl.core.options import AREA, option
from seit_cl.learner.augment.crops import (
    FlipOptions,
    center_crop,
    check_generator,
    crop_resize,
    random_resized_boxes,
)

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "PixelAugment", "PixelAugmentOptions"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PixelAugmentOptions(FlipOptions):
    """Options of pixel augmentation. ImageNet's usual crop, 0.08, is hard on images of 64 px."""

    pixel_rrc: float = option(
        0.3, "smallest area of the pixel learner's random crop; 1: no crop", AREA
    )


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
        mean = 255.0 * torch.tensor(IMAGENET_MEAN)[:, None, None]
        std = 255.0 * torch.tensor(IMAGENET_STD)[:, None, None]
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Normalise (B, 3, S, S) in [0, 255] to ImageNet's mean and deviation per channel."""
        return (pixels.float() - self.mean) / self.std

    def forward(
        self, pixels: Tensor, generator: torch.Generator | None = None, train: bool = True
    ) -> Tensor:
        """Augment (train) or centre-crop (test) and normalise a batch.

        Args:
            pixels: (B, 3, S, S) uint8.
            generator: on the device of `pixels`; needed for training only.
            train: whether to augment.

        Returns:
            (B, 3, crop, crop) float32 on the device of `pixels`.

        Raises:
            ValueError: the shape, dtype or generator is wrong, or a centre crop exceeds the image.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.uint8:
            actual = f"{pixels.dtype} {tuple(pixels.shape)}"
            raise ValueError(f"pixels must be uint8 of shape (B, 3, S, S), got {actual}")
        if not train:
            return self.normalise(center_crop(pixels, self.crop))
        if generator is None:
            raise ValueError("training needs a generator")
        check_generator(generator, pixels.device)
        batch = len(pixels)
        flip_p = self.options.flip_p
        smallest_area = self.options.pixel_rrc
        flip = None
        if flip_p > 0.0:
            flip = torch.rand(batch, generator=generator, device=pixels.device) < flip_p
        if smallest_area < 1:
            boxes = random_resized_boxes(batch, generator, (smallest_area, 1.0))
            cropped = crop_resize(pixels, boxes, self.crop, flip=flip)
            return cropped.clamp_(0.0, 255.0).sub_(self.mean).div_(self.std)  # bicubic overshoots
        centre = center_crop(pixels, self.crop)
        if flip is not None:
            centre = torch.where(flip[:, None, None, None], centre.flip(-1), centre)
        return self.normalise(centre)
