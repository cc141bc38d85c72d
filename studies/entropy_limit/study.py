"""Measure how few bits a token could take if the speed of the entropy coder did not matter.

A causal transformer corrects the shipped network with all tokens before each token, and is
compared with the shipped coders on test images. It is trained on the images that the shipped
network was fitted to, so that the difference is due to the coder and not to the data. Training can
be interrupted and resumed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from seit_cl.core.cli import parse_line
from seit_cl.core.errors import UserError
from seit_cl.core.files import atomic_file, write_atomic
from seit_cl.core.machine import torch_threads
from seit_cl.data.images import load_images
from seit_cl.reporting.markdown import page, publish, table, typed_command
from seit_cl.tokenizers import DEFAULT_TOKENIZER, Tokenizer, open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.training.entropy import encode_grids
from seit_cl.tokenizers.training.images import find_images
from studies.entropy_limit.coding import Coded, rivals
from studies.entropy_limit.model import GridTransformer, Size
from studies.entropy_limit.training import Recipe, Training, best_weights

HELD_OUT = 10  # every tenth training image is held out if no folder is given
MAX_HELD_OUT = 1000  # images
ENLARGED = 1.5  # windows are cut from images of up to this many times their side
CHUNK_WINDOWS = 16  # tokenized at a time
GRID_SIZE = ("rows", "columns")  # parameters whose shape depends on the size of a grid


@dataclass(frozen=True)
class Options:
    """Options of the study."""

    train: Annotated[
        Path,
        tyro.conf.arg(help="folder of training images: those that the entropy model was fitted to"),
    ]
    test: Annotated[Path, tyro.conf.arg(help="folder of test images")]
    out: Annotated[
        Path,
        tyro.conf.arg(
            help="folder of checkpoint, tokens and results; an interrupted training resumes"
        ),
    ]
    held: Annotated[
        Path | None, tyro.conf.arg(help="folder of held-out images; none: every tenth of --train")
    ] = None
    resolution: Annotated[int, tyro.conf.arg(help="side in pixels")] = 64
    minutes: Annotated[float, tyro.conf.arg(help="minutes of training")] = 18.0
    windows: Annotated[
        int,
        tyro.conf.arg(help="random windows per training image; 0: whole images, and mirrored"),
    ] = 0
    start: Annotated[
        Path | None,
        tyro.conf.arg(help="--out of a training at another size, to start from its weights"),
    ] = None
    images: Annotated[int, tyro.conf.arg(help="largest number of test images")] = 500
    rate: Annotated[float, tyro.conf.arg(help="peak learning rate")] = 1.5e-3
    dropout: Annotated[float, tyro.conf.arg(help="probability of dropping a unit")] = 0.05
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 1
    seed: Annotated[int, tyro.conf.arg(help="seed of windows, weights and batches")] = 0
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


def windows_of(
    tokenizer: Tokenizer, paths: list[Path], side: int, count: int, generator: torch.Generator
) -> Tensor:
    """Grids (count * N, H, W) of random windows of N images.

    Each window has a random scale and place, and is mirrored at random.

    Args:
        tokenizer: encodes the windows.
        paths: image files.
        side: of a window, pixels.
        count: windows per image.
        generator: of the windows.
    """
    grids = []
    for _ in range(count):
        windows = [random_window(path, side, generator) for path in paths]
        for start in range(0, len(windows), CHUNK_WINDOWS):
            chunk = torch.cat(windows[start : start + CHUNK_WINDOWS])
            grids.append(tokenizer.encode(chunk))
    return torch.cat(grids)[:, 0]


def random_window(path: Path, side: int, generator: torch.Generator) -> Tensor:
    """A random window (1, 3, side, side) uint8 of an image file."""
    scale = float(torch.rand(1, generator=generator))
    places = torch.rand(2, generator=generator)
    size = side + int(scale * (ENLARGED - 1) * side)
    top, left = (int(float(place) * (size - side + 1)) for place in places)
    image = load_images([path], size, threads=1)
    window = image[:, :, top : top + side, left : left + side]
    mirrored = torch.rand(1, generator=generator) < 0.5
    return window.flip(3) if mirrored else window


def tokens_of(options: Options, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Grids (N, H, W) to train on, held out and to test on, cached in a file of --out."""
    path = options.out / "tokens.pt"
    if path.exists():
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    train = find_images(options.train, "--train")
    test = find_images(options.test, "--test")
    if options.held is None:
        held_out = train[::HELD_OUT]
        train = [image for index, image in enumerate(train) if index % HELD_OUT]
    else:
        held_out = find_images(options.held, "--held")
    side = options.resolution
    if options.windows:
        generator = torch.Generator().manual_seed(options.seed)
        train_grids = windows_of(tokenizer, train, side, options.windows, generator)
    else:
        train_grids = encode_grids(tokenizer, train, side, mirrored=True)[:, 0]
    tokens = {
        "train": train_grids,
        "held": encode_grids(tokenizer, spread(held_out, MAX_HELD_OUT), side)[:, 0],
        "test": encode_grids(tokenizer, spread(test, options.images), side)[:, 0],
        "images": torch.tensor(len(train)),
    }
    with atomic_file(path) as file:
        torch.save(tokens, file)
    return tokens


def spread(paths: list[Path], count: int) -> list[Path]:
    """At most `count` paths at equal distances, as in seit_cl.density."""
    return paths[:: max(1, len(paths) // count)][:count]


def train(
    options: Options, tokenizer: Tokenizer, tokens: dict[str, Tensor]
) -> tuple[GridTransformer, Training]:
    """Train the transformer, or load it if its training is finished.

    Args:
        options: see Options.
        tokenizer: whose codes the grids hold.
        tokens: of tokens_of.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        side = tokens["train"].shape[1]
        size = Size(dropout=options.dropout)
        model = GridTransformer(tokenizer.codebook[0], side, size, tokenizer.entropy_model())
    if options.start is not None:
        weights = best_weights(options.start / "training.pt")
        for name in GRID_SIZE:
            weights.pop(name)
        model.load_state_dict(weights, strict=False)
    recipe = Recipe(options.minutes, rate=options.rate, seed=options.seed)
    training = Training(model, tokens["train"], tokens["held"], recipe, options.out / "training.pt")
    return training.run(lambda line: print(line, flush=True)), training


@dataclass(frozen=True)
class Result:
    """Result of the study.

    Args:
        rivals: sizes by coder.
        facts: figures of the training, by their names in the report.
    """

    rivals: Mapping[str, Coded]
    facts: Mapping[str, float]


def measure(options: Options) -> Result:
    """Train, then code the test images with every coder.

    Raises:
        UserError: a folder without images, a side that the stride does not divide, or an option
            out of range.
    """
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    check_resolution(options.resolution, tokenizer.stride)
    if options.minutes <= 0 or options.windows < 0 or options.images < 1:
        raise UserError("--minutes and --images must be above 0, and --windows not below 0")
    options.out.mkdir(parents=True, exist_ok=True)
    with torch_threads(options.threads):
        tokens = tokens_of(options, tokenizer)
        model, training = train(options, tokenizer, tokens)
        sizes = rivals(model, tokenizer.entropy_model(), tokens["test"])
    facts = {
        "training images": int(tokens["images"]),
        "training grids": len(tokens["train"]),
        "test images": len(tokens["test"]),
        "held-out grids": len(tokens["held"]),
        "bits a token of these": round(training.best, 3),
        "steps": training.steps,
        "tokens seen": training.steps * training.recipe.batch,
        "minutes": round(training.seconds / 60, 1),
        "parameters trained": sum(parameter.numel() for parameter in model.parameters()),
    }
    result = Result(sizes, facts)
    write_atomic(options.out / "limit.json", json.dumps(asdict(result), indent=1) + "\n")
    return result


def report(result: Result, options: Options, typed: str) -> str:
    """Write the page of a result, in Markdown."""
    largest = result.rivals["order-0"].record
    smallest = result.rivals["transformer"].record
    rows = []
    for name, size in result.rivals.items():
        rows.append(
            [
                name,
                f"{size.bits:.3f}",
                f"{size.record:,.1f}",
                f"{size.record / largest - 1:+.1%}",
                f"{(largest - size.record) / (largest - smallest):.0%}",
            ]
        )
    head = [
        "coder",
        "bits a token",
        "bytes a record",
        "against order-0",
        "of the way to the transformer",
    ]
    facts = "; ".join(f"{name}: {value:,}" for name, value in result.facts.items())
    title = f"Limit of entropy coding at {options.resolution} px"
    return page(title, typed, torch.device("cpu"), [facts, table(head, rows)])


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = parse_line(
        lambda: tyro.cli(Options, prog="python -m studies.entropy_limit", description=__doc__)
    )
    result = measure(options)
    publish(report(result, options, typed_command("studies.entropy_limit")), options.write)
