"""Time of a training step of the bare model: variants against a baseline, and kernels by kind.

The baseline is what the learner uses, without CUDA graphs: a compiled ViT under bf16 autocast, with
fused AdamW. Every variant changes one thing. It is measured beside the baseline in interleaved
rounds and then freed. A variant that the machine cannot run is reported with the reason.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro

from benchmarks.kernels import kernel_times
from benchmarks.measure import Spread, interleave, round_ratios
from benchmarks.model_variants import (
    BASELINE,
    STRIDE,
    VARIANTS,
    Variant,
    VariantTraining,
)
from benchmarks.peak import matmul_rate, training_flops
from seit_cl.core.cli import run_command
from seit_cl.core.devices import choose_device
from seit_cl.core.errors import UserError
from seit_cl.core.machine import torch_threads
from seit_cl.models._vit import token_stem
from seit_cl.reporting.markdown import page, table, typed_command, write_page

GOALS = {"small": 0.4, "base": 0.5}  # of the peak, at 256 px on an H100
Size = Literal["micro", "tiny", "small", "base"]


@dataclass(frozen=True)
class Options:
    """Options of the model benchmark."""

    model: Annotated[tuple[Size, ...], tyro.conf.arg(help="sizes of the ViT")] = ("small", "base")
    resolution: Annotated[
        int, tyro.conf.arg(help="image side in pixels; 256 gives 14 x 14 patches")
    ] = 256
    batch: Annotated[int, tyro.conf.arg(help="samples per step")] = 256
    variants: Annotated[
        tuple[str, ...], tyro.conf.arg(help="names or parts of names of the variants; none: all")
    ] = ()
    compile: Annotated[
        bool, tyro.conf.arg(help="compile the model, except where a variant says otherwise")
    ] = True
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="where the model trains")] = "cuda"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 5
    steps: Annotated[int, tyro.conf.arg(help="steps in a round, and before the loss is read")] = 10
    limit: Annotated[
        float, tyro.conf.arg(help="seconds for each model; later variants are left out; 0: none")
    ] = 0.0
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file, written anew after every variant")
    ] = None


@dataclass(frozen=True)
class Row:
    """Measurement of a variant.

    Args:
        name: of the variant.
        rate: images per second.
        ratio: over the baseline in the same round.
        loss: after `steps` steps from the same weights.
        failure: the reason why there are no figures; "" if there are.
    """

    name: str
    rate: Spread | None = None
    ratio: Spread | None = None
    loss: float = 0.0
    failure: str = ""


@dataclass
class ModelResult:
    """Measurements of a model.

    Args:
        size: of the model.
        flops: floating-point operations of training on one image.
        peak: operations per second of a large bf16 matrix product.
        kernels: seconds of a baseline step's kernels, by kind.
        step_seconds: seconds of a baseline step.
        rows: the baseline, then the variants measured so far.
    """

    size: Size
    flops: float
    peak: float
    kernels: dict[str, float]
    step_seconds: float
    rows: list[Row] = field(default_factory=list)


def chosen_variants(options: Options) -> dict[str, Variant]:
    """Return the variants that are asked for, by name.

    Raises:
        UserError: a name that no variant has.
    """
    for part in options.variants:
        if not any(part in name for name in VARIANTS):
            names = ", ".join(VARIANTS)
            raise UserError(f"--variants {part}: there is no such variant; choose from {names}")
    chosen = {}
    for name, variant in VARIANTS.items():
        if options.variants and not any(part in name for part in options.variants):
            continue
        if not options.compile:
            if variant.mode != "default":
                continue  # they differ from the baseline in how they are compiled
            variant = replace(variant, mode=None)
        chosen[name] = variant
    return chosen


def build(options: Options, size: Size, variant: Variant) -> VariantTraining:
    """Build the training of a variant.

    Raises:
        UserError: CUDA was requested and is not available.
    """
    device = choose_device(options.device)
    return VariantTraining(variant, size, options.resolution, options.batch, device, options.steps)


def image_rates(seconds: list[float], options: Options) -> Spread:
    """Convert the seconds of rounds to images per second."""
    images = options.steps * options.batch
    return Spread.of([images / taken for taken in seconds])


def count_flops(options: Options, size: Size) -> float:
    """Count the floating-point operations of training on one image."""
    plain = build(replace(options, batch=2), size, Variant(mode=None))
    return training_flops(plain.model, plain.inputs, plain.labels)


def measure_baseline(options: Options, size: Size) -> tuple[VariantTraining, ModelResult]:
    """Measure the baseline's speed and the time of its kernels.

    Raises:
        UserError: CUDA was requested and is not available.
    """
    baseline = build(options, size, Variant() if options.compile else Variant(mode=None))
    device = baseline.device
    loss = float(baseline())
    seconds = interleave({BASELINE: baseline}, options.rounds, 0.0, device)[BASELINE]
    result = ModelResult(
        size=size,
        flops=count_flops(options, size),
        peak=matmul_rate(device, torch.bfloat16),
        kernels=kernel_times(lambda: baseline.train(1), device),
        step_seconds=Spread.of(seconds).median / options.steps,
    )
    result.rows.append(Row(BASELINE, image_rates(seconds, options), Spread(1.0, 1.0, 1.0), loss))
    return baseline, result


def measure_variant(
    name: str, variant: Variant, baseline: VariantTraining, options: Options, size: Size
) -> Row:
    """Measure a variant beside the baseline; a variant that fails gives a row with the reason."""
    try:
        training = build(options, size, variant)
        loss = float(training())
        calls = {BASELINE: baseline, name: training}
        seconds = interleave(calls, options.rounds, 0.0, training.device)
    except Exception as error:  # whatever torch or a kernel raises that the machine cannot run
        return Row(name, failure=first_line(error))
    ratio = round_ratios(seconds[BASELINE], seconds[name])
    return Row(name, image_rates(seconds[name], options), ratio, loss)


def first_line(error: Exception) -> str:
    """Return the class and the first line of an error, for a cell of a table."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:120]}".replace("|", "/")


def measure(options: Options, size: Size) -> Iterator[ModelResult]:
    """Measure a model, and yield the result so far after the baseline and after every variant.

    Raises:
        UserError: CUDA was requested and is not available, or an unknown variant.
    """
    started = time.monotonic()
    variants = chosen_variants(options)
    baseline, result = measure_baseline(options, size)
    yield result
    for name, variant in variants.items():
        if options.limit and time.monotonic() - started > options.limit:
            result.rows.append(Row(name, failure=f"left out after {options.limit:g} s"))
        else:
            result.rows.append(measure_variant(name, variant, baseline, options, size))
            gc.collect()  # the variant's memory, which its compiled code refers to in a cycle
            torch.cuda.empty_cache()  # without effect on a CPU
        yield result


def variant_table(result: ModelResult) -> str:
    """Tabulate speed and loss of the variants."""
    head = ["variant", "images/s", "over the baseline", "share of peak", "loss", "change"]
    first_loss = result.rows[0].loss
    rows = []
    for row in result.rows:
        if row.rate is None or row.ratio is None:
            rows.append([row.name, row.failure, "", "", "", ""])
            continue
        share = row.rate.median * result.flops / result.peak
        change = row.loss / first_loss - 1
        cells = [row.name, row.rate.text(), row.ratio.text(2), f"{share:.0%}"]
        rows.append([*cells, f"{row.loss:.4f}", f"{change:+.3%}"])
    return table(head, rows)


def kernel_table(result: ModelResult) -> str:
    """Tabulate the time of the baseline's kernels by kind, and the time without a kernel."""
    step = result.step_seconds
    rows = []
    for kind, seconds in result.kernels.items():
        rows.append([kind, f"{seconds * 1e3:.2f}", f"{seconds / step:.0%}"])
    idle = max(0.0, step - sum(result.kernels.values()))
    rows.append(["no kernel runs", f"{idle * 1e3:.2f}", f"{idle / step:.0%}"])
    rows.append(["a step", f"{step * 1e3:.2f}", "100%"])
    return table(["kernels", "ms", "share"], rows)


def model_sections(result: ModelResult, options: Options) -> list[str]:
    """Write the sections of one model."""
    share = options.batch / result.step_seconds * result.flops / result.peak
    about = (
        f"Training on an image takes {result.flops / 1e9:.2f} GFLOP; the peak, "
        f"{result.peak / 1e12:,.1f} TFLOP/s, is the rate of one large bf16 matrix product. The "
        f"baseline reaches {share:.0%} of it"
    )
    goal = GOALS.get(result.size)
    if goal is not None and options.device == "cuda":
        about += f"; goal: {goal:.0%}"
    about_kernels = (
        "Kernels of one baseline step by torch's profiler; the step is timed without it."
    )
    return [
        f"## {result.size}",
        about + ".",
        variant_table(result),
        about_kernels,
        kernel_table(result),
    ]


def report(results: list[ModelResult], options: Options, typed: str) -> str:
    """Write the page of results, in Markdown."""
    patches = token_stem(options.resolution // STRIDE).patches ** 2
    compiled = "compiled" if options.compile else "not compiled"
    about = (
        f"{options.resolution} px ({patches} patches), {options.batch} random inputs a step, ready "
        f"on the device ({options.device}). Baseline: {compiled}, bf16 autocast, fused AdamW, "
        "torch's choice of attention kernel. A variant changes one thing and is measured beside "
        f"the baseline in {options.rounds} interleaved rounds of {options.steps} steps: images/s, "
        "median (lowest–highest); a ratio compares the same round. Loss: after the first "
        f"{options.steps} steps from equal weights, and its change against the baseline's."
    )
    sections = [about]
    for result in results:
        sections += model_sections(result, options)
    return page("The model's own speed", typed, choose_device(options.device), sections)


def main() -> None:
    """Measure, write the page after every variant if asked to, and print it."""
    options = tyro.cli(Options, description=__doc__)
    typed = typed_command("benchmarks.model")
    finished: list[ModelResult] = []
    text = ""
    with torch_threads(options.threads):
        for size in options.model:
            for result in measure(options, size):
                text = report([*finished, result], options, typed)
                write_page(text, options.write)
            finished.append(result)
    print(text)


if __name__ == "__main__":
    run_command(main)
