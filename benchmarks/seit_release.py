"""Speed and memory of the SeiT release's token files: parsing, conversion, and random batches.

Parsing is compared with a Python loop per token on the same bytes. The release is synthetic, of
random codes: deflate hardly shrinks them, and more of them need two bytes than of the codes of
images.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from benchmarks.measure import Spread, interleave
from seit_cl.core.cli import run_command
from seit_cl.data.seit.codes import ESCAPE, to_bytes
from seit_cl.data.seit.export import export_release
from seit_cl.data.seit.stream import BLOCK, grids_of
from seit_cl.data.token_file import TokenMetadata, TokenSplit, open_token_file, write_token_file
from seit_cl.reporting.markdown import page, publish, table, typed_command

CODES = 391
DIM = 32
SIDE = 32
CLASSES = 100
GRID = (1, SIDE, SIDE)
PIECE = 1000  # images made together
BATCHES = 50  # random batches in a round
# Runs a tokenize command and prints its peak memory afterwards.
TOKENIZE = """
import resource, sys
sys.argv[0] = "tokenize"
from seit_cl.tokenize import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""
DESCRIPTIONS = {
    "loop": "a Python loop per token, a list an image",
    "loop, tensors": "the same, and a tensor an image, as the public loader gives it",
    "seit_cl": "seit_cl, checked against the index, tensors of blocks",
}


@dataclass(frozen=True)
class Options:
    """Options of the SeiT release benchmark."""

    images: Annotated[int, tyro.conf.arg(help="train images of the release that is converted")] = (
        100_000
    )
    parsed: Annotated[int, tyro.conf.arg(help="images whose bytes are parsed in every round")] = 500
    batch: Annotated[int, tyro.conf.arg(help="images in a batch drawn from the token file")] = 256
    rounds: Annotated[int, tyro.conf.arg(help="rounds, in each of which every rival runs once")] = 7
    turn: Annotated[
        float, tyro.conf.arg(help="seconds for which a rival parses in a round, one call at least")
    ] = 0.5
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass(frozen=True)
class Cost:
    """Cost of a command.

    Args:
        seconds: run time.
        peak: largest amount of main memory, in bytes.
    """

    seconds: float
    peak: int


@dataclass(frozen=True)
class Result:
    """Measurements.

    Args:
        parsing: images a second from bytes in memory, by rival.
        commands: cost of `import-seit` and of `export-seit`.
        idle: cost of a command that only prints its help.
        release_bytes: size of the release's token data.
        token_file_bytes: size of the token file.
        drawing: images a second in random batches from the token file.
    """

    parsing: dict[str, Spread]
    commands: dict[str, Cost]
    idle: Cost
    release_bytes: int
    token_file_bytes: int
    drawing: Spread


def random_tokens(images: int, seed: int) -> Tensor:
    """Random grids (N, 1, 32, 32) int16."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, CODES, (images, *GRID), generator=generator, dtype=torch.int16)


def loop(data: bytes) -> list[int]:
    """The codes of one image, byte by byte."""
    codes = []
    base = 0
    for byte in data:
        if byte == ESCAPE:
            base = ESCAPE
        else:
            codes.append(byte + base)
            base = 0
    return codes


def loop_tensors(data: bytes) -> Tensor:
    """The codes of one image as a tensor."""
    return torch.LongTensor(loop(data)).reshape(SIDE, SIDE)


def parsers(images: int) -> dict[str, Callable[[], object]]:
    """Rivals that parse the same bytes of a number of images."""
    array, offsets = to_bytes(random_tokens(images, 0))
    data = array.tobytes()
    spans = list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True))
    blocks = [array[start : start + BLOCK] for start in range(0, len(array), BLOCK)]
    return {
        "loop": lambda: [loop(data[start:end]) for start, end in spans],
        "loop, tensors": lambda: [loop_tensors(data[start:end]) for start, end in spans],
        "seit_cl": lambda: list(grids_of(blocks, Path("data"), offsets, GRID)),
    }


def make_release(folder: Path, images: int) -> Path:
    """Make a release of random codes by way of a token file, and return its folder."""

    def pieces() -> Iterator[Tensor]:
        for seed, start in enumerate(range(0, images, PIECE)):
            yield random_tokens(min(PIECE, images - start), seed)

    val_seed = len(range(0, images, PIECE))
    splits = {
        "train": TokenSplit(torch.arange(images) % CLASSES, pieces()),
        "val": TokenSplit(torch.arange(CLASSES), [random_tokens(CLASSES, val_seed)]),
    }
    codebook = torch.randn(1, CODES, DIM, generator=torch.Generator().manual_seed(0))
    metadata = TokenMetadata(
        name="random",
        classes=[str(label) for label in range(CLASSES)],
        codebook=codebook,
        combine="sum",
        stride=8,
        tokenizer="0" * 16,
        codec_bytes=codebook.nbytes,
    )
    token_file = folder / "made.safetensors"
    write_token_file(token_file, metadata, GRID, splits)
    export_release(open_token_file(token_file), folder / "release", 1)
    token_file.unlink()
    return folder / "release"


def tokenize(*arguments: str) -> Cost:
    """Measure a tokenize command in a process of its own."""
    began = time.perf_counter()
    process = subprocess.run(
        [sys.executable, "-c", TOKENIZE, *arguments], check=False, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(process.stderr)
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, int(process.stderr.split()[-1]) * unit)


def draw(path: Path, batch: int, rounds: int) -> Spread:
    """Images a second in random batches of a token file's train split, cached by the system."""
    tokens = open_token_file(path).tokens["train"]
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(rounds):
        ids = torch.randint(0, len(tokens), (BATCHES, batch), generator=generator)
        began = time.perf_counter()
        for batch_ids in ids:
            tokens[batch_ids].long()
        rates.append(ids.numel() / (time.perf_counter() - began))
    return Spread.of(rates)


def measure(options: Options) -> Result:
    """Parse, convert in both directions in separate processes, and draw batches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = make_release(folder, options.images)
        token_file = folder / "tokens.safetensors"
        back = folder / "back"
        idle = tokenize("import-seit", "--help")
        imported = tokenize("import-seit", "--release", str(release), "--out", str(token_file))
        exported = tokenize(
            "export-seit", "--tokens", str(token_file), "--out", str(back), "--level", "1"
        )
        data = "random-train-token.data.bin.gz"
        if (release / data).read_bytes() != (back / data).read_bytes():
            raise RuntimeError("the exported release differs from the imported one")
        release_bytes = (release / data).stat().st_size
        token_file_bytes = token_file.stat().st_size
        drawing = draw(token_file, options.batch, options.rounds)
    device = torch.device("cpu")
    parsing = {}
    timings = interleave(parsers(options.parsed), options.rounds, options.turn, device)
    for rival, seconds_of_rounds in timings.items():
        rates = [options.parsed / seconds for seconds in seconds_of_rounds]
        parsing[rival] = Spread.of(rates)
    return Result(
        parsing=parsing,
        commands={"import-seit": imported, "export-seit": exported},
        idle=idle,
        release_bytes=release_bytes,
        token_file_bytes=token_file_bytes,
        drawing=drawing,
    )


def report(result: Result, options: Options, typed: str) -> str:
    """The page of a result, in Markdown."""
    sections = [
        f"One process. {options.rounds} interleaved rounds over the same bytes of "
        f"{options.parsed:,} images of 1,024 codes below {CODES}, ready in memory; "
        "median (10th–90th percentile).",
        parsing_table(result),
        f"A release of {options.images:,} images, whole commands with their start: "
        f"{result.release_bytes / 1e6:,.0f} MB of gzip (level 1), "
        f"a token file of {result.token_file_bytes / 1e6:,.0f} MB. "
        f"A command that only prints its help takes {result.idle.seconds:.1f} s and "
        f"{result.idle.peak / 1e6:,.0f} MB. "
        "The peak includes the parts of the token file that the system has mapped, which it "
        "releases when memory is short. "
        f"Random batches of {options.batch} from the token file, as int64: "
        f"{result.drawing.text()} images/s, {drawing_ratio(result):.0f} times the loop with "
        "tensors.",
        command_table(result, options.images),
    ]
    return page("The SeiT release", typed, torch.device("cpu"), sections)


def drawing_ratio(result: Result) -> float:
    """Speed of random batches over that of the loop with tensors."""
    return result.drawing.median / result.parsing["loop, tensors"].median


def parsing_table(result: Result) -> str:
    """Speed of every rival."""
    ours = result.parsing["seit_cl"].median
    rows = []
    for name, rate in result.parsing.items():
        rows.append([DESCRIPTIONS[name], rate.text(), f"{ours / rate.median:.0f}"])
    return table(["parsing", "images/s", "seit_cl is faster by"], rows)


def command_table(result: Result, images: int) -> str:
    """Cost of every command."""
    rows = []
    for name, cost in result.commands.items():
        rows.append(
            [
                f"`{name}`",
                f"{cost.seconds:.1f}",
                f"{images / cost.seconds:,.0f}",
                f"{cost.peak / 1e6:,.0f}",
            ]
        )
    return table(["command", "seconds", "images/s", "peak memory, MB"], rows)


def main() -> None:
    """Measure and print, and write the page if asked to."""
    options = tyro.cli(Options, description=__doc__)
    typed = typed_command("benchmarks.seit_release")
    publish(report(measure(options), options, typed), options.write)


if __name__ == "__main__":
    run_command(main)
