"""Pre-training of a pixel learner without labels, as the tokenizer without labels had it.

The network learns to predict the features of the same teacher, from the same images, in as many
steps as the tokenizer, so that neither of them knows more before the stream begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.learner.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from seit_cl.models import ModelContext, build_model
from seit_cl.models._weights import save_weights
from seit_cl.tokenizers.training.contrastive import TeacherSettings, TeacherTraining
from seit_cl.tokenizers.training.distilled import distillation_loss
from seit_cl.tokenizers.training.images import training_images
from seit_cl.tokenizers.training.timed import Position, TimedTraining

TEACHER_STEPS = 1500  # of the bundled-unsupervised tokenizer
STEPS = 14_757  # of 64 images: those of both bundled tokenizers
BATCH = 64
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.05
CROP_SCALE = (0.3, 1.0)  # the pixel learner's
RESOLUTION = 64  # pixels
FRACTALS = 2500


@dataclass(frozen=True)
class Source:
    """Images that the tokenizer without labels was trained on.

    Args:
        data_root: labelled image folder, whose labels are not used.
        photos: folder of larger images, seen in tiles.
        folder: where checkpoints of this training lie.
    """

    data_root: Path
    photos: Path | None
    folder: Path


class SelfSupervised(TimedTraining):
    """Train a pixel learner's network to predict given features of images.

    Args:
        model: spec of the network.
        images: (N, 3, S, S) uint8.
        features: (N, W) of the images.
        seed: of weights, batches, crops and flips.
        steps: number of steps.
    """

    def __init__(
        self, model: str, images: Tensor, features: Tensor, seed: int = 0, steps: int = STEPS
    ) -> None:
        super().__init__(0.0, steps, BATCH, LEARNING_RATE)
        self.images = images
        self.features = F.normalize(features, dim=1)
        self.model = model
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        built = build_model(model, ModelContext("pixels", 3, images.shape[-1]))
        self.side = built.crop
        self.network: Any = built.new_network(self.features.shape[1], self.generator)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
        )
        self.mean = torch.tensor(IMAGENET_MEAN)[:, None, None]
        self.deviation = torch.tensor(IMAGENET_STD)[:, None, None]

    def train_step(self) -> tuple[Tensor, ...]:
        """Take one optimiser step and return its loss."""
        indices = torch.randint(len(self.images), (self.batch,), generator=self.generator)
        boxes = random_resized_boxes(self.batch, self.generator, CROP_SCALE)
        crops = crop_resize(self.images[indices].float(), boxes, self.side).clamp(0, 255) / 255
        flips = torch.rand(self.batch, 1, 1, 1, generator=self.generator) < 0.5
        crops = torch.where(flips, crops.flip(3), crops)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.network((crops - self.mean) / self.deviation)
        loss = distillation_loss(predicted.float(), self.features[indices])
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return (loss.detach(),)

    def progress(self, position: Position, *values: Tensor) -> tuple[Position, float]:
        """Position and loss of a step."""
        return position, float(values[0])

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "kind": "seit_cl self-supervised learner",
            "settings": {"seed": self.seed, "steps": self.steps},
            "config": {"model": self.model},
            "images": len(self.images),
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same settings and images."""
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])


def train_without_labels(model: str, source: Source, out: Path) -> None:
    """Train a network without labels and write its weights, unless the file exists.

    The teacher is that of `tokenize train --targets features` with these images and its seed.

    Args:
        model: spec of a network for pixels.
        source: images, and the folder of the checkpoints.
        out: safetensors file, for --init.

    Raises:
        UserError: images that cannot be read, or checkpoints of another training.
    """
    if out.exists():
        return
    source.folder.mkdir(parents=True, exist_ok=True)
    images, _, _ = training_images(source.data_root, RESOLUTION, FRACTALS, source.photos)
    teaching = TeacherTraining(images, TeacherSettings(20.0, TEACHER_STEPS, precision="bf16"))
    teaching.run(checkpoint=source.folder / "teacher")
    training = SelfSupervised(model, images, teaching.features())
    training.run(checkpoint=source.folder / f"{out.stem}.training")
    save_weights(out, training.network, classes=(), model=model)
