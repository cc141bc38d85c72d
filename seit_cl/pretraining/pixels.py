"""Masked image modelling: predict the pixels of masked patches (SimMIM, Xie et al., CVPR 2022)."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.augment.draws import Numbers
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.settings import PixelAugmentOptions
from seit_cl.models._vit import StemAdapter
from seit_cl.pretraining.base import Examples
from seit_cl.pretraining.masking import patchify

SMALLEST_CROP = 0.67  # area of the random crop, SimMIM's
CHANNELS = 3


class MaskedPixels:
    """Masked modelling of images (`seit_cl.pretraining.base.MaskedKind`).

    Args:
        config: gives the probability of mirroring.
        data: gives the images.
        stem: of the network.
        device: of the training.

    Raises:
        UserError: data without images.
    """

    objective: ClassVar[str] = "masked image modelling"

    def __init__(
        self, config: RunConfig, data: RunData, stem: StemAdapter, device: torch.device
    ) -> None:
        data.require_images("--learner pixels")
        self.data = data
        options = PixelAugmentOptions(flip_p=config.flip_p, pixel_rrc=SMALLEST_CROP)
        self.augment = PixelAugment(stem.img_size[0], options).to(device)
        self.grid = stem.grid_size
        self.side = stem.patch_size[0]
        self.outputs = self.side**2 * CHANNELS

    def load(self) -> None:
        """Load the training images, where main memory can hold them."""
        self.data.preload_pixels()

    def raw(self, rows: Tensor) -> Tensor:
        """Images (B, 3, S, S) uint8 of training samples (B,)."""
        return self.data.pixels(rows)

    def draw(self, raw: Tensor, generator: torch.Generator) -> Numbers:
        """Draw a flip and a box for each image."""
        layout = self.augment.layout(raw.shape[1:])
        return layout.numbers(layout.draw([(len(raw), generator)]))

    def examples(self, raw: Tensor, numbers: Numbers) -> Examples:
        """Crop and normalise images (B, 3, S, S), with their pixels as targets."""
        inputs = self.augment(raw, numbers)
        return Examples(inputs, patchify(inputs, self.grid, self.side))

    def loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Mean absolute error of the normalised pixels."""
        return F.l1_loss(predicted, targets)
