"""Codebook updates of a training: moving averages of latents, and restarts of dead codes.

Exponential moving averages: van den Oord et al., NeurIPS 2017, appendix. Codes of the first level
stay on the unit sphere (Yu et al., ICLR 2022); those of the levels that code residuals do not.
Codes that are no longer used restart at latents of the current batch (Dhariwal et al., 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DECAY = 0.99
DEAD_BELOW = 0.1  # a code restarts if its moving average of uses per step falls below this
RESTART_EVERY = 50  # steps
MIN_USES = 1e-6  # divisor of the sum of a code that was never used


class CodebookAverages:
    """Moving averages of the latents and the uses of each code, which update a codebook.

    A code and its mirror image share one average: latents of the mirror image are mirrored first.

    Args:
        codebook: (K, D), changed in place.
        signs: (D,) by which mirroring multiplies a code; None if codes have no mirror images.
        generator: of the restarts, on the CPU.
        unit: codes stay on the unit sphere. Otherwise codes are means of latents, and all of them
            start at latents of the first batch.
    """

    def __init__(
        self, codebook: Tensor, signs: Tensor | None, generator: torch.Generator, unit: bool = True
    ) -> None:
        self.codebook = codebook
        self.signs = signs
        self.generator = generator
        self.unit = unit
        self.codes_per_average = 1 if signs is None else 2
        averages = len(codebook) // self.codes_per_average
        self.uses = torch.full((averages,), float(unit), device=codebook.device)
        self.sums = codebook[:averages] * self.uses[:, None]

    @property
    def alive(self) -> int:
        """Number of codes in use."""
        return self.codes_per_average * int((self.uses >= DEAD_BELOW).sum())

    def update(self, latents: Tensor, indices: Tensor, step: int) -> None:
        """Move codes towards the mean of their latents.

        Args:
            latents: (B, D, H, W) that this codebook coded.
            indices: their codes (B, H, W).
            step: number of the optimiser step; every RESTART_EVERY steps, dead codes restart.
        """
        averages = len(self.sums)
        flat = latents.detach().float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        codes = indices.reshape(-1)
        if self.signs is not None:
            flat = torch.where(codes[:, None] < averages, flat, flat * self.signs)
        codes = codes % averages
        sums = torch.zeros_like(self.sums).index_add_(0, codes, flat)
        uses = torch.bincount(codes, minlength=averages).float()
        self.sums.lerp_(sums, 1 - DECAY)
        self.uses.lerp_(uses, 1 - DECAY)
        if step % RESTART_EVERY == 0:
            self._restart_dead(flat)
        if self.unit:
            first = F.normalize(self.sums, dim=1)
        else:
            first = self.sums / self.uses.clamp_min(MIN_USES)[:, None]
        if self.signs is not None:
            first = torch.cat([first, first * self.signs])
        self.codebook.copy_(first)

    def _restart_dead(self, latents: Tensor) -> None:
        """Set the averages of dead codes to random ones of latents (N, D)."""
        dead = self.uses < DEAD_BELOW
        picks = torch.randint(len(latents), (len(dead),), generator=self.generator)
        self.sums = torch.where(dead[:, None], latents[picks.to(latents.device)], self.sums)
        self.uses = torch.where(dead, torch.ones_like(self.uses), self.uses)
