"""Tokens against JPEGs at equal bytes: every run that the comparison needs, the largest differences first, then its table.

Takes every option of `python -m seit_cl.run` besides its own, but for strategy, format, learner and seed, which the stages
choose: each is a grid of that command, in the same --out. Finished runs are not run again and interrupted ones go on, so
the same line resumes. Other stages than one's own may run on other machines and be copied together.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from seit_cl.comparison.page import answer
from seit_cl.comparison.pool import finished_run, processes, run_all
from seit_cl.config import RunConfig
from seit_cl.core.cli import parse_line, run_command
from seit_cl.core.errors import UserError
from seit_cl.grid import expand, parse, run_id
from seit_cl.report import build_report
from seit_cl.reporting.markdown import publish, typed_command
from seit_cl.results.metrics import final_accuracy
from seit_cl.run import make_folder

STAGES = ("sweep", "claim", "pixels", "baseline", "bounds", "raw")
CHOSEN = ("strategy", "format", "learner", "seed")  # by the stages
BOUNDS = ("naive", "joint", "cumulative")
LEARNERS = ("tokens", "pixels")


@dataclass(frozen=True)
class Options:
    """The comparison's own options."""

    kind: Annotated[str, tyro.conf.arg(help="the JPEGs whose quality is swept")] = "jpeg_scan"
    quality: Annotated[tuple[int, ...], tyro.conf.arg(help="the qualities of the sweep")] = (
        5,
        10,
        25,
        50,
        75,
        90,
    )
    baseline: Annotated[str, tyro.conf.arg(help="what people store without a sweep")] = (
        "jpeg:quality=75"
    )
    claim_seeds: Annotated[int, tyro.conf.arg(help="seeds of tokens and of the best JPEG")] = 5
    seeds: Annotated[int, tyro.conf.arg(help="seeds of everything else; the sweep has one")] = 3
    stages: Annotated[
        tuple[Literal["sweep", "claim", "pixels", "baseline", "bounds", "raw"], ...],
        tyro.conf.arg(help="what to run; a claim and the pixels need the sweep"),
    ] = STAGES  # type: ignore[assignment]
    jobs: Annotated[
        int, tyro.conf.arg(help="runs at a time, which share the CPU's cores and the GPU")
    ] = 1
    write: Annotated[Path | None, tyro.conf.arg(help="file to write the table into")] = None
    dry_run: Annotated[bool, tyro.conf.arg(help="only say what would be run")] = False


@dataclass(frozen=True)
class Plan:
    """The stages of a comparison.

    Args:
        options: the comparison's own.
        line: what was typed for the runs, every dimension of the grid a tuple.
        out: folder of the results, which hold what the sweep found.
    """

    options: Options
    line: Any
    out: Path

    def grid(self, **chosen: tuple[Any, ...]) -> list[RunConfig]:
        """The runs of some choices."""
        return expand(replace(self.line, **{"strategy": ("er",), **chosen}))

    def sweep(self, learner: str) -> list[RunConfig]:
        """Every quality at every budget with one seed."""
        formats = tuple(
            f"{self.options.kind}:quality={quality}" for quality in self.options.quality
        )
        return self.grid(format=formats, learner=(learner,), seed=(0,))

    def best(self, budget: float, learners: Sequence[str]) -> tuple[str, str] | None:
        """Format and learner of the swept run that ends best at a budget, in MB; None where none is finished."""
        swept = [c for learner in learners for c in self.sweep(learner) if c.memory_mb == budget]
        runs = {
            config: run for config in swept if (run := finished_run(config, self.out)) is not None
        }
        if not runs:
            return None
        winner = max(runs, key=lambda config: final_accuracy(runs[config].accuracy))
        return winner.format, winner.learner

    def tokens(self, seeds: int) -> list[RunConfig]:
        """Tokens at every budget."""
        return self.grid(format=("tokens",), learner=("tokens",), seed=tuple(range(seeds)))

    def winners(self, learners: Sequence[str], seeds: int) -> list[RunConfig]:
        """The best swept JPEG of each budget."""
        found: list[RunConfig] = []
        for budget in self.line.memory_mb:
            best = self.best(budget, learners)
            if best is not None:
                spec, learner = best
                found += self.grid(
                    format=(spec,),
                    learner=(learner,),
                    memory_mb=(budget,),
                    seed=tuple(range(seeds)),
                )
        return found

    def stages(self) -> Iterator[tuple[str, Callable[[], list[RunConfig]]]]:
        """Name and runs of every stage, in order; the runs are known once the stages before are through."""
        few, many = self.options.seeds, self.options.claim_seeds
        seeds = tuple(range(few))
        yield "sweep", lambda: self.tokens(1) + self.sweep("tokens")
        yield "claim", lambda: by_seed(self.tokens(many) + self.winners(["tokens"], many))
        yield "pixels", lambda: self.sweep("pixels")
        yield (
            "pixels",
            lambda: by_seed(self.winners(["pixels"], few) + self.winners(LEARNERS, many)),
        )
        yield (
            "baseline",
            lambda: self.grid(format=(self.options.baseline,), learner=LEARNERS, seed=seeds),
        )
        yield "bounds", lambda: self.grid(strategy=BOUNDS, learner=LEARNERS, seed=seeds)
        yield "raw", lambda: self.grid(format=("raw",), learner=LEARNERS, seed=seeds)


def by_seed(configs: list[RunConfig]) -> list[RunConfig]:
    """The same runs, each once, all of a seed before those of the next: pairs are complete early."""
    return sorted(dict.fromkeys(configs), key=lambda config: config.seed)


def read_line(arguments: list[str]) -> tuple[Options, Any]:
    """The comparison's options and the runs', from one command line.

    Raises:
        UserError: no --out, an unknown option, or one that the stages choose.
    """
    options, rest = parse_line(
        lambda: tyro.cli(
            Options,
            args=arguments,
            prog="python -m seit_cl.compare",
            description=__doc__,
            return_unknown_args=True,
        )
    )
    for name in CHOSEN:
        if any(word.partition("=")[0] == f"--{name}" for word in rest):
            raise UserError(
                f"--{name}: the stages choose it; leave it out, or use python -m seit_cl.run"
            )
    line = parse(rest)
    if line.out is None:
        raise UserError("--out: give the folder of the results, so that the same line resumes")
    if min(options.seeds, options.claim_seeds, options.jobs) < 1:
        raise UserError("--seeds, --claim-seeds and --jobs must be at least 1")
    return options, line


def run_stages(plan: Plan, pool: ProcessPoolExecutor, console: Console) -> None:
    """Run what is missing, stage by stage, or only say it."""
    dry, typed = plan.options.dry_run, f"python -m seit_cl.compare {shlex.join(sys.argv[1:])}"
    for name, runs in plan.stages():
        if name not in plan.options.stages:
            continue
        configs = runs()
        waiting = [c for c in configs if finished_run(c, plan.out) is None]
        known = ", as far as the sweep has come" if dry and name in ("claim", "pixels") else ""
        console.print(
            f"{name}: {len(configs)} runs, {len(waiting)} of them to do{known}", highlight=False
        )
        if dry:
            console.print("\n".join(f"  {run_id(c)}" for c in waiting), highlight=False)
        elif waiting:
            run_all(pool, waiting, plan.out, typed, console)


def main() -> None:
    """Run what is missing, then write report and table."""
    options, line = read_line(sys.argv[1:])
    if not options.dry_run:
        make_folder(line.out)
    with processes(options.jobs) as pool:
        run_stages(Plan(options, line, line.out), pool, Console(soft_wrap=True))
    if not options.dry_run:
        print(f"report: {build_report(line.out)}")
        publish(answer(line.out, typed_command("seit_cl.compare")), options.write)


if __name__ == "__main__":
    run_command(main)
