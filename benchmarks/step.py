"""Training step of the token learner against a bare timm loop, images a second of both.

The learner's side is a run's own: Avalanche's loop, ReplayLoader with a memory, augmentation, CutMix, the strategy's
loss, clipping, AdamW, schedule. The bare side has the same model, batch and precision, its inputs ready on the device,
and does cross-entropy, backward and fused AdamW, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from benchmarks.clock import Clock, TimedBatchMaker
from benchmarks.measure import Spread, interleave
from benchmarks.peak import matmul_rate, peak_memory, training_flops
from benchmarks.workload import Workload
from seit_cl.config import RunConfig
from seit_cl.core.cli import run_command
from seit_cl.core.machine import torch_threads
from seit_cl.core.rng import Generators
from seit_cl.experiment.build import build_model, build_strategy, optimisation
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.batches import BatchMaker, ReplayLoader
from seit_cl.learner.learner import Learner
from seit_cl.reporting.markdown import page, publish, table, typed_command

GOAL = 0.95  # of the bare loop's images a second
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
    batch: Annotated[int, tyro.conf.arg(help="fresh samples a step")] = 32
    replay_batch: Annotated[int, tyro.conf.arg(help="exemplars a step")] = 32
    precision: Annotated[tuple[Precision, ...], tyro.conf.arg(help="precisions to measure")] = (
        "fp32",
        "bf16",
    )
    device: Annotated[Literal["cpu", "cuda"], tyro.conf.arg(help="where both train")] = "cpu"
    threads: Annotated[int, tyro.conf.arg(help="CPU threads; 0: torch's own choice")] = 0
    rounds: Annotated[int, tyro.conf.arg(help="how many times every rival has its turn")] = 12
    steps: Annotated[
        int, tyro.conf.arg(help="steps a turn; rounded up to whole epochs of the experience")
    ] = 10
    compile: Annotated[
        bool, tyro.conf.arg(help="measure both with the model compiled beside them")
    ] = False
    format: Annotated[str, tyro.conf.arg(help="how exemplars are stored")] = "tokens"
    data_root: Annotated[
        Path | None, tyro.conf.arg(help="image folder; none: built-in fractals")
    ] = None
    write: Annotated[
        Path | None, tyro.conf.arg(help="Markdown file to write, e.g. benchmarks/results/step.md")
    ] = None


class OurTraining:
    """One experience of a run: the second of two, with exemplars of the first.

    Args:
        work: data and options.
        steps: of a call, rounded up to whole epochs.
    """

    def __init__(self, work: Workload, steps: int) -> None:
        self.work, config = work, work.config
        stream = work.stream()
        self.classes_seen = stream.seen(1)
        self.memory = work.memory(stream.train[0])
        epoch_steps = min(steps, max(1, len(stream.train[1]) // config.batch))
        self.ids = stream.train[1][
            : epoch_steps * config.batch
        ]  # whole batches, where there are as many samples
        self.experience = stream.benchmark(work.data.dataset).train_stream[1]
        self.epochs = -(-steps // epoch_steps)
        self.steps = self.epochs * epoch_steps
        self.maker = work.batches()
        model = build_model(
            config, work.data, work.classes, Generators(config.seed)["initialisation"]
        )
        trained = replace(config, epochs=self.epochs)
        self.learner = Learner(
            model=model,
            strategy=build_strategy(config),
            optimisation=optimisation(trained),
            augment=self.maker.augment,
            grow_head=config.head == "grow",
            device=work.device,
        )

    def loader(
        self, maker: BatchMaker | None = None, raw: Callable[[Tensor], Tensor] | None = None
    ) -> ReplayLoader:
        """The batches of an epoch, as a run makes them.

        Args:
            maker: of the batches, instead of the run's own.
            raw: gives raw fresh data, instead of the run's data.
        """
        config, data = self.work.config, self.work.data
        labels = self.work.labels()[self.ids]
        return ReplayLoader(
            maker or self.maker,
            raw or data.tokens,
            self.ids,
            labels,
            config.batch,
            config.replay_batch,
            self.memory,
        )

    def __call__(self) -> None:
        """Train on the experience."""
        self.learner.fit(self.experience, self.loader(), self.classes_seen)

    def profile(self) -> dict[str, float]:
        """Seconds of one call by phase, device work included."""
        clock = Clock(self.work.device)
        learner = self.learner
        maker = TimedBatchMaker(**vars(self.maker), clock=clock)
        loader = self.loader(maker, clock.timing("fresh tokens", self.work.data.tokens))
        timer = UpdateTimer(clock)
        learner.plugins.append(timer)
        with (
            clock.watching(self.memory, {"sample": "replay"}),
            clock.watching(learner, {"run_model": "forward", "backward": "backward"}),
            clock.watching(learner.strategy, {"loss": "loss"}),
            clock.total(),
        ):
            learner.fit(self.experience, loader, self.classes_seen)
        learner.plugins.remove(timer)
        return clock.shares()


class UpdateTimer(SupervisedPlugin):
    """Timer of clipping, optimiser and schedule, between Avalanche's hooks around them.

    Args:
        clock: adds the time up.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.began = 0.0

    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self.began = self.clock.start()

    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.clock.stop("optimiser", self.began)


class BareTraining:
    """The same model on one ready batch, again and again.

    Args:
        ours: what it is measured against.
    """

    def __init__(self, ours: OurTraining) -> None:
        work, config = ours.work, ours.work.config
        self.device, self.steps = work.device, ours.steps
        self.bf16 = ours.learner.optimisation.precision == "bf16"
        ids = ours.ids.repeat(-(-(config.batch + config.replay_batch) // len(ours.ids)))
        ids = ids[: config.batch + config.replay_batch]
        batch = work.batches()(work.data.tokens(ids), work.labels()[ids], ids)
        self.inputs, self.labels = (
            batch.inputs.contiguous(memory_format=torch.channels_last),
            batch.labels,
        )
        self.model = build_model(
            config, work.data, work.classes, Generators(config.seed)["initialisation"]
        )
        self.model.to(self.device).train()
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), lr=1e-6, fused=True
        )  # stays away from loss 0

    def __call__(self) -> None:
        """As many steps as the learner's call takes."""
        for _ in range(self.steps):
            self.forward()
            self.backward()
            self.step()

    def forward(self) -> None:
        """Logits and cross-entropy."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.model(self.inputs)
        self.loss = torch.nn.functional.cross_entropy(logits.float(), self.labels)

    def backward(self) -> None:
        """Gradients."""
        self.optimiser.zero_grad()
        self.loss.backward()

    def step(self) -> None:
        """AdamW."""
        self.optimiser.step()

    def profile(self) -> dict[str, float]:
        """Seconds of one call by phase, device work included."""
        clock = Clock(self.device)
        with (
            clock.watching(
                self, {"forward": "forward", "backward": "backward", "step": "optimiser"}
            ),
            clock.total(),
        ):
            self()
        return clock.shares()


@dataclass(frozen=True)
class Result:
    """What was measured, by "precision" or "precision, compiled".

    Args:
        ours: the learner's images a second.
        bare: the bare loop's.
        ratios: ours over bare, of the same round.
        profiles: milliseconds a step by phase, by rival.
        memory: most bytes of GPU memory allocated by rival; None on a CPU.
        flops: floating-point operations of training on one image.
        peak: operations a second of a large matrix product, by precision.
        steps: of a turn.
    """

    ours: Mapping[str, Spread]
    bare: Mapping[str, Spread]
    ratios: Mapping[str, Spread]
    profiles: Mapping[str, Mapping[str, float]]
    memory: Mapping[str, int | None]
    flops: float
    peak: Mapping[str, float]
    steps: int


def build_rivals(options: Options) -> dict[str, tuple[OurTraining, BareTraining]]:
    """Both sides, by precision and compilation."""
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
    data, rivals = RunData(config), {}
    for compiled in (False, True) if options.compile else (False,):
        for precision in options.precision:
            work = Workload(replace(config, precision=precision, compile=compiled), data)
            ours = OurTraining(work, options.steps)
            rivals[precision + ", compiled" * compiled] = ours, BareTraining(ours)
    return rivals


def measure(options: Options) -> Result:
    """Time all rivals, interleaved, and profile each once.

    Raises:
        UserError: bad data root, format or resolution; CUDA asked for and absent.
    """
    with torch_threads(options.threads):
        rivals = build_rivals(options)
        calls: dict[str, Callable[[], None]] = {}
        for name, (ours, bare) in rivals.items():
            calls |= {f"seit_cl {name}": ours, f"timm {name}": bare}
        first = next(iter(rivals.values()))[0]
        taken = interleave(calls, options.rounds, 0.0, first.work.device)
        device = first.work.device
        profiles, memory = {}, {}
        for name, sides in rivals.items():
            for side, rival in zip(("seit_cl", "timm"), sides, strict=True):
                profiles[f"{side} {name}"] = {
                    k: v / sides[0].steps * 1e3 for k, v in rival.profile().items()
                }
                memory[f"{side} {name}"] = peak_memory(rival, device)
        bare = next(iter(rivals.values()))[1]
        flops = training_flops(bare.model, bare.inputs, bare.labels)
        peak = {name: matmul_rate(device, DTYPES[name.partition(",")[0]]) for name in rivals}
    images = first.steps * (options.batch + options.replay_batch)
    rates = {name: [images / seconds for seconds in times] for name, times in taken.items()}
    pairs = {name: (rates[f"seit_cl {name}"], rates[f"timm {name}"]) for name in rivals}
    return Result(
        {name: Spread.of(ours) for name, (ours, _) in pairs.items()},
        {name: Spread.of(bare) for name, (_, bare) in pairs.items()},
        {
            name: Spread.of([a / b for a, b in zip(ours, bare, strict=True)])
            for name, (ours, bare) in pairs.items()
        },
        profiles,
        memory,
        flops,
        peak,
        first.steps,
    )


def report(result: Result, options: Options, typed: str) -> str:
    """The page of a result, in Markdown."""
    rates = [
        [
            name,
            result.ours[name].text(),
            result.bare[name].text(),
            result.ratios[name].text(2),
            "yes" if result.ratios[name].median >= GOAL else "no",
            f"{result.ours[name].median * result.flops / result.peak[name]:.0%} of {result.peak[name] / 1e12:,.2f}",
            *(
                f"{most / 1e9:.2f}"
                for most in (result.memory[f"{side} {name}"] for side in ("seit_cl", "timm"))
                if most
            ),
        ]
        for name in result.ours
    ]
    phases = list(dict.fromkeys(phase for profile in result.profiles.values() for phase in profile))
    rows = []
    for name, profile in result.profiles.items():
        whole = sum(profile.values())
        cells = [
            f"{profile[p]:.2f} ({profile[p] / whole:.0%})" if p in profile else "–" for p in phases
        ]
        rows.append([name, *cells, f"{whole:.2f}"])
    used = options.threads or torch.get_num_threads()
    about = (
        f"{options.model} ViT, {options.resolution} px, {options.batch} fresh samples and {options.replay_batch} exemplars "
        f"({options.format}) a step; {options.device}, {used} threads; {options.rounds} interleaved rounds of {result.steps} "
        "steps; images/s, median (10th–90th percentile); a ratio compares the same round. Training on an image takes "
        f"{result.flops / 1e9:.2f} GFLOP; its share of the peak is held against one large matrix product in the same precision."
    )
    head = [
        "precision",
        "seit_cl",
        "bare timm",
        "ratio",
        f"at least {GOAL}",
        "share of peak, TFLOP/s",
    ]
    head += ["GPU memory, GB", "bare, GB"] if options.device == "cuda" else []
    explained = (
        "Milliseconds a step by phase, timed once, with a wait for the device after each phase."
    )
    device = torch.device(options.device)
    return page(
        "Training step",
        typed,
        device,
        [about, table(head, rates), explained, table(["", *phases, "sum"], rows)],
    )


def main() -> None:
    """Measure, print, and write where asked."""
    options = tyro.cli(Options, description=__doc__)
    publish(report(measure(options), options, typed_command("benchmarks.step")), options.write)


if __name__ == "__main__":
    run_command(main)
