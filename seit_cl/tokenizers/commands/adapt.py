"""`python -m seit_cl.tokenize adapt`: train the map of TokenAdapt and ColorAdapt."""

from __future__ import annotations

import math
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress

from seit_cl import __version__
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.progress import progress_bars
from seit_cl.core.token_shapes import is_sequence
from seit_cl.data.decoding import limit_pixels
from seit_cl.data.images import load_images
from seit_cl.data.pixel_room import room_for_images
from seit_cl.datasets import list_data
from seit_cl.learner.augment.token_adapt_file import save_adapter
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._encoding import check_resolution
from seit_cl.tokenizers.base import Tokenizer
from seit_cl.tokenizers.commands._output import prepare_output
from seit_cl.tokenizers.commands.options import Adapt
from seit_cl.tokenizers.training.adapting import AdapterProgress, AdapterSettings, AdapterTraining

PRINTED_STEPS = 1000  # steps between lines where the console is no terminal
MOST_CODES = 2**18  # scores of a position


def adapt_command(options: Adapt) -> None:
    """Run `tokenize adapt`; after an interruption, the same command resumes.

    Raises:
        UserError: options out of range, images that cannot be read, or a tokenizer whose tokens
            cannot be mapped.
    """
    for name in ("minutes", "batch", "learning_rate"):
        if not 0 < getattr(options, name) < math.inf:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} {getattr(options, name):g}: must be above 0")
    if options.steps < 0:
        raise UserError(f"--steps {options.steps}: must be 0 or more")
    prepare_output(options.out, "adapter.safetensors")
    limit_pixels(options.max_pixels)
    tokenizer = open_tokenizer(options.tokenizer).to(choose_device(options.device))
    check_resolution(options.resolution, tokenizer.stride)
    _check(options.tokenizer, tokenizer)
    console = Console(soft_wrap=True)
    dataset = list_data(options.data_root)
    images = room_for_images(len(dataset.train), options.resolution)
    load_images(dataset.train.images, options.resolution, out=images)
    settings = AdapterSettings(
        options.minutes, options.steps, options.batch, options.learning_rate, options.seed
    )
    made_of = {"dataset": dataset.identity, "resolution": str(options.resolution)}
    training = AdapterTraining(images, tokenizer, settings, made_of)
    checkpoint = options.out.with_name(f"{options.out.name}.training")
    with progress_bars(console) as bars:
        try:
            training.run(_reporter(bars), checkpoint)
        except KeyboardInterrupt:
            console.print(f"interrupted; the same command resumes from {checkpoint}")
            raise
    loss, agreement, unadapted = training.means.tolist()
    made: dict[str, str | int | float] = {
        "dataset": dataset.name,
        **made_of,
        "images": len(images),
        "steps": training.step,
        "batch": options.batch,
        "seed": options.seed,
        "loss": round(loss, 4),
        "agreement": round(agreement, 4),
        "agreement_without_map": round(unadapted, 4),
        "seit_cl": __version__,
    }
    save_adapter(options.out, training.finish(), tokenizer.identity, made)
    checkpoint.unlink()  # last, since the command resumes as long as it is there
    console.print(
        f"{options.out}: finds {100 * agreement:.1f} % of the codes of rotated and sheared images, "
        f"moved codes {100 * unadapted:.1f} %; next: python -m seit_cl.run --token-adapt "
        f"{options.out}",
        highlight=False,
    )


def _check(spec: str, tokenizer: Tokenizer) -> None:
    """Refuse tokens that have no places, and more codes than can be scored.

    Raises:
        UserError: naming the tokenizer.
    """
    if is_sequence(tokenizer):
        raise UserError(
            f"--tokenizer {spec}: its tokens have no places in the image that could be rotated; "
            "give one with a grid"
        )
    groups, codes, _ = tokenizer.codebook.shape
    if groups * codes > MOST_CODES:
        raise UserError(
            f"--tokenizer {spec}: its {codes:,} codes are too many to be scored; give one with "
            f"fewer than {MOST_CODES:,}"
        )


def _reporter(bars: Progress) -> Callable[[AdapterProgress], None]:
    """Make the function that shows progress, as a bar or in lines."""
    task = bars.add_task("adapt", total=1.0)

    def report(progress: AdapterProgress) -> None:
        text = (
            f"step {progress.step} loss {progress.loss:.3f}, codes found "
            f"{100 * progress.agreement:.0f} %, moved {100 * progress.unadapted:.0f} %, "
            f"{progress.speed:,.0f} images/s"
        )
        bars.update(task, completed=progress.fraction, description=text)
        if not bars.console.is_terminal and progress.step % PRINTED_STEPS == 0:
            bars.console.print(text, highlight=False)

    return report
