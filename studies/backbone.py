"""`python -m studies.backbone`: train a timm backbone as a classifier for some minutes, where no pretrained weights are.

Its file is what a tokenizer of frozen features takes as weights=FILE (seit_cl.frozen). Random resized crops and flips, AdamW
with a cosine, label smoothing 0.1.
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
RATE = 2e-3


@dataclass(frozen=True)
class Options:
    """Options of the training."""

    data_root: Annotated[Path, tyro.conf.arg(help="folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, tyro.conf.arg(help="safetensors file to write: the state dict")]
    model: Annotated[str, tyro.conf.arg(help="timm's name of the backbone")] = "resnet10t"
    minutes: Annotated[float, tyro.conf.arg(help="wall-clock minutes of training")] = 10.0
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 64
    batch: Annotated[int, tyro.conf.arg(help="images a step")] = 64
    seed: Annotated[int, tyro.conf.arg(help="seed of weights and batches")] = 0


def train(options: Options, model: Any, images: Tensor, labels: Tensor, console: Console) -> int:
    """Train a model on images (N, 3, S, S) uint8 by labels (N,) until the time is used; the number of steps."""
    generator = torch.Generator().manual_seed(options.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    began, steps = time.monotonic(), 0
    with progress_bars(console) as bar:
        task = bar.add_task("train", total=1.0)
        while (fraction := (time.monotonic() - began) / (60 * options.minutes)) < 1:
            for group in optimizer.param_groups:
                group["lr"] = (
                    RATE
                    * min(1, (fraction + 1e-3) / WARMUP)
                    * (1 + math.cos(math.pi * fraction))
                    / 2
                )
            picks = torch.randint(len(images), (options.batch,), generator=generator)
            flips = torch.rand(options.batch, generator=generator) < 0.5
            boxes = random_resized_boxes(options.batch, generator, (0.3, 1.0))
            crops = crop_resize(images[picks].float(), boxes, options.resolution, flip=flips)
            loss = F.cross_entropy(
                model(scaled(model, crops.clamp(0, 255))), labels[picks], label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            bar.update(
                task,
                completed=fraction,
                description=f"step {steps} loss {float(loss.detach()):.3f}",
            )
    return steps


def scaled(model: Any, images: Tensor) -> Tensor:
    """Images (N, 3, S, S) of 0 to 255 by the statistics that timm has for the model, as frozen features are."""
    mean, std = (
        torch.tensor(model.pretrained_cfg[name])[:, None, None] for name in ("mean", "std")
    )
    return (images / 255 - mean) / std


@torch.inference_mode()
def accuracy(model: Any, images: Tensor, labels: Tensor) -> float:
    """Fraction of images (N, 3, S, S) uint8 whose class is told right."""
    model.eval()
    parts = [model(scaled(model, part.float())).argmax(1) for part in images.split(256)]
    return float((torch.cat(parts) == labels).double().mean())


def main() -> None:
    """Train, test, write."""
    options, console = (
        parse_line(
            lambda: tyro.cli(Options, prog="python -m studies.backbone", description=__doc__)
        ),
        Console(),
    )
    images, labels, held_out = training_images(options.data_root, options.resolution, 0, None)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = timm.create_model(options.model, num_classes=int(labels.max()) + 1)
    steps = train(options, model, images, labels, console)
    right = accuracy(model, held_out, open_folder(options.data_root).val.labels)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_atomic(options.out, save(weights))
    console.print(
        f"{options.out}: {options.model}, {steps} steps, {100 * right:.1f} % of {len(held_out):,} val images"
    )


if __name__ == "__main__":
    run_command(main)
