"""Accuracy of one learner from the kept part of every grid alone, for scores of positions.

A ViT of size micro is trained on all training images, half of them whole and half with a random
share of their positions, so that it can read any part. Its accuracy on the val images, of which it
sees the positions of the highest scores alone, tells how much of the class they hold. Scores that
the format `tokens` does not have need more than the codes of one grid: vectors or frequencies.

Shapes: B batch, H x W grid, K codebook size, D code dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.cli import hint, parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.data.patches import SCORES, PatchChoice
from seit_cl.datasets import list_data
from seit_cl.learner.augment.tokens import MISSING, TokenAugment
from seit_cl.models._vit import build_vit, token_stem
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.training.entropy import encode_grids
from studies.results import interval

BATCH = 64
RATE = 1e-3  # peak of one cycle
SMOOTHING = 0.1  # of labels
SHARES = (0.2, 0.8)  # of the positions that a masked training image keeps, uniformly
AT_ONCE = 250  # val images

Score = Callable[[Tensor], Tensor]  # from grids (B, 1, H, W) to scores (B, H, W)


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    data_root: Annotated[Path, hint("bench-mini: image folder, train/ and val/")]
    keep: Annotated[tuple[float, ...], hint("shares of the positions that are kept")] = (
        0.25,
        0.5,
        0.75,
    )
    seed: Annotated[tuple[int, ...], hint("each a training of its own")] = (0, 1, 2)
    epochs: Annotated[int, hint("passes over the training images")] = 10
    resolution: Annotated[int, hint("side in pixels")] = 64
    write: Annotated[Path | None, hint("Markdown file to write")] = None


@dataclass(frozen=True)
class Split:
    """Grids of one split.

    Args:
        tokens: (N, 1, H, W) int16.
        labels: (N,) int64.
    """

    tokens: Tensor
    labels: Tensor


def scores_of(codebook: Tensor, training: Tensor) -> Mapping[str, Score]:
    """Scores that the format does not have, by name.

    Args:
        codebook: (K, D).
        training: grids (N, 1, H, W), whose codes give frequencies.
    """
    counts = torch.bincount(training.flatten().long(), minlength=len(codebook)).double() + 0.5
    information = -(counts / counts.sum()).log2()
    centred = codebook - codebook.mean(0)

    def vectors(tokens: Tensor) -> Tensor:
        return centred[tokens[:, 0].long()].movedim(3, 1)

    def from_mean(tokens: Tensor) -> Tensor:
        own = vectors(tokens)
        return (own - own.mean((2, 3), keepdim=True)).square().sum(1)

    def from_neighbours(tokens: Tensor) -> Tensor:
        own = vectors(tokens)
        around = F.avg_pool2d(own, 3, stride=1, padding=1, count_include_pad=False)
        return (own - around).square().sum(1)

    return {
        "distance from the neighbours' mean": from_neighbours,
        "distance from the grid's mean": from_mean,
        "self-information under the training images' frequencies": lambda tokens: information[
            tokens[:, 0].long()
        ],
    }


def keep_best(tokens: Tensor, scores: Tensor, share: float) -> Tensor:
    """Grids (B, 1, H, W) without the codes of all but the positions of the highest scores.

    Args:
        tokens: (B, 1, H, W).
        scores: (B, H, W).
        share: of the positions that are kept.
    """
    flat = scores.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    kept = flat.topk(count, dim=1).indices
    mask = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, kept, True)
    return torch.where(mask.view_as(tokens), tokens, MISSING)


def drop_some(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the grids whole, the others with a random share of their positions.

    Args:
        tokens: (B, 1, H, W).
        generator: of the draws.
    """
    low, high = SHARES
    count = len(tokens)
    shares = low + (high - low) * torch.rand(count, generator=generator)
    shares[torch.rand(count, generator=generator) < 0.5] = 1.0
    drawn = torch.rand(tokens.shape, generator=generator)
    return torch.where(drawn < shares[:, None, None, None], tokens, MISSING)


def train(
    augment: TokenAugment, split: Split, classes: int, epochs: int, generator: torch.Generator
) -> nn.Module:
    """Train a ViT to read parts of grids.

    Args:
        augment: embeds grids and mirrors them.
        split: training images.
        classes: number of classes.
        epochs: passes over them.
        generator: of order and masks; weights are drawn from torch's own.
    """
    side = split.tokens.shape[-1]
    channels = augment.embed(split.tokens[:1]).shape[1]
    model = build_vit("micro", token_stem(side), channels, classes)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    steps = epochs * (len(split.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for _ in range(epochs):
        order = torch.randperm(len(split.labels), generator=generator)
        for batch in order.split(BATCH)[: len(order) // BATCH]:
            tokens = split.tokens[batch]
            mirrored = augment.mirrored(tokens)
            if mirrored is not None:
                flips = torch.rand(len(batch), generator=generator) < 0.5
                tokens = torch.where(flips[:, None, None, None], mirrored, tokens)
            inputs = augment.embed(drop_some(tokens, generator))
            loss = F.cross_entropy(model(inputs), split.labels[batch], label_smoothing=SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, augment: TokenAugment, tokens: Tensor, labels: Tensor) -> float:
    """Fraction of grids (N, 1, H, W) whose label (N,) the model finds."""
    right = 0
    for part, expected in zip(tokens.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
        right += int((model(augment.embed(part)).argmax(1) == expected).sum())
    return right / len(labels)


def measure_seed(
    options: Options, tokenizer: Tokenizer, training: Split, val: Split, seed: int
) -> dict[str, list[float]]:
    """Accuracies of one training, whole grids first, then of every score at every share."""
    grid = tuple(training.tokens.shape[-2:])
    augment = TokenAugment(
        tokenizer.codebook,
        tokenizer.combine,
        crop=grid[0],
        mirror=tokenizer.mirror,
        patches=PatchChoice(0.5, "even", (grid[0], grid[1])),  # positions may be missing
    )
    generator = torch.Generator().manual_seed(seed)
    classes = int(training.labels.max()) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = train(augment, training, classes, options.epochs, generator)
    whole = accuracy(model, augment, val.tokens, val.labels)
    found = {"whole grids": [whole] * len(options.keep)}
    for name in SCORES:
        kept = []
        for share in options.keep:
            choice = PatchChoice(share, name, (grid[0], grid[1]))
            mask = choice.mask(val.tokens)[:, None]
            kept.append(torch.where(mask, val.tokens, MISSING))
        found[f"`{name}`"] = [accuracy(model, augment, part, val.labels) for part in kept]
    for name, score in scores_of(tokenizer.codebook[0], training.tokens).items():
        scores = score(val.tokens)
        kept = [keep_best(val.tokens, scores, share) for share in options.keep]
        found[name] = [accuracy(model, augment, part, val.labels) for part in kept]
    return found


def measure(options: Options, console: Console) -> str:
    """Train with every seed and return the table.

    Raises:
        UserError: a folder without images, or a side that the stride does not divide.
    """
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    check_resolution(options.resolution, tokenizer.stride)
    if not options.seed or not options.keep or options.epochs < 1:
        raise UserError("--seed and --keep need a value, and --epochs must be at least 1")
    data = list_data(options.data_root)
    grids = encode_grids(tokenizer, data.train.images, options.resolution)
    training = Split(grids, torch.as_tensor(data.train.labels))
    grids = encode_grids(tokenizer, data.val.images, options.resolution)
    val = Split(grids, torch.as_tensor(data.val.labels))
    seeds = []
    for seed in options.seed:
        seeds.append(measure_seed(options, tokenizer, training, val, seed))
        console.print(f"seed {seed}: {100 * seeds[-1]['whole grids'][0]:.1f} % from whole grids")
    positions = training.tokens[0].numel()
    head = ["score"]
    head += [
        f"{max(1, round(share * positions))} of {positions} positions" for share in options.keep
    ]
    rows = []
    for name in seeds[0]:
        cells = [name]
        for number in range(len(options.keep)):
            cells.append(interval([100 * found[name][number] for found in seeds]))
        rows.append(cells)
    return table(head, rows)


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    run_command(_main)


def _main() -> None:
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.patch_scores", description=__doc__)
    )
    sections = [measure(options, Console())]
    title = "Accuracy, %, from a part of every grid"
    command = typed_command("studies.patch_scores")
    publish(page(title, command, torch.device("cpu"), sections), options.write)


if __name__ == "__main__":
    main()
