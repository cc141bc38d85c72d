"""How far entropy coding of tokens could go: bits a token under a causal transformer trained without limits of speed, beside the
coders that ship, on images that chose nothing.

The transformer corrects the shipped network with all that came before a token. Training images are those that the shipped model
was fitted to, so that the difference is the coder's and not the data's. Training can be stopped and taken up again.
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
from studies.entropy_limit.training import Recipe, Training

HELD = 10  # every tenth training image is held out where no folder is
HELD_IMAGES = 1000  # at most
ENLARGED = 1.5  # windows are cut from images of up to this many times their side
TOGETHER = 16  # windows tokenized at a time


@dataclass(frozen=True)
class Options:
    """Options of the limit."""

    train: Annotated[
        Path,
        tyro.conf.arg(
            help="folder of images to train on, those that the entropy model was fitted to"
        ),
    ]
    test: Annotated[
        Path, tyro.conf.arg(help="folder of images to measure on, which choose nothing")
    ]
    out: Annotated[
        Path,
        tyro.conf.arg(
            help="folder of checkpoint, tokens and results; training goes on from what is there"
        ),
    ]
    held: Annotated[
        Path | None, tyro.conf.arg(help="folder to keep weights by; none: every tenth of --train")
    ] = None
    resolution: Annotated[int, tyro.conf.arg(help="side in pixels")] = 64
    minutes: Annotated[float, tyro.conf.arg(help="of training")] = 18.0
    windows: Annotated[
        int,
        tyro.conf.arg(help="random windows of each training image; 0: whole images, and mirrored"),
    ] = 0
    start: Annotated[
        Path | None,
        tyro.conf.arg(help="--out of a training at another size whose weights are the first"),
    ] = None
    images: Annotated[int, tyro.conf.arg(help="images to measure on, from all over the folder")] = (
        500
    )
    rate: Annotated[float, tyro.conf.arg(help="peak learning rate")] = 1.5e-3
    dropout: Annotated[float, tyro.conf.arg(help="probability of dropping a unit")] = 0.05
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 1
    seed: Annotated[int, tyro.conf.arg(help="seed of windows, weights and batches")] = 0
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


def windows_of(
    tokenizer: Tokenizer, paths: list[Path], side: int, count: int, generator: torch.Generator
) -> Tensor:
    """Grids (count * N, H, W) of windows of images, each at a size, a place and a side, mirrored or not, of its own."""
    images, found = [], []
    for _ in range(count):
        for path in paths:
            sides, at = torch.rand(1, generator=generator), torch.rand(2, generator=generator)
            size = side + int(float(sides) * (ENLARGED - 1) * side)
            top, left = (int(float(share) * (size - side + 1)) for share in at)
            window = load_images([path], size, threads=1)[
                :, :, top : top + side, left : left + side
            ]
            images.append(window.flip(3) if torch.rand(1, generator=generator) < 0.5 else window)
        found += [
            tokenizer.encode(torch.cat(images[i : i + TOGETHER]))
            for i in range(0, len(images), TOGETHER)
        ]
        images = []
    return torch.cat(found)[:, 0]


def tokens_of(options: Options, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Grids to train on, to keep weights by, and to measure on; kept in a file of --out."""
    path = options.out / "tokens.pt"
    if path.exists():
        return torch.load(path, weights_only=True)  # type: ignore[no-any-return]
    train, test = find_images(options.train, "--train"), find_images(options.test, "--test")
    if options.held is None:
        train, held = [p for i, p in enumerate(train) if i % HELD], train[::HELD]
    else:
        held = find_images(options.held, "--held")
    held, test = spread(held, HELD_IMAGES), spread(test, options.images)
    generator, side = torch.Generator().manual_seed(options.seed), options.resolution
    found = {
        "train": windows_of(tokenizer, train, side, options.windows, generator)
        if options.windows
        else encode_grids(tokenizer, train, side, mirrored=True),
        "held": encode_grids(tokenizer, held, side),
        "test": encode_grids(tokenizer, test, side),
        "images": torch.tensor(len(train)),
    }
    with atomic_file(path) as file:
        torch.save(found, file)
    return found


def spread(paths: list[Path], count: int) -> list[Path]:
    """At most `count` of paths, from all over them, as seit_cl.density takes them."""
    return paths[:: max(1, len(paths) // count)][:count]


def trained(
    options: Options, tokenizer: Tokenizer, tokens: dict[str, Tensor]
) -> tuple[GridTransformer, Training]:
    """The model, trained to the end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        side = tokens["train"].shape[1]
        model = GridTransformer(
            tokenizer.codebook[0],
            side,
            Size(dropout=options.dropout),
            tokenizer.entropy_model(),
        )
    if options.start is not None:
        first = torch.load(options.start / "training.pt", weights_only=True)["kept"]
        model.load_state_dict(
            {name: value for name, value in first.items() if name not in ("rows", "columns")},
            strict=False,
        )
    recipe = Recipe(options.minutes, rate=options.rate, seed=options.seed)
    training = Training(model, tokens["train"], tokens["held"], recipe, options.out / "training.pt")
    return training.run(lambda line: print(line, flush=True)), training


@dataclass(frozen=True)
class Result:
    """What was measured.

    Args:
        rivals: by coder.
        facts: of the training, in the report's words.
    """

    rivals: Mapping[str, Coded]
    facts: Mapping[str, float]


def measure(options: Options) -> Result:
    """Train, then code the test images with every rival.

    Raises:
        UserError: a folder without images, a side that does not fit, or no time.
    """
    tokenizer = open_tokenizer(DEFAULT_TOKENIZER)
    check_resolution(options.resolution, tokenizer.stride)
    if options.minutes <= 0 or options.windows < 0 or options.images < 1:
        raise UserError("--minutes and --images must be above 0, and --windows not below 0")
    options.out.mkdir(parents=True, exist_ok=True)
    with torch_threads(options.threads):
        tokens = tokens_of(options, tokenizer)
        model, training = trained(options, tokenizer, tokens)
        found = rivals(model, tokenizer.entropy_model(), tokens["test"])
    facts = {
        "training images": int(tokens["images"]),
        "training grids": len(tokens["train"]),
        "test images": len(tokens["test"]),
        "grids to keep weights by": len(tokens["held"]),
        "bits a token of these": round(training.best, 3),
        "steps": training.steps,
        "tokens seen": training.steps * training.recipe.batch,
        "minutes": round(training.seconds / 60, 1),
        "parameters trained": sum(p.numel() for p in model.parameters()),
    }
    result = Result(found, facts)
    write_atomic(options.out / "limit.json", json.dumps(asdict(result), indent=1) + "\n")
    return result


def report(result: Result, options: Options, typed: str) -> str:
    """The page of a result, in Markdown."""
    most, least = result.rivals["order-0"].record, result.rivals["transformer"].record
    rows = [
        [
            name,
            f"{r.bits:.3f}",
            f"{r.record:,.1f}",
            f"{r.record / most - 1:+.1%}",
            f"{(most - r.record) / (most - least):.0%}",
        ]
        for name, r in result.rivals.items()
    ]
    head = [
        "coder",
        "bits a token",
        "bytes a record",
        "against order-0",
        "of the way to the transformer",
    ]
    facts = "; ".join(f"{name}: {value:,}" for name, value in result.facts.items())
    return page(
        f"Limit of entropy coding at {options.resolution} px",
        typed,
        torch.device("cpu"),
        [facts, table(head, rows)],
    )


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, prog="python -m studies.entropy_limit", description=__doc__)
    publish(
        report(measure(options), options, typed_command("studies.entropy_limit")), options.write
    )
