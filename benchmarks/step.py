"""Training step of the token learner compared with a bare timm loop, in images per second.

The learner trains as in a run: Avalanche's loop, ReplayLoader with a memory, augmentation, CutMix,
the strategy's loss, clipping, AdamW, schedule. The bare loop has the same model, batch and
precision, with inputs that are ready on the device; it computes cross-entropy and gradients and
takes a step of fused AdamW, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
import tyro

from benchmarks.measure import Spread, interleave, round_ratios
from benchmarks.peak import matmul_rate, peak_memory, training_flops
from benchmarks.training import BareTraining, LearnerTraining
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.machine import torch_threads
from seit_cl.experiment.run_data import RunData
from seit_cl.reporting.markdown import page, publish, table, typed_command

GOAL = 0.95  # of the bare loop's images per second
Precision = Literal["fp32", "bf16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Options:
    """Options of the step benchmark."""

    model: Annotated[
        Literal["micro", "tiny", "small", "base"], tyro.conf.arg(help="size of the ViT")
    ] = "micro"
    resolution: Annotated[
        int, tyro.conf.arg(help="image side in pixels; 64 gives 8 x 8 tokens")
    ] = 64
    batch: Annotated[int, tyro.conf.arg(help="fresh samples per step")] = 32
    replay_batch: Annotated[int, tyro.conf.arg(help="exemplars per step")] = 32
    precision: Annotated[tuple[Precision, ...], tyro.conf.arg(help="precisions to measure")] = (
        "fp32",
        "bf16",
    )
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="where both train")] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="interleaved rounds of measurement")] = 12
    steps: Annotated[
        int, tyro.conf.arg(help="steps in a round; rounded up to whole epochs of the experience")
    ] = 10
    compile: Annotated[bool, tyro.conf.arg(help="also measure both with a compiled model")] = False
    format: Annotated[str, tyro.conf.arg(help="format of the exemplars")] = "tokens"
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/step.md")
    ] = None


class Pair(NamedTuple):
    """The two trainings to compare, in one precision.

    Args:
        learner: the learner's.
        bare: the bare timm loop.
    """

    learner: LearnerTraining
    bare: BareTraining


@dataclass(frozen=True)
class Result:
    """Measured speeds, by precision ("bf16" or "bf16, compiled") or by training ("timm bf16").

    Args:
        learner: images per second of the learner's training, by precision.
        bare: images per second of the bare loop, by precision.
        ratios: learner over bare, of the same round, by precision.
        profiles: milliseconds of a step by phase, by training.
        memory: peak bytes of GPU memory, by training; None on a CPU.
        flops: floating-point operations of training on one image.
        peak: operations per second of a large matrix product, by precision.
        steps: number of steps in a round.
    """

    learner: Mapping[str, Spread]
    bare: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    profiles: Mapping[str, Mapping[str, float]]
    memory: Mapping[str, int | None]
    flops: float
    peak: Mapping[str, float]
    steps: int


def build_pairs(options: Options) -> dict[str, Pair]:
    """Build both trainings, by precision."""
    config = RunConfig(
        data_root=options.data_root,
        resolution=options.resolution,
        device=options.device,
        model=options.model,
        batch=options.batch,
        replay_batch=options.replay_batch,
        format=options.format,
        experiences=2,
        memory_mb=100,
    )
    data = RunData(config)
    pairs = {}
    for compiled in (False, True) if options.compile else (False,):
        for precision in options.precision:
            work = Workload(replace(config, precision=precision, compile=compiled), data)
            training = LearnerTraining(work, options.steps)
            name = f"{precision}, compiled" if compiled else precision
            pairs[name] = Pair(training, BareTraining(training))
    return pairs


def trainings_by_name(pairs: Mapping[str, Pair]) -> dict[str, LearnerTraining | BareTraining]:
    """Return all trainings of all pairs, e.g. as "seit_cl bf16" and "timm bf16"."""
    trainings: dict[str, LearnerTraining | BareTraining] = {}
    for name, pair in pairs.items():
        trainings[f"seit_cl {name}"] = pair.learner
        trainings[f"timm {name}"] = pair.bare
    return trainings


def measure(options: Options) -> Result:
    """Time all trainings, interleaved, and profile each of them once.

    Raises:
        UserError: bad data root, format or resolution; CUDA was requested and is not available.
    """
    with torch_threads(options.threads):
        pairs = build_pairs(options)
        trainings = trainings_by_name(pairs)
        bare = next(iter(pairs.values())).bare
        device = bare.device
        calls: dict[str, Callable[[], None]] = {**trainings}
        seconds = interleave(calls, options.rounds, 0.0, device)
        profiles = {name: step_profile(training) for name, training in trainings.items()}
        memory = {name: peak_memory(training, device) for name, training in trainings.items()}
        flops = training_flops(bare.model, bare.inputs, bare.labels)
        peak = {}
        for name in pairs:
            precision = name.partition(",")[0]
            peak[name] = matmul_rate(device, DTYPES[precision])
    images = bare.steps * (options.batch + options.replay_batch)
    rates = {}
    for name, rounds in seconds.items():
        rates[name] = [images / taken for taken in rounds]
    return Result(
        learner={name: Spread.of(rates[f"seit_cl {name}"]) for name in pairs},
        bare={name: Spread.of(rates[f"timm {name}"]) for name in pairs},
        ratios={
            name: round_ratios(rates[f"seit_cl {name}"], rates[f"timm {name}"]) for name in pairs
        },
        profiles=profiles,
        memory=memory,
        flops=flops,
        peak=peak,
        steps=bare.steps,
    )


def step_profile(training: LearnerTraining | BareTraining) -> dict[str, float]:
    """Measure the milliseconds of one step by phase."""
    seconds = training.profile()
    return {phase: spent / training.steps * 1e3 for phase, spent in seconds.items()}


def speed_table(result: Result, device: torch.device) -> str:
    """Tabulate the speed of both trainings in each precision."""
    head = ["precision", "seit_cl", "bare timm", "ratio"]
    head += [f"at least {GOAL}", "share of peak, TFLOP/s"]
    if device.type == "cuda":
        head += ["GPU memory, GB", "bare, GB"]
    rows = []
    for name, ratio in result.ratios.items():
        learner = result.learner[name]
        peak = result.peak[name]
        share = learner.median * result.flops / peak
        goal = "yes" if ratio.median >= GOAL else "no"
        row = [name, learner.text(), result.bare[name].text(), ratio.text(2)]
        row += [goal, f"{share:.0%} of {peak / 1e12:,.2f}"]
        for side in ("seit_cl", "timm"):
            memory = result.memory[f"{side} {name}"]
            if memory is not None:
                row.append(f"{memory / 1e9:.2f}")
        rows.append(row)
    return table(head, rows)


def profile_table(result: Result) -> str:
    """Tabulate the phases of a step of each training."""
    phases: list[str] = []
    for profile in result.profiles.values():
        phases += [phase for phase in profile if phase not in phases]
    rows = []
    for name, profile in result.profiles.items():
        total = sum(profile.values())
        row = [name]
        for phase in phases:
            spent = profile.get(phase)
            row.append("–" if spent is None else f"{spent:.2f} ({spent / total:.0%})")
        rows.append([*row, f"{total:.2f}"])
    return table(["", *phases, "sum"], rows)


def report(result: Result, options: Options, typed: str) -> str:
    """Write the page of a result, in Markdown."""
    device = torch.device(options.device)
    threads = options.threads or torch.get_num_threads()
    about = (
        f"{options.model} ViT, {options.resolution} px, {options.batch} fresh samples and "
        f"{options.replay_batch} exemplars ({options.format}) a step; {options.device}, {threads} "
        f"threads; {options.rounds} interleaved rounds of {result.steps} steps; images/s, median "
        "(10th–90th percentile); a ratio compares the same round. Training on an image takes "
        f"{result.flops / 1e9:.2f} GFLOP; the peak is the rate of one large matrix product in the "
        "same precision."
    )
    about_phases = (
        "Milliseconds a step by phase, timed once, with a wait for the device after each phase; "
        "these steps of the learner do not run as CUDA graphs."
    )
    sections = [about, speed_table(result, device), about_phases, profile_table(result)]
    return page("Training step", typed, device, sections)


def main() -> None:
    """Measure, print the page, and write it if asked to."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(measure(options), options, typed_command("benchmarks.step")), options.write)


if __name__ == "__main__":
    run_command(main)
