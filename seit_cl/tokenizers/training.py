"""Training the vector-quantised autoencoder: reconstruction and commitment, codebook by moving averages with restarts.

The codebook follows van den Oord et al. (NeurIPS 2017, appendix: exponential moving averages) on the unit sphere (Yu et
al., ICLR 2022); codes that die restart at latents of the current batch (Dhariwal et al., 2020).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.tokenizers.vqae import VQAutoencoder

COMMITMENT = 0.25  # van den Oord et al., 2017
DECAY = 0.99
DEAD_BELOW = 0.1  # moving average of uses per step under which a code restarts
RESTART_EVERY = 50


@dataclass(frozen=True)
class Progress:
    """What training reports: step, fraction of the time used, loss, PSNR in dB of the batch, codes alive of all."""

    step: int
    fraction: float
    loss: float
    psnr: float
    codes_alive: int


class CodebookAverages:
    """Moving averages of each code's latents and uses; owns the codebook's update."""

    def __init__(self, model: VQAutoencoder, generator: torch.Generator) -> None:
        self.model, self.generator = model, generator
        self.sums = model.codebook.clone()
        self.uses = torch.ones(len(model.codebook), device=model.codebook.device)

    def update(self, latents: Tensor, indices: Tensor, step: int) -> None:
        """Move codes toward the mean of their latents.

        Args:
            latents: (B, D, H, W) unit vectors.
            indices: (B, H, W) their codes.
            step: restarts happen every RESTART_EVERY steps.
        """
        flat = latents.detach().float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        sums = torch.zeros_like(self.sums).index_add_(0, indices.reshape(-1), flat)
        uses = torch.bincount(indices.reshape(-1), minlength=len(self.uses)).float()
        self.sums.lerp_(sums, 1 - DECAY)
        self.uses.lerp_(uses, 1 - DECAY)
        if step % RESTART_EVERY == 0:
            dead = self.uses < DEAD_BELOW
            picks = torch.randint(len(flat), (len(self.uses),), generator=self.generator).to(flat.device)
            self.sums = torch.where(dead[:, None], flat[picks], self.sums)
            self.uses = torch.where(dead, torch.ones_like(self.uses), self.uses)
        self.model.codebook.copy_(F.normalize(self.sums, dim=1))


def loss_of(model: VQAutoencoder, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss, mean squared error on the 0..1 scale, latents and indices of images (B, 3, S, S) in [-1, 1]."""
    latents = model.latents(images)
    indices = model.nearest(latents.detach())
    codes = model.embed(indices)
    restored = model.reconstruct(latents + (codes - latents).detach())
    squared = (restored - images).square().mean()
    coarse = (F.avg_pool2d(restored, 4) - F.avg_pool2d(images, 4)).square().mean()
    commitment = (latents - codes).square().sum(1).mean()
    return squared + coarse + COMMITMENT * commitment, squared.detach() / 4, latents, indices


def train(
    model: VQAutoencoder,
    images: Tensor,
    minutes: float,
    batch: int = 64,
    learning_rate: float = 2e-3,
    seed: int = 0,
    report: Callable[[Progress], None] = lambda progress: None,
) -> VQAutoencoder:
    """Train for a stretch of wall-clock time, cosine schedule over that time, data resident in memory.

    Args:
        model: on its device.
        images: (N, 3, S, S) uint8, all in memory.
        minutes: wall-clock time of training.
        batch: images a step.
        learning_rate: peak rate of AdamW.
        seed: of batches, flips and restarts.
        report: called about every 50 steps.

    Returns:
        The model.
    """
    generator = torch.Generator().manual_seed(seed)
    averages = CodebookAverages(model, generator)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, weight_decay=1e-4, betas=(0.9, 0.95), fused=True
    )
    start, step = time.monotonic(), 0
    while (fraction := (time.monotonic() - start) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = (
                learning_rate * min(1.0, (step + 1) / 200) * (0.02 + 0.98 * (1 + math.cos(math.pi * fraction)) / 2)
            )
        picks = torch.randint(len(images), (batch,), generator=generator)
        picked = images[picks].to(model.codebook.device, memory_format=torch.channels_last).float() / 127.5 - 1
        if torch.rand((), generator=generator) < 0.5:
            picked = picked.flip(-1)
        loss, error, latents, indices = loss_of(model, picked)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        averages.update(latents, indices, step)
        if step % 50 == 0:
            alive = int((averages.uses >= DEAD_BELOW).sum())
            report(Progress(step, fraction, float(loss.detach()), -10 * math.log10(float(error)), alive))
        step += 1
    return model
