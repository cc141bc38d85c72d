"""Masked token modelling: predict the codes of masked patches (SeiT++, Lee et al., ECCV 2024).

Codes are targets only where they are whole, so images are mirrored and cropped at whole positions,
and not resized.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.build import build_augment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.models._vit import StemAdapter
from seit_cl.pretraining.base import Examples
from seit_cl.pretraining.masking import patchify

MOST_OUTPUTS = 2**18  # values that the linear layer may predict for a patch


class MaskedTokens:
    """Masked modelling of token grids (`seit_cl.pretraining.base.MaskedKind`).

    Args:
        config: gives the probability of mirroring.
        data: gives tokens and tokenizer.
        stem: of the network.
        device: of the training.

    Raises:
        UserError: a codebook that is too large for a prediction of codes.
    """

    objective: ClassVar[str] = "masked token modelling"

    def __init__(
        self, config: RunConfig, data: RunData, stem: StemAdapter, device: torch.device
    ) -> None:
        augment = build_augment(config, data, device)
        assert isinstance(augment, TokenAugment)
        self.data = data
        self.augment = augment
        self.flip_p = config.flip_p
        self.grid = stem.grid_size
        self.side = stem.patch_size[0]
        self.codes = augment.codes
        self.outputs = self.side**2 * augment.groups * augment.codes
        if self.outputs > MOST_OUTPUTS:
            raise UserError(
                f"--tokenizer {data.tokenizer.identity}: its {augment.codes:,} codes are too many "
                "to be predicted; pre-train with another tokenizer, or --learner pixels"
            )

    def load(self) -> None:
        """Tokenize the images, or read their tokens from the cache."""
        self.raw(torch.zeros(1, dtype=torch.int64))

    def raw(self, rows: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of training samples (B,)."""
        return self.data.tokens(rows)

    def draw(self, raw: Tensor, generator: torch.Generator) -> Numbers:
        """Draw a flip, the corner of a crop, and a change of TokenAdapt for each image."""
        shapes: dict[str, tuple[int, ...]] = {"flip": (), "corner": (2,)}
        adapter = self.augment.adapter
        if adapter is not None:
            options = self.augment.options
            shapes |= adapter.layout(options.warp_p, options.recolour_p)
        layout = Layout(shapes)
        return layout.numbers(layout.draw([(len(raw), generator)]))

    def examples(self, raw: Tensor, numbers: Numbers) -> Examples:
        """Embed tokens (B, G, H, W), with their codes as targets."""
        mirrored = self.augment.mirrored(raw)
        if mirrored is not None:
            chosen = numbers["flip"] < self.flip_p
            raw = torch.where(chosen[:, None, None, None], mirrored, raw)
        if self.augment.adapter is not None:
            raw = self.augment.adapt(self.augment.rows(raw), numbers) - self.augment.first_rows
        if not self.augment.sequence:
            raw = crop_positions(raw, numbers["corner"], self.augment.crop)
        return Examples(self.augment.embed(raw), patchify(raw, self.grid, self.side).long())

    def loss(self, predicted: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the codes, in nats for each."""
        return F.cross_entropy(predicted.view(-1, self.codes), targets.flatten())


def crop_positions(grids: Tensor, numbers: Tensor, crop: int) -> Tensor:
    """Crop every grid at a random whole position.

    Args:
        grids: (B, G, S, S).
        numbers: (B, 2) uniform, vertical and horizontal.
        crop: side of the result, at most S.
    """
    places = grids.shape[-1] - crop + 1
    corner = (places * numbers).long()
    offsets = torch.arange(crop, device=grids.device)
    rows = corner[:, :1] + offsets
    columns = corner[:, 1:] + offsets
    images = torch.arange(len(grids), device=grids.device)[:, None, None]
    return grids[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
