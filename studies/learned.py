"""Train a small learned codec for `--format learned`, with CompressAI's layers and loss.

CompressAI (Begaint et al., 2020, arXiv:2011.03029) is needed for this alone: `pip install
compressai`, in an environment of its own, since its version 1.2.8 takes numpy below 2. The written
file holds the weights without what only training needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from torch import Tensor

from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.core.tensor_files import write_tensor_file
from seit_cl.tokenizers.training.images import training_images

LEARNING_RATE = 1e-3
LAST_RATE = 0.05  # share of the rate at the end, reached along a cosine
GRADIENT_NORM = 1.0
EVERY = 200  # steps between lines
# Tensors that training alone needs, by parts of CompressAI's names.
TRAINING_ONLY = (
    "_reparam.",
    "entropy_bottleneck.matrices",
    "entropy_bottleneck.biases",
    "entropy_bottleneck.factors",
    "entropy_bottleneck.target",
    "likelihood_lower_bound",
    "lower_bound_scale",
    "gaussian_conditional.scale_bound",
)


@dataclass(frozen=True)
class Options:
    """Options of the training."""

    data_root: Annotated[Path, tyro.conf.arg(help="folder with train/<class>/* and val/<class>/*")]
    out: Annotated[Path, tyro.conf.arg(help="safetensors file to write")]
    weight: Annotated[
        float, tyro.conf.arg(help="lambda: of the squared error, against bits per pixel")
    ] = 0.005
    hyperprior: Annotated[
        bool, tyro.conf.arg(help="bmshj2018-hyperprior in place of bmshj2018-factorized")
    ] = False
    channels: Annotated[int, tyro.conf.arg(help="N, between the layers")] = 32
    latents: Annotated[int, tyro.conf.arg(help="M, channels of the stored latents")] = 48
    minutes: Annotated[float, tyro.conf.arg(help="wall-clock minutes of training")] = 10.0
    resolution: Annotated[int, tyro.conf.arg(help="image side in pixels")] = 64
    batch: Annotated[int, tyro.conf.arg(help="images per step")] = 8
    seed: Annotated[int, tyro.conf.arg(help="seed of weights and batches")] = 0


def train(options: Options, model: Any, loss: Any, images: Tensor, console: Console) -> int:
    """Train a model until the time is used.

    Args:
        options: see Options.
        model: one of CompressAI's, changed in place.
        loss: CompressAI's RateDistortionLoss.
        images: (N, 3, S, S) uint8.
        console: where lines are printed.

    Returns:
        Number of steps.
    """
    quantiles = [tensor for name, tensor in model.named_parameters() if name.endswith("quantiles")]
    others = [tensor for name, tensor in model.named_parameters() if not name.endswith("quantiles")]
    optimizer = torch.optim.Adam(others, LEARNING_RATE)
    # CompressAI trains the quantiles, the ends of the tables, by a loss and a rate of their own.
    quantile_optimizer = torch.optim.Adam(quantiles, 10 * LEARNING_RATE)
    generator = torch.Generator().manual_seed(options.seed)
    start = time.monotonic()
    steps = 0
    while (done := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        angle = torch.tensor(torch.pi * done)
        share = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + float(angle.cos()))
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * share
        rows = torch.randint(len(images), (options.batch,), generator=generator)
        batch = images[rows].float() / 255
        result = loss(model(batch), batch)
        optimizer.zero_grad()
        result["loss"].backward()
        torch.nn.utils.clip_grad_norm_(others, GRADIENT_NORM)
        optimizer.step()
        quantile_loss = model.aux_loss()
        quantile_optimizer.zero_grad()
        quantile_loss.backward()
        quantile_optimizer.step()
        steps += 1
        if steps % EVERY == 0:
            console.print(
                f"step {steps}: {float(result['bpp_loss']):.3f} bits per pixel, "
                f"squared error {float(result['mse_loss']) * 255**2:.1f}"
            )
    return steps


def needed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the tensors of a state dict that only training needs."""
    kept = {}
    for name, tensor in state.items():
        training_only = any(part in name for part in TRAINING_ONLY)
        if not training_only and tensor.numel() > 0:
            kept[name] = tensor
    return kept


def main() -> None:
    """Train, and write the weights with their tables."""
    options = parse_line(lambda: tyro.cli(Options, description=__doc__))
    try:
        from compressai.losses import RateDistortionLoss
        from compressai.models import FactorizedPrior, ScaleHyperprior
    except ImportError as error:
        raise UserError(
            f"{error}: CompressAI is needed; pip install compressai in an environment of its own"
        ) from error
    console = Console(soft_wrap=True)
    torch.manual_seed(options.seed)
    images, _, _ = training_images(options.data_root, options.resolution, 0, None)
    kind = ScaleHyperprior if options.hyperprior else FactorizedPrior
    model = kind(options.channels, options.latents)
    steps = train(options, model, RateDistortionLoss(lmbda=options.weight), images, console)
    model.eval()
    model.update(force=True, update_quantiles=True)
    metadata = {
        "architecture": "bmshj2018-hyperprior" if options.hyperprior else "bmshj2018-factorized",
        "training": f"lambda {options.weight:g}, {steps:,} steps of {options.batch} images of "
        f"{options.resolution} px, seed {options.seed}",
    }
    write_tensor_file(options.out, needed(model.state_dict()), metadata)
    console.print(f"{options.out}: {metadata['training']}")


if __name__ == "__main__":
    run_command(main)
