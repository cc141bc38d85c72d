"""Counterparts of seit_cl's own code from other libraries."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from seit_cl.learner.augment.crops import random_resized_boxes
from seit_cl.learner.augment.pixels import PixelAugment, PixelAugmentOptions


class TorchvisionAugment:
    """Random resized crop, flip and normalisation by torchvision's functions, image by image.

    It does what PixelAugment does, with torchvision's default antialiasing and with boxes rounded
    to whole pixels, as a torchvision training transform.

    Args:
        augment: gives the crop's side, the options and the normalisation.
    """

    def __init__(self, augment: PixelAugment) -> None:
        self.crop = augment.crop
        self.options: PixelAugmentOptions = augment.options
        self.mean = augment.mean.flatten().tolist()
        self.std = augment.std.flatten().tolist()

    def __call__(
        self, raw: Tensor, generator: torch.Generator | None, train: bool = True
    ) -> Tensor:
        """Augment a batch.

        Args:
            raw: (B, 3, S, S) uint8.
            generator: on the device of raw.
            train: must be True.

        Returns:
            (B, 3, crop, crop) float32.

        Raises:
            ValueError: no generator, or not training.
        """
        if generator is None or not train:
            raise ValueError("TorchvisionAugment only trains; it needs a generator")
        scale = (self.options.pixel_rrc, 1.0)
        boxes = random_resized_boxes(len(raw), generator, scale) * raw.shape[-1]
        flips = torch.rand(len(raw), generator=generator, device=raw.device) < self.options.flip_p
        images = []
        rows = zip(raw, boxes.round().int().tolist(), flips.tolist(), strict=True)
        for image, (left, top, width, height), flip in rows:
            crop = F.resized_crop(
                image,
                top,
                left,
                max(1, height),
                max(1, width),
                [self.crop, self.crop],
                interpolation=InterpolationMode.BICUBIC,
            )
            images.append(F.horizontal_flip(crop) if flip else crop)
        return F.normalize(torch.stack(images).float(), self.mean, self.std, inplace=True)
