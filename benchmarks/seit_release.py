"""The SeiT release's token files: parsing against a Python loop per token on the same bytes, converting a release, and memory.

The release is synthetic, of random codes, which deflate hardly shrinks and of which more need two bytes than of images' codes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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

CODES, DIM, SIDE, CLASSES = 391, 32, 32, 100
GRID = (1, SIDE, SIDE)
PIECE = 1000  # images made together


@dataclass(frozen=True)
class Options:
    """Options of the SeiT release benchmark."""

    images: Annotated[int, tyro.conf.arg(help="train images of the release that is converted")] = (
        100_000
    )
    parsed: Annotated[int, tyro.conf.arg(help="images whose bytes are parsed in every round")] = 500
    batch: Annotated[int, tyro.conf.arg(help="images of a batch drawn from the token file")] = 256
    rounds: Annotated[int, tyro.conf.arg(help="how many times every rival has its turn")] = 7
    turn: Annotated[
        float, tyro.conf.arg(help="seconds that a rival parses in its turn, at least one call")
    ] = 0.5
    write: Annotated[Path | None, tyro.conf.arg(help="Markdown file to write")] = None


@dataclass(frozen=True)
class Result:
    """What was measured.

    Args:
        parsing: images a second from bytes in memory, by rival.
        seconds: of `import-seit` and of `export-seit`, whole commands.
        peak: most bytes of main memory that each of these commands took.
        idle: seconds and most bytes of a command that only prints its help.
        sizes: bytes of the release's token data, and of the token file.
        drawing: images a second in random batches from the token file.
    """

    parsing: dict[str, Spread]
    seconds: dict[str, float]
    peak: dict[str, int]
    idle: tuple[float, int]
    sizes: tuple[int, int]
    drawing: Spread


def random_tokens(images: int, seed: int) -> Tensor:
    """Random grids (N, 1, 32, 32) int16."""
    return torch.randint(
        0, CODES, (images, *GRID), generator=torch.Generator().manual_seed(seed), dtype=torch.int16
    )


def loop(data: bytes) -> list[int]:
    """The codes of one image, one byte after the other."""
    codes, base = [], 0
    for byte in data:
        if byte == ESCAPE:
            base = ESCAPE
        else:
            codes.append(byte + base)
            base = 0
    return codes


def parsers(images: int) -> dict[str, Callable[[], object]]:
    """Rivals that parse the same bytes of so many images."""
    array, offsets = to_bytes(random_tokens(images, 0))
    data, spans = (
        array.tobytes(),
        list(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)),
    )
    blocks = [array[start : start + BLOCK] for start in range(0, len(array), BLOCK)]
    return {
        "loop": lambda: [loop(data[start:end]) for start, end in spans],
        "loop, tensors": lambda: [
            torch.LongTensor(loop(data[start:end])).reshape(SIDE, SIDE) for start, end in spans
        ],
        "seit_cl": lambda: list(grids_of(blocks, Path("data"), offsets, GRID)),
    }


def make_release(folder: Path, images: int) -> Path:
    """A release of random codes, by way of a token file; gives its folder."""
    pieces = [min(PIECE, images - start) for start in range(0, images, PIECE)]
    splits = {
        "train": TokenSplit(
            torch.arange(images) % CLASSES,
            (random_tokens(count, seed) for seed, count in enumerate(pieces)),
        ),
        "val": TokenSplit(torch.arange(CLASSES), [random_tokens(CLASSES, len(pieces))]),
    }
    codebook = torch.randn(1, CODES, DIM, generator=torch.Generator().manual_seed(0))
    about = TokenMetadata(
        "random",
        [str(label) for label in range(CLASSES)],
        codebook,
        "sum",
        8,
        "0" * 16,
        codebook.nbytes,
    )
    write_token_file(folder / "made.safetensors", about, GRID, splits)
    export_release(open_token_file(folder / "made.safetensors"), folder / "release", 1)
    (folder / "made.safetensors").unlink()
    return folder / "release"


def tokenize(*words: str) -> tuple[float, int]:
    """Seconds and most bytes of main memory of a tokenize command."""
    code = (
        "import resource, sys; sys.argv[0] = 'tokenize'; from seit_cl.tokenize import main\ntry: main()\nfinally: print("
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *words], check=False, capture_output=True, text=True
    )
    taken = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr)
    scale = 1 if sys.platform == "darwin" else 1024
    return taken, int(done.stderr.split()[-1]) * scale


def draw(path: Path, batch: int, rounds: int) -> Spread:
    """Images a second in random batches of a token file's train split, which the system keeps in its cache."""
    tokens = open_token_file(path).tokens["train"]
    generator = torch.Generator().manual_seed(0)
    rates = []
    for _ in range(rounds):
        ids = torch.randint(0, len(tokens), (50, batch), generator=generator)
        began = time.perf_counter()
        for part in ids:
            tokens[part].long()
        rates.append(ids.numel() / (time.perf_counter() - began))
    return Spread.of(rates)


def measure(options: Options) -> Result:
    """Parse, convert there and back in commands of their own, and draw batches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = make_release(folder, options.images)
        token_file, back = folder / "tokens.safetensors", folder / "back"
        idle = tokenize("import-seit", "--help")
        ends = {
            "import-seit": tokenize(
                "import-seit", "--release", str(release), "--out", str(token_file)
            ),
            "export-seit": tokenize(
                "export-seit", "--tokens", str(token_file), "--out", str(back), "--level", "1"
            ),
        }
        data = "random-train-token.data.bin.gz"
        if (release / data).read_bytes() != (back / data).read_bytes():
            raise RuntimeError("what came back is not what was read")
        sizes = (release / data).stat().st_size, token_file.stat().st_size
        drawing = draw(token_file, options.batch, options.rounds)
    taken = interleave(parsers(options.parsed), options.rounds, options.turn, torch.device("cpu"))
    parsing = {
        name: Spread.of([options.parsed / seconds for seconds in found])
        for name, found in taken.items()
    }
    return Result(
        parsing,
        {k: v[0] for k, v in ends.items()},
        {k: v[1] for k, v in ends.items()},
        idle,
        sizes,
        drawing,
    )


def report(result: Result, options: Options, typed: str) -> str:
    """The page of a result, in Markdown."""
    ours = result.parsing["seit_cl"].median
    what = {
        "loop": "a Python loop per token, a list an image",
        "loop, tensors": "the same, and a tensor an image, as the public loader gives it",
        "seit_cl": "seit_cl, checked against the index, tensors of blocks",
    }
    parsed = [
        [what[name], rate.text(), f"{ours / rate.median:.0f}"]
        for name, rate in result.parsing.items()
    ]
    about = (
        f"One process. {options.rounds} interleaved rounds over the same bytes of {options.parsed:,} images of 1,024 codes below "
        f"{CODES}, ready in memory; median (10th–90th percentile)."
    )
    commands = [
        [
            f"`{name}`",
            f"{seconds:.1f}",
            f"{options.images / seconds:,.0f}",
            f"{result.peak[name] / 1e6:,.0f}",
        ]
        for name, seconds in result.seconds.items()
    ]
    drawn = result.drawing.median / result.parsing["loop, tensors"].median
    whole = (
        f"A release of {options.images:,} images, whole commands with their start: {result.sizes[0] / 1e6:,.0f} MB of gzip "
        f"(level 1), a token file of {result.sizes[1] / 1e6:,.0f} MB. A command that only prints its help takes "
        f"{result.idle[0]:.1f} s and {result.idle[1] / 1e6:,.0f} MB. The peak counts what of the token file the system "
        f"keeps mapped, which it takes back at need. Random batches of {options.batch} from the token file, as int64: "
        f"{result.drawing.text()} images/s, {drawn:.0f} times the loop with tensors."
    )
    sections = [
        about,
        table(["parsing", "images/s", "seit_cl is faster by"], parsed),
        whole,
        table(["command", "seconds", "images/s", "peak memory, MB"], commands),
    ]
    return page("The SeiT release", typed, torch.device("cpu"), sections)


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, description=__doc__)
    publish(
        report(measure(options), options, typed_command("benchmarks.seit_release")), options.write
    )


if __name__ == "__main__":
    run_command(main)
