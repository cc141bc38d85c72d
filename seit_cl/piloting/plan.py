"""The runs of a pilot: what is kept, in which format, and which learner learns from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.token_shapes import token_shape
from seit_cl.data.base import Dataset
from seit_cl.data.images import default_resolution, native_resolution
from seit_cl.data.stored import StoredImage
from seit_cl.experiment.modality import MODALITIES
from seit_cl.experiment.readable import advising_to_skip, check_once
from seit_cl.experiment.run_data import list_dataset
from seit_cl.formats import FormatContext, build_format, canonical_spec, format_domain
from seit_cl.memory.file import label_dtype
from seit_cl.piloting.options import ORIGINALS, PilotOptions
from seit_cl.tokenizers import DEFAULT_TOKENIZER, open_tokenizer
from seit_cl.tokenizers.nets.vqae import STRIDE

SHARES = (0.05, 0.2)  # of the training images, whose tokens fill the default budgets
HEADER_BYTES = 1000  # more than the header of a memory's file
MOST_BYTES = 4_000_000_000  # of originals that a run holds in main memory
EXPERIENCES = 5
# Steps of a run: after 260, the learner ends at 20 % of 20 classes (docs/memory.md, 4 epochs).
FEWEST_STEPS = 250
LEARNERS = ("tokens", "pixels")
LEFT_OUT = "left_out.txt"


@dataclass(frozen=True)
class Arm:
    """Runs that differ by their seed alone.

    Args:
        format: spec of the exemplars.
        learner: of tokens or of pixels.
        memory_mb: budget of the memory.
        keeps_all: True where the memory holds every training image.
    """

    format: str
    learner: str
    memory_mb: float
    keeps_all: bool

    @property
    def is_original(self) -> bool:
        """True for the original files."""
        return self.format == ORIGINALS


@dataclass(frozen=True)
class Choice:
    """The tokenizer that a pilot takes, with the measurement that chose it.

    Args:
        spec: of the tokenizer.
        own: PSNR in dB of the one trained on the photographs, or None where nothing was compared.
        bundled: PSNR in dB of the bundled one on the same images, or None.
    """

    spec: str
    own: float | None = None
    bundled: float | None = None

    @property
    def is_own(self) -> bool:
        """True for a tokenizer trained on the photographs."""
        return self.spec != DEFAULT_TOKENIZER

    def comparison(self) -> str:
        """The comparison in a clause, or "" where nothing was compared."""
        if self.own is None or self.bundled is None:
            return ""
        return (
            f"training images come back from the own one at {self.own:.1f} dB, from the bundled "
            f"one at {self.bundled:.1f} dB"
        )


@dataclass(frozen=True)
class Plan:
    """The data of a pilot and its runs.

    Args:
        options: of the pilot.
        dataset: the photographs that can be read.
        side: to which they are resized, in pixels.
        tokenizer: that encodes them.
        context: properties that formats need.
        arms: in the order of the page.
    """

    options: PilotOptions
    dataset: Dataset
    side: int
    tokenizer: Choice
    context: FormatContext
    arms: tuple[Arm, ...]

    def configs(self, arm: Arm) -> list[RunConfig]:
        """The runs of an arm, one for each seed."""
        return [self._config(arm, seed) for seed in dict.fromkeys(self.options.seed)]

    def steps(self) -> int:
        """Steps of training of a run, about."""
        config = self.configs(self.arms[0])[0]
        images = -(-len(self.dataset.train) // config.experiences)
        return config.experiences * config.epochs * -(-images // config.batch)

    def advice(self) -> str:
        """A line about training that is too short to learn anything, or ""."""
        steps = self.steps()
        if steps >= FEWEST_STEPS:
            return ""
        epochs = -(-self.options.epochs * FEWEST_STEPS // steps)
        return (
            f"note: {len(self.dataset.train):,} images make about {steps} steps of training a run, "
            f"too few to learn much; --epochs {epochs}, or more images, make {FEWEST_STEPS}"
        )

    def all_configs(self) -> list[RunConfig]:
        """All runs, each once, seed by seed, so that pairs are complete early."""
        configs = [self._config(arm, seed) for seed in self.options.seed for arm in self.arms]
        return list(dict.fromkeys(configs))

    def _config(self, arm: Arm, seed: int) -> RunConfig:
        return RunConfig(
            data_root=self.options.data_root,
            format=arm.format,
            learner=arm.learner,  # type: ignore[arg-type]
            memory_mb=arm.memory_mb,
            tokenizer=self.tokenizer.spec,
            resolution=self.side,
            leave_out=left_out_file(self.options),
            experiences=self.options.experiences or min(EXPERIENCES, len(self.dataset.classes)),
            epochs=self.options.epochs,
            device=self.options.device,
            seed=seed,
        )


def open_photographs(options: PilotOptions) -> tuple[Dataset, int, list[str]]:
    """List the photographs.

    Returns:
        The data set without images that cannot be read, whose test images are the run's own; the
        side in pixels; the names of the images that cannot be read.

    Raises:
        UserError: no such folder, less than two classes, no image files, one that cannot be read,
            or an option that does not fit them.
    """
    dataset = list_dataset(RunConfig(data_root=options.data_root))
    if len(dataset.classes) < 2:
        raise UserError(
            f"{options.data_root}: has a single class; a pilot learns to tell classes apart: give "
            "a folder of images for each of several classes"
        )
    if options.experiences > len(dataset.classes):
        raise UserError(
            f"--experiences {options.experiences}: {options.data_root} has "
            f"{len(dataset.classes)} classes; give at most as many"
        )
    if not (dataset.has_images and dataset.has_files):
        raise UserError(
            f"{options.data_root}: has no image files, which a pilot compares with; give folders "
            "of photographs, or python -m seit_cl.run"
        )
    side = options.resolution
    if not side:
        with advising_to_skip():
            native = native_resolution(dataset, options.skip_bad_images)
        side = default_resolution(native, STRIDE)
    if side % STRIDE or not 32 <= side <= 256:
        raise UserError(f"--resolution {side}: must be a multiple of {STRIDE} from 32 to 256")
    _check_formats(options, _context(dataset, side, DEFAULT_TOKENIZER))
    readable = check_once(dataset, options.skip_bad_images, side)
    return readable, side, sorted(_names(dataset) - _names(readable))


def other_formats(options: PilotOptions) -> list[str]:
    """Specs of the formats beside the originals, each once however it is spelled.

    Raises:
        UserError: an option that a format does not have.
    """
    spelled: dict[str, str] = {}
    for spec in options.formats:
        spelled.setdefault(canonical_spec(spec), spec)
    spelled.pop(canonical_spec(ORIGINALS), None)
    return list(spelled.values())


def _check_formats(options: PilotOptions, context: FormatContext) -> None:
    """Refuse formats that cannot be built, before a tokenizer is trained for minutes.

    Raises:
        UserError: naming an option, a file or a package.
    """
    for spec in other_formats(options):
        build_format(spec, context)


def _context(dataset: Dataset, side: int, tokenizer_spec: str) -> FormatContext:
    """Properties of the photographs and of a tokenizer that formats need."""
    tokenizer = open_tokenizer(tokenizer_spec)
    return FormatContext(
        side,
        len(dataset.classes),
        tokenizer.codebook.shape[1],
        token_shape(tokenizer, side),
        tokenizer.identity,
        tokenizer.entropy_model,
    )


def _names(dataset: Dataset) -> set[str]:
    """Names of the images of both splits."""
    return {image.name for image in (*dataset.train.images, *dataset.val.images)}


def write_left_out(options: PilotOptions, names: Sequence[str]) -> None:
    """Write the images that a pilot leaves out into its folder, for all of its stages.

    Args:
        options: of the pilot.
        names: of these images, below the data root.
    """
    path = options.folder / LEFT_OUT
    if names:
        write_atomic(path, "\n".join(["# cannot be decoded", *names, ""]))
    else:
        path.unlink(missing_ok=True)


def left_out_file(options: PilotOptions) -> str | None:
    """The list of images that a pilot leaves out, or None where it uses all."""
    path = options.folder / LEFT_OUT
    return str(path) if path.exists() else None


def make_plan(options: PilotOptions, dataset: Dataset, side: int, choice: Choice) -> Plan:
    """List the arms of a pilot.

    Args:
        options: of the pilot.
        dataset: the photographs.
        side: in pixels.
        choice: of the tokenizer.

    Raises:
        UserError: a format that cannot be built, or more originals than main memory has room for.
    """
    everything = _bytes_of_everything(options, dataset, side)
    context = _context(dataset, side, choice.spec)
    budgets = options.memory_mb or _default_budgets(len(dataset.train), context)
    formats = other_formats(options)
    arms = _arms([ORIGINALS, *formats], everything, True)
    for budget in sorted(set(budgets)):
        arms += _arms(formats, budget, False)
    return Plan(options, dataset, side, choice, context, tuple(arms))


def _arms(formats: Sequence[str], memory_mb: float, keeps_all: bool) -> list[Arm]:
    """The arms of some formats with every learner that can learn from them."""
    arms = []
    for spec in formats:
        for learner in LEARNERS:
            if format_domain(spec) in MODALITIES[learner].replays:
                arms.append(Arm(spec, learner, memory_mb, keeps_all))
    return arms


def _bytes_of_everything(options: PilotOptions, dataset: Dataset, side: int) -> float:
    """MB that hold all training images in any format, with room to spare.

    Raises:
        UserError: more originals than main memory has room for.
    """
    originals = sum(len(image.read()) for image in dataset.train.images)
    if originals > MOST_BYTES:
        raise UserError(
            f"{options.data_root}: {originals / 1e9:.1f} GB of training images, of which every "
            f"run holds copies in main memory; a pilot takes up to {MOST_BYTES / 1e9:g} GB: give a "
            "sample of each class"
        )
    count = len(dataset.train)
    raw = count * 3 * side**2
    return rounded_up((1.1 * max(originals, raw) + 100 * count) / 1e6 + 0.1)


def _default_budgets(images: int, context: FormatContext) -> list[float]:
    """MB of the tokens of SHARES of the training images."""
    record = build_format("tokens", context).fixed_length
    assert record is not None
    each = record + label_dtype(context.classes).itemsize
    return [rounded_up((share * images * each + HEADER_BYTES) / 1e6) for share in SHARES]


def rounded_up(megabytes: float) -> float:
    """A number of MB with two significant digits, not below the given one."""
    step = 10.0 ** (math.floor(math.log10(megabytes)) - 1)
    return float(f"{math.ceil(megabytes / step) * step:.12g}")


def tokenizer_path(folder: Path) -> Path:
    """The file of the own tokenizer of a pilot."""
    return folder / "tokenizer.safetensors"


def spaced(images: Sequence[StoredImage], most: int) -> Sequence[StoredImage]:
    """At most so many of some images, evenly spaced."""
    every = -(-len(images) // most)
    return images[:: max(1, every)]
