"""Augmentation of pixel batches: random resized crop and flip when training, centre crop when testing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seit_cl.learner.augment.crops import (
    Mode,
    center_crop,
    check_generator,
    crop_resize,
    random_resized_boxes,
)

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "PixelAugment", "PixelAugmentConfig"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PixelAugmentConfig:
    """Pixel augmentation; every part can be switched off.

    Args:
        rrc: random resized crop; False takes the centre crop.
        rrc_scale: smallest and largest area of the crop as fractions of the image. Ours is (0.25, 1); ImageNet's
            custom is (0.08, 1), hard on images of 64 pixels.
        flip_p: probability of a left-right flip.
        mode: interpolation of the crop.

    Raises:
        ValueError: if a value is out of range.
    """

    rrc: bool = True
    rrc_scale: tuple[float, float] = (0.25, 1.0)
    flip_p: float = 0.5
    mode: Mode = "bicubic"

    def __post_init__(self) -> None:
        if not 0.0 <= self.flip_p <= 1.0:
            raise ValueError(f"flip_p must lie in [0, 1], got {self.flip_p}")
        if not 0.0 < self.rrc_scale[0] <= self.rrc_scale[1] <= 1.0:
            raise ValueError(f"rrc_scale must satisfy 0 < low <= high <= 1, got {self.rrc_scale}")


class PixelAugment(nn.Module):
    """Turns stored pixels into the learner's input: crop, flip, ImageNet normalisation.

    The module holds its constants as buffers: move it to the device of the data.

    Args:
        crop: side of the output in pixels.
        config: what to apply when training.

    Raises:
        ValueError: if ``crop`` is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, crop: int, config: PixelAugmentConfig | None = None) -> None:
        super().__init__()
        if crop < 1:
            raise ValueError(f"crop must be positive, got {crop}")
        self.crop = crop
        self.config = config or PixelAugmentConfig()
        self.register_buffer(
            "mean", 255.0 * torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False
        )
        self.register_buffer(
            "std", 255.0 * torch.tensor(IMAGENET_STD)[:, None, None], persistent=False
        )

    def normalise(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) in [0, 255] -> float32 of the same shape, ImageNet mean 0 and deviation 1 per channel."""
        return (pixels.float() - self.mean) / self.std

    def forward(
        self, pixels: Tensor, gen: torch.Generator | None = None, train: bool = True
    ) -> Tensor:
        """Augment (train) or centre-crop (test) and normalise a batch.

        Args:
            pixels: (B, 3, S, S) uint8.
            gen: generator on the device of ``pixels``; needed when training only.
            train: whether to augment.

        Returns:
            (B, 3, crop, crop) float32 on the device of ``pixels``.

        Raises:
            ValueError: if the shape, the dtype or the generator is wrong, or a centre crop is larger than the image.
        """
        if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.uint8:
            raise ValueError(
                f"pixels must be uint8 of shape (B, 3, S, S), got {pixels.dtype} {tuple(pixels.shape)}"
            )
        if not train:
            return self.normalise(center_crop(pixels, self.crop))
        if gen is None:
            raise ValueError("training needs a generator")
        check_generator(gen, pixels.device)
        config, batch, flip = self.config, pixels.shape[0], None
        if config.flip_p > 0.0:
            flip = torch.rand(batch, generator=gen, device=pixels.device) < config.flip_p
        if config.rrc:
            boxes = random_resized_boxes(batch, gen, config.rrc_scale)
            cropped = crop_resize(pixels, boxes, self.crop, config.mode, flip)
            return cropped.clamp_(0.0, 255.0).sub_(self.mean).div_(self.std)  # bicubic overshoots
        centre = center_crop(pixels, self.crop)
        if flip is not None:
            centre = torch.where(flip[:, None, None, None], centre.flip(-1), centre)
        return self.normalise(centre)
