"""The codebooks of a training: moving averages of the latents, and a new start for codes that die.

Van den Oord et al. (NeurIPS 2017, appendix: exponential moving averages), on the unit sphere (Yu et al., ICLR 2022) at the first
level and free at those that code what is left; codes that die restart at latents of the current batch (Dhariwal et al., 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

DECAY = 0.99
DEAD_BELOW = 0.1  # moving average of uses per step under which a code restarts
RESTART_EVERY = 50  # steps
TINY = 1e-6  # uses of a code that has not been seen


class CodebookAverages:
    """Moving averages of the latents and uses of each code, its partner's mirrored; owns the codebook's update.

    Args:
        codebook: (K, D), changed in place.
        signs: (D,) how mirroring acts on codes; None: codes have no partners.
        generator: of the restarts; on the CPU.
        unit: codes stay on the unit sphere. Else they are means, and all of them start at latents of the first batch.
    """

    def __init__(
        self, codebook: Tensor, signs: Tensor | None, generator: torch.Generator, unit: bool = True
    ) -> None:
        self.codebook, self.signs, self.generator, self.unit = codebook, signs, generator, unit
        self.partners = 1 if signs is None else 2  # codes that one average stands for
        first = len(codebook) // self.partners
        self.uses = torch.full((first,), float(unit), device=codebook.device)
        self.sums = codebook[:first] * self.uses[:, None]

    @property
    def alive(self) -> int:
        """How many codes are in use."""
        return self.partners * int((self.uses >= DEAD_BELOW).sum())

    def update(self, latents: Tensor, indices: Tensor, step: int) -> None:
        """Move codes toward the mean of their latents.

        Args:
            latents: (B, D, H, W), what this level codes.
            indices: (B, H, W) their codes.
            step: restarts happen every RESTART_EVERY steps.
        """
        count, signs = len(self.sums), self.signs
        flat, codes = (
            latents.detach().float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1]),
            indices.reshape(-1),
        )
        if signs is not None:
            flat = torch.where(codes[:, None] < count, flat, flat * signs)
        sums = torch.zeros_like(self.sums).index_add_(0, codes % count, flat)
        uses = torch.bincount(codes % count, minlength=count).float()
        self.sums.lerp_(sums, 1 - DECAY)
        self.uses.lerp_(uses, 1 - DECAY)
        if step % RESTART_EVERY == 0:
            dead = self.uses < DEAD_BELOW
            picks = torch.randint(len(flat), (count,), generator=self.generator).to(flat.device)
            self.sums = torch.where(dead[:, None], flat[picks], self.sums)
            self.uses = torch.where(dead, torch.ones_like(self.uses), self.uses)
        first = (
            F.normalize(self.sums, dim=1)
            if self.unit
            else self.sums / self.uses.clamp_min(TINY)[:, None]
        )
        self.codebook.copy_(first if signs is None else torch.cat([first, first * signs]))
