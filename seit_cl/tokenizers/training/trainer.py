"""Training of a vector-quantised autoencoder.

The loss adds reconstruction, commitment, and the classification of the quantised codes into the
classes of the training images, which are never those of a benchmark. Codes that distinguish
objects serve a learner better, although they reconstruct images slightly less well
(docs/tokenizer.md has the ablation).

A quantiser without a codebook has no commitment loss (seit_cl.tokenizers.training.coding).

With several levels, each image of a batch is reconstructed from its first n levels, n drawn
uniformly, so that every n works (quantiser dropout: Zeghidour et al., SoundStream, 2021). Levels
can be added to an existing tokenizer. Its encoder and first codebook are frozen then, so that its
first-level tokens stay the same.

Symbols: B batch, C crop side in pixels, S image side in pixels, L levels, D code dimension,
H x W grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.class_head import ClassHead, classification_loss
from seit_cl.tokenizers.training.coding import Trainable, coding_of
from seit_cl.tokenizers.training.timed import Position, TimedTraining

MAX_GRADIENT_NORM = 1.0
WEIGHT_DECAY = 0.02
CROP_SCALE = (0.4, 1.0)  # area of a random crop as a fraction of the image
FULL_SIZE = 0.15  # fraction of the training, at its end, with crops as large as the images
CHECKPOINT_KIND = "seit_cl tokenizer training"


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training.

    Args:
        minutes: wall-clock time, summed over all parts of an interrupted training.
        batch: images per step.
        crop: side in pixels of the random crops, until the last FULL_SIZE of the training.
        learning_rate: peak rate of AdamW, with linear warm-up and cosine decay.
        supervision: weight of the classification loss; 0 switches it off.
        seed: of the class head, batches, crops and restarts of codes.
        precision: of the networks; codes are assigned in float32.
        start: identity of the tokenizer that levels are added to, whose encoder and first codebook
            are frozen; "" trains a new tokenizer.
        steps: optimiser steps, in place of the minutes; 0: the minutes count.
    """

    minutes: float
    batch: int = 64
    crop: int = 32
    learning_rate: float = 2e-3
    supervision: float = 1.0
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    start: str = ""
    steps: int = 0


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training.

    Args:
        step: optimiser steps before the reported one.
        fraction: of the training.
        speed: images per second.
        loss: of the reported step.
        psnr: dB, of its batch.
        codes_alive: codes in use, summed over all levels or groups.
    """

    step: int
    fraction: float
    speed: float
    loss: float
    psnr: float
    codes_alive: int


class ForwardResult(NamedTuple):
    """Result of the forward pass of a batch.

    Args:
        loss: to minimise.
        error: mean squared error of pixels in 0 to 1.
        latents: (B, D, H, W) of the first level.
        detailed: (B, D, H, W) of all levels.
        indices: codes (B, L, H, W), or (B, G, H, W) without a codebook.
    """

    loss: Tensor
    error: Tensor
    latents: Tensor
    detailed: Tensor
    indices: Tensor


class Trainer(TimedTraining):
    """Train an autoencoder on images that are all in memory, on CUDA with a compiled forward pass.

    Args:
        model: on its device.
        images: (N, 3, S, S) uint8.
        labels: (N,) int64 classes of the images, UNLABELLED for images without a class.
        settings: see TrainingSettings.
    """

    def __init__(
        self, model: Trainable, images: Tensor, labels: Tensor, settings: TrainingSettings
    ) -> None:
        super().__init__(settings.minutes, settings.steps, settings.batch, settings.learning_rate)
        self.model = model
        self.settings = settings
        self.device = next(model.parameters()).device
        self.images = images.to(self.device)
        self.labels = labels.to(self.device)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.head = self._class_head()
        self.coding = coding_of(model, self.generator, frozen=bool(settings.start))
        if settings.start:
            model.encoder.requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(
            [*model.parameters(), *self.head.parameters()],
            lr=settings.learning_rate,
            weight_decay=WEIGHT_DECAY,
            betas=(0.9, 0.95),
            fused=True,
        )
        self.forward = self.compute_loss
        if self.device.type == "cuda":
            self.forward = torch.compile(self.compute_loss)

    def _class_head(self) -> ClassHead:
        """A new head for the classes of the images."""
        return self.new_head(int(self.labels.max()) + 1)

    def new_head(self, outputs: int) -> ClassHead:
        """A new head on the device, its weights drawn by the settings' seed."""
        source = "image" if self.model.signs is None else "code"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            head = ClassHead(self.model.dim, outputs, source)
        return head.to(self.device).to(memory_format=torch.channels_last)

    def train_step(self) -> tuple[Tensor, Tensor]:
        """Take one optimiser step and update the codebooks; return its loss and squared error."""
        images, labels = self.draw_batch()
        depths = self.draw_depths()
        result = self.forward(images, labels, depths)
        self.optimizer.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.update_codebooks(result.latents.detach(), result.detailed.detach(), result.indices)
        self.step += 1
        return result.loss.detach(), result.error

    def draw_indices(self) -> Tensor:
        """Draw the indices (B,) of the images of a batch."""
        return torch.randint(len(self.images), (self.settings.batch,), generator=self.generator)

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Draw random crops (B, 3, C, C) in [-1, 1] and their labels (B,).

        C is settings.crop, and S in the last FULL_SIZE of the training.
        """
        indices = self.draw_indices()
        boxes = random_resized_boxes(len(indices), self.generator, CROP_SCALE).to(self.device)
        indices = indices.to(self.device)
        side = self.settings.crop
        if self.fraction >= 1 - FULL_SIZE:
            side = self.images.shape[-1]
        pixels = crop_resize(self.images[indices].float(), boxes, side).clamp(0, 255)
        crops = pixels / 127.5 - 1
        return crops.contiguous(memory_format=torch.channels_last), self.labels[indices]

    def draw_depths(self) -> Tensor | None:
        """Draw the number of levels (B, 1, 1, 1) that each image is reconstructed from.

        None if there is only one level.
        """
        if self.model.levels == 1:
            return None
        shape = (self.settings.batch, 1, 1, 1)
        depths = torch.randint(1, self.model.levels + 1, shape, generator=self.generator)
        return depths.to(self.device)

    def compute_loss(
        self, images: Tensor, labels: Tensor, depths: Tensor | None = None
    ) -> ForwardResult:
        """Run the forward pass.

        Args:
            images: (B, 3, C, C) in [-1, 1].
            labels: (B,) int64.
            depths: levels (B, 1, 1, 1) that each image is reconstructed from; None takes all.
        """
        with self.autocast():
            encoded = self.model.encoder(images)
        latents = self.model.project(encoded.float())
        with self.autocast():
            detailed = self.model.add_detail(images, latents)
        indices = self.model.quantise(latents.detach(), detailed.detach())
        codes, code_loss = self.coding.embed(latents, detailed, indices, depths)
        coded_latents = latents
        if depths is not None:
            coded_latents = torch.where(depths > 1, detailed, latents)
        quantised = self.straight_through(coded_latents, codes)
        with self.autocast():
            restored = self.model.reconstruct(quantised)
        restored = restored.float()
        loss = self.reconstruction_loss(restored, images, latents) + code_loss
        if self.settings.supervision:
            first_level = quantised
            if depths is not None and isinstance(self.model, VQAutoencoder):
                first_level = self.straight_through(latents, self.model.embed(indices[:, 0]))
            loss = loss + self.settings.supervision * self.class_loss(first_level, labels)
        error = (restored.detach() - images).square().mean() / 4
        return ForwardResult(loss, error, latents, detailed, indices)

    def autocast(self) -> torch.autocast:
        """Context in which networks compute in the precision of the settings."""
        bf16 = self.settings.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16)

    def reconstruction_loss(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """Squared error of pixels plus that of means over 4 x 4 pixels.

        Args:
            restored: (B, 3, C, C).
            images: (B, 3, C, C) to reconstruct.
            latents: (B, D, H, W) of the images, for variants of this loss.
        """
        coarse = (F.avg_pool2d(restored, 4) - F.avg_pool2d(images, 4)).square().mean()
        return (restored - images).square().mean() + coarse

    def straight_through(self, latents: Tensor, codes: Tensor) -> Tensor:
        """The codes (B, D, H, W) with the gradient of the latents (van den Oord et al., 2017)."""
        return latents + (codes - latents).detach()

    def class_loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Classification loss of quantised codes (B, D, H, W) with labels (B,)."""
        with self.autocast():
            logits = self.head(codes)
        return classification_loss(logits, labels)

    def update_codebooks(self, latents: Tensor, detailed: Tensor, indices: Tensor) -> None:
        """Update what the codes of a step change.

        Args:
            latents: (B, D, H, W), coded by the first level.
            detailed: (B, D, H, W); each further level coded what the levels before it left of it.
            indices: codes (B, L, H, W), or (B, G, H, W) without a codebook.
        """
        self.coding.update(latents, detailed, indices, self.step)

    def progress(self, position: Position, *values: Tensor) -> TrainingProgress:
        """Progress after a step with a loss and a squared error."""
        loss, error = values
        return TrainingProgress(
            *position,
            loss=float(loss),
            psnr=-10 * math.log10(float(error)),
            codes_alive=self.coding.alive,
        )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": CHECKPOINT_KIND,
            "settings": vars(self.settings),
            "config": self.model.config,
            "images": len(self.images),
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            **self.coding.state(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and images."""
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.coding.restore(state)
        self.generator.set_state(state["generator"])
