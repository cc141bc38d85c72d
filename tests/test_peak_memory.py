"""Memory of every command on three times as many images: it grows by what is stored of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.linux_status import STATUS
from helpers.peak_memory import measure
from seit_cl.config import RunConfig
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData

SIDE = 256  # pixels that images are resized to
FEW = 30  # images; more than several blocks
MANY = 3 * FEW
TOKENS = 2 * (SIDE // 8) ** 2  # bytes of an image's tokens
PIXELS = 3 * SIDE**2  # bytes of an image
CONSTANT = 16_000  # bytes of an image beside what is stored: names, labels, features
# Bytes by which two runs of the same command may differ: half of one copy of all images.
NOISE = 6_000_000
needs_linux = pytest.mark.skipif(not STATUS.exists(), reason="reads the status of Linux processes")
Words = Callable[[Path, Path], list[object]]  # from the images and a new folder to a command line


@dataclass(frozen=True)
class Case:
    """A command.

    Args:
        words: of its command line.
        stored: bytes that it stores of an image.
    """

    words: Words
    stored: int = TOKENS


def command(module: str, *options: object, memory_mb: float = 0.05) -> Words:
    """A command that makes short runs on the images."""

    def words(images: Path, out: Path) -> list[object]:
        shared = ["--data-root", images, "--out", out, "--resolution", SIDE, "--experiences", 2]
        steps = ["--epochs", 1, "--batch", 4, "--replay-batch", 2, "--memory-mb", memory_mb]
        return [module, *shared, *steps, *options]

    return words


def run(*options: object, memory_mb: float = 0.05) -> Words:
    """A run on the images with options."""
    return command("run", *options, memory_mb=memory_mb)


def tokenize(name: str, file: str, *options: object) -> Words:
    """A command of tokenize that reads images and writes a file."""

    def words(images: Path, out: Path) -> list[object]:
        out.mkdir()
        return ["tokenize", name, "--data-root", images, "--out", out / file, *options]

    return words


def density(*formats: str) -> Words:
    """The density table of all images."""

    def words(images: Path, out: Path) -> list[object]:
        return [
            *("density", "--data-root", images / "train", "--out", out, "--images", 10**6),
            *("--resolution", SIDE, "--format", *formats),
        ]

    return words


def inspect(images: Path, out: Path) -> list[object]:
    """The measurement of a tokenizer."""
    return ["tokenize", "inspect", "--images", images, "--resolution", SIDE]


def report(images: Path, out: Path) -> list[object]:
    """The report of a run that has ended."""
    out.mkdir()
    config = RunConfig(
        data_root=images,
        resolution=SIDE,
        experiences=2,
        epochs=1,
        batch=4,
        replay_batch=2,
        memory_mb=0.05,
        device="cpu",
    )
    Experiment(config, RunData(config), out / "run").run()
    return ["report", out]


QUICK = {"density": Case(density("tokens", "jpeg"), 2 * TOKENS)}
SLOW = {
    "tokenize inspect": Case(inspect),
    "density of all kinds": Case(density("raw", "tokens:coder=table", "jpeg:original", "webp")),
    "tokenize encode": Case(
        tokenize("encode", "x.safetensors", "--resolution", SIDE, "--workers", 1)
    ),
    # Half of the images are decoded into a file that is mapped.
    "tokenize train": Case(
        tokenize(
            *("train", "x.safetensors", "--resolution", SIDE, "--steps", 1, "--fractals", 0),
            *("--width", 16, "--batch", 2, "--crop", 32),
        ),
        PIXELS,
    ),
    "tokenize entropy": Case(
        tokenize("entropy", "x.safetensors", "--resolution", SIDE, "--steps", 1),
        # Ten neighbours of every token, beside the token.
        12 * TOKENS,
    ),
    "run": Case(run()),
    "run, quality chosen": Case(run("--format", "jpeg:quality=auto")),
    "run, herding of pixels": Case(
        run("--learner", "pixels", "--format", "jpeg", "--strategy", "icarl", memory_mb=0.5)
    ),
    "run, files": Case(run("--format", "jpeg:original", memory_mb=1)),
    "run, filled first": Case(run("--strategy", "gdumb", "--format", "raw", memory_mb=2)),
    "compare": Case(
        command(
            *("compare", "--kind", "jpeg_scan", "--quality", 50, "--stages", "sweep", "claim"),
            *("--claim-seeds", 1),
        )
    ),
    "tune": Case(command("tune", "--strategy", "er", "--trials", 2)),
    "report": Case(report),
    "run, linear probe": Case(run("--strategy", "wa", "--linear-probe")),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Few and many photographs of 800 x 600 pixels in folders of two classes."""
    root = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for count in (FEW, MANY):
        for split, images in (("train", count), ("val", count // 3)):
            for number in range(images):
                small = generator.integers(0, 256, (15, 20, 3), dtype=np.uint8)
                path = root / str(count) / split / f"class{number % 2}" / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(small).resize((800, 600)).save(path)
    return root / str(FEW), root / str(MANY)


def check(cases: Mapping[str, Case], folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Run commands on few and on many images and compare the peaks of their memory."""
    lines = []
    for place, case in enumerate(cases.values()):
        for number, images in enumerate(folders):
            lines.append(case.words(images, tmp_path / f"{place}-{number}"))
    outcomes = measure(lines, tmp_path / "cache")
    assert [outcome.problem for outcome in outcomes] == [""] * len(lines)
    images = MANY - FEW + (MANY - FEW) // 3  # of both splits
    pairs = zip(cases.items(), outcomes[::2], outcomes[1::2], strict=True)
    for (name, case), few, many in pairs:
        grown = many.peak - few.peak
        assert grown < images * (case.stored + CONSTANT) + NOISE, (name, few.peak, many.peak)


@pytest.mark.slow
@needs_linux
def test_memory_grows_by_what_is_stored(folders: tuple[Path, Path], tmp_path: Path) -> None:
    check(QUICK, folders, tmp_path)


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_memory_of_every_command_grows_by_what_is_stored(
    name: str, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    check({name: SLOW[name]}, folders, tmp_path)
