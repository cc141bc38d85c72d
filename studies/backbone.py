"""Train a timm backbone as a classifier, where no pretrained weights are available.

The timm kind of tokenizer (seit_cl.tokenizers.timm) takes the written file as weights=FILE.
Training uses random resized crops and flips, label smoothing, and AdamW with a cosine schedule.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import timm
import torch
import tyro
from rich.console import Console
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.files import write_atomic
from seit_cl.core.progress import progress_bars
from seit_cl.data.folder import open_folder
from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.tokenizers.training.images import training_images

WARMUP = 0.05  # fraction of the time
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
CROP_SCALE = (0.3, 1.0)  # area of a random crop as a fraction of the image
CHUNK = 256  # images classified at a time


@dataclass(frozen=True)
class Options:
    """Options of the training."""

    data_root: Annotated[Path, tyro.conf.arg(help="folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, tyro.conf.arg(help="safetensors file to write: the state dict")]
    model: Annotated[str, tyro.conf.arg(help="timm's name of the backbone")] = "resnet10t"
    minutes: Annotated[float, tyro.conf.arg(help="wall-clock minutes of training")] = 10.0
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 64
    batch: Annotated[int, tyro.conf.arg(help="images per step")] = 64
    seed: Annotated[int, tyro.conf.arg(help="seed of weights and batches")] = 0


def train(options: Options, model: Any, images: Tensor, labels: Tensor, console: Console) -> int:
    """Train a model until the time is used.

    Args:
        options: see Options.
        model: a timm classifier, changed in place.
        images: (N, 3, S, S) uint8.
        labels: (N,) int64.
        console: where a progress bar is drawn.

    Returns:
        Number of optimiser steps.
    """
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    started = time.monotonic()
    steps = 0
    with progress_bars(console) as bar:
        task = bar.add_task("train", total=1.0)
        while True:
            fraction = (time.monotonic() - started) / (60 * options.minutes)
            if fraction >= 1:
                return steps
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(fraction)
            crops, crop_labels = draw_batch(options, images, labels, generator)
            logits = model(normalised(model, crops))
            loss = F.cross_entropy(logits, crop_labels, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            description = f"step {steps} loss {float(loss.detach()):.3f}"
            bar.update(task, completed=fraction, description=description)


def learning_rate(fraction: float) -> float:
    """Learning rate at a fraction of the time: linear warm-up, then a cosine."""
    warmup = min(1, (fraction + 1e-3) / WARMUP)
    return LEARNING_RATE * warmup * (1 + math.cos(math.pi * fraction)) / 2


def draw_batch(
    options: Options, images: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw random crops (B, 3, S, S) float32 in 0 to 255, flipped at random, and labels (B,).

    Args:
        options: batch size B and resolution S.
        images: (N, 3, S, S) uint8.
        labels: (N,) int64.
        generator: of the batch.
    """
    picks = torch.randint(len(images), (options.batch,), generator=generator)
    flips = torch.rand(options.batch, generator=generator) < 0.5
    boxes = random_resized_boxes(options.batch, generator, CROP_SCALE)
    crops = crop_resize(images[picks].float(), boxes, options.resolution, flip=flips)
    return crops.clamp(0, 255), labels[picks]


def normalised(model: Any, images: Tensor) -> Tensor:
    """Normalise images (N, 3, S, S) in 0 to 255 by timm's statistics for the model."""
    mean = torch.tensor(model.pretrained_cfg["mean"])[:, None, None]
    std = torch.tensor(model.pretrained_cfg["std"])[:, None, None]
    return (images / 255 - mean) / std


@torch.inference_mode()
def accuracy(model: Any, images: Tensor, labels: Tensor) -> float:
    """Accuracy (fraction) of a model on images (N, 3, S, S) uint8 with labels (N,)."""
    model.eval()
    predicted = []
    for chunk in images.split(CHUNK):
        predicted.append(model(normalised(model, chunk.float())).argmax(1))
    return float((torch.cat(predicted) == labels).double().mean())


def main() -> None:
    """Train, test, and write the weights."""
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.backbone", description=__doc__)
    )
    console = Console()
    images, labels, val_images = training_images(options.data_root, options.resolution, 0, None)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = timm.create_model(options.model, num_classes=int(labels.max()) + 1)
    steps = train(options, model, images, labels, console)
    correct = accuracy(model, val_images, open_folder(options.data_root).val.labels)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_atomic(options.out, save(weights))
    console.print(
        f"{options.out}: {options.model}, {steps} steps, {100 * correct:.1f} % of "
        f"{len(val_images):,} val images"
    )


if __name__ == "__main__":
    run_command(main)
