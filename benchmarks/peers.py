"""What others use where seit_cl has code of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from seit_cl.learner.augment.crops import random_resized_boxes
from seit_cl.learner.augment.pixels import PixelAugment


class TorchvisionAugment:
    """PixelAugment's random resized crop, flip and normalisation by torchvision's functions, image by image, with their
    default antialiasing: what a torchvision training transform computes. Boxes are rounded to whole pixels, as there.

    Args:
        ours: gives the crop's side, the configuration and the normalisation.
    """

    def __init__(self, ours: PixelAugment) -> None:
        self.crop, self.config = ours.crop, ours.config
        self.mean, self.std = ours.mean.flatten().tolist(), ours.std.flatten().tolist()

    def __call__(
        self, raw: Tensor, generator: torch.Generator | None, train: bool = True
    ) -> Tensor:
        """(B, 3, S, S) uint8 -> (B, 3, crop, crop) float32, augmented.

        Raises:
            ValueError: no generator, or not training.
        """
        if generator is None or not train:
            raise ValueError("this peer only augments; it needs a generator")
        boxes = (
            (random_resized_boxes(len(raw), generator, self.config.rrc_scale) * raw.shape[-1])
            .round()
            .int()
        )
        size, mode = [self.crop, self.crop], InterpolationMode.BICUBIC
        flips = (
            torch.rand(len(raw), generator=generator, device=raw.device) < self.config.flip_p
        ).tolist()
        parts = []
        for image, (left, top, width, height), flip in zip(raw, boxes.tolist(), flips, strict=True):
            part = F.resized_crop(
                image, top, left, max(1, height), max(1, width), size, interpolation=mode
            )
            parts.append(F.horizontal_flip(part) if flip else part)
        return F.normalize(torch.stack(parts).float(), self.mean, self.std, inplace=True)
