"""Codes of latents in a training: their vectors, their loss, and the update of codebooks.

Symbols: B batch, L levels, G codes of a position, K codes of a group, D code dimension, H x W grid.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from seit_cl.tokenizers.nets.scalar_autoencoder import ScalarAutoencoder
from seit_cl.tokenizers.nets.vit_vqgan import ViTVQGAN
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.codebook import DEAD_BELOW, DECAY, CodebookAverages

COMMITMENT = 0.25  # weight of the commitment loss (van den Oord et al., 2017)
ENTROPY = 0.1  # weight of BSQ's entropy penalty, that of MAGVIT-v2's (Yu et al., ICLR 2024)

Trainable = VQAutoencoder | ScalarAutoencoder | ViTVQGAN


class Coding(Protocol):
    """Codes in a training, of models with a codebook or without.

    Attributes:
        alive: number of codes in use, over all levels or groups.
    """

    @property
    def alive(self) -> int:
        """Number of codes in use."""

    def embed(
        self, latents: Tensor, detailed: Tensor, indices: Tensor, depths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Vectors (B, D, H, W) of codes, and the loss of the codes beside the reconstruction.

        Args:
            latents: (B, D, H, W) of the first level.
            detailed: (B, D, H, W) of all levels.
            indices: codes (B, L, H, W), or (B, G, H, W).
            depths: levels (B, 1, 1, 1) that each image's sum includes; None takes all.
        """

    def update(self, latents: Tensor, detailed: Tensor, indices: Tensor, step: int) -> None:
        """Take account of a step's codes.

        Args:
            latents, detailed, indices: as of `embed`.
            step: number of the optimiser step.
        """

    def state(self) -> dict[str, Tensor]:
        """Tensors that a checkpoint keeps."""

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from these tensors."""


class CodebookCoding:
    """Codebooks that follow moving averages of the latents, with a commitment loss.

    Args:
        model: has the codebooks, which are changed in place.
        generator: of the restarts of dead codes.
        frozen: the first level's codebook stays.
    """

    def __init__(
        self, model: VQAutoencoder | ViTVQGAN, generator: torch.Generator, frozen: bool
    ) -> None:
        self.model = model
        self.frozen = frozen
        self.averages = [CodebookAverages(model.codebook, model.signs, generator)]
        if isinstance(model, VQAutoencoder) and model.levels > 1:
            for codebook in model.residuals:
                averages = CodebookAverages(codebook, model.signs, generator, unit=False)
                self.averages.append(averages)

    @property
    def alive(self) -> int:
        """Number of codes in use."""
        return sum(averages.alive for averages in self.averages)

    def embed(
        self, latents: Tensor, detailed: Tensor, indices: Tensor, depths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sums (B, D, H, W) of the code vectors of the levels, and the commitment loss.

        The loss is the mean over n = 1, ..., L of the squared distance of the latents to the sums
        over the first n levels.
        """
        total = self.model.embed(indices[:, 0])
        codes = total
        commitment = (latents - total).square().sum(1).mean()
        for level in range(1, self.model.levels):
            total = total + self.model.embed_level(indices[:, level], level)
            codes = total if depths is None else torch.where(depths > level, total, codes)
            commitment = commitment + (detailed - total).square().sum(1).mean()
        return codes, COMMITMENT * (commitment / self.model.levels)

    def update(self, latents: Tensor, detailed: Tensor, indices: Tensor, step: int) -> None:
        """Move the codebook of each level towards the latents that it coded.

        Each further level coded what the levels before it left of `detailed`.
        """
        # All residuals come before the first update, as updates change the codes.
        targets = [latents]
        residual = detailed
        for level in range(self.model.levels - 1):
            residual = residual - self.model.embed_level(indices[:, level], level)
            targets.append(residual)
        for level, (averages, target) in enumerate(zip(self.averages, targets, strict=True)):
            if level > 0 or not self.frozen:
                averages.update(target, indices[:, level], step)

    def state(self) -> dict[str, Tensor]:
        """The averages."""
        return {
            "sums": torch.stack([averages.sums for averages in self.averages]),
            "uses": torch.stack([averages.uses for averages in self.averages]),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from these averages."""
        for averages, sums, uses in zip(self.averages, state["sums"], state["uses"], strict=True):
            averages.sums = sums.to(averages.codebook.device)
            averages.uses = uses.to(averages.codebook.device)


class ScalarCoding:
    """Codes without a codebook: a penalty where the quantiser has one, and counts of the codes.

    Args:
        model: has the quantiser.
    """

    def __init__(self, model: ScalarAutoencoder) -> None:
        self.model = model
        quantiser = model.quantiser
        first_codes = torch.arange(quantiser.groups, device=quantiser.sizes.device)
        self.first_codes = first_codes[:, None, None] * quantiser.codes_each
        # Moving averages of uses per step, for reports.
        codes = quantiser.groups * quantiser.codes_each
        self.uses = torch.ones(codes, device=quantiser.sizes.device)

    @property
    def alive(self) -> int:
        """Number of codes in use."""
        return int((self.uses >= DEAD_BELOW).sum())

    def embed(
        self, latents: Tensor, detailed: Tensor, indices: Tensor, depths: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Vectors (B, D, H, W) of codes, and the quantiser's penalty."""
        penalty = self.model.quantiser.penalty(latents)
        return self.model.embed_levels(indices), ENTROPY * penalty

    def update(self, latents: Tensor, detailed: Tensor, indices: Tensor, step: int) -> None:
        """Count the codes."""
        numbered = (indices + self.first_codes).flatten()
        uses = torch.bincount(numbered, minlength=len(self.uses)).float()
        self.uses.lerp_(uses, 1 - DECAY)

    def state(self) -> dict[str, Tensor]:
        """The counts."""
        return {"uses": self.uses}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from these counts."""
        self.uses = state["uses"].to(self.uses.device)


def coding_of(model: Trainable, generator: torch.Generator, frozen: bool) -> Coding:
    """Make the part of a training that deals with a model's codes.

    Args:
        model: on its device.
        generator: of the restarts of dead codes.
        frozen: the first level's codebook stays.
    """
    if isinstance(model, ScalarAutoencoder):
        return ScalarCoding(model)
    return CodebookCoding(model, generator, frozen)
