"""Stages of a comparison: which runs it needs, the largest differences first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from seit_cl.comparison.choice import preference
from seit_cl.comparison.options import VALIDATION_FRACTION, ComparisonOptions, Stage
from seit_cl.comparison.pool import finished_run
from seit_cl.comparison.ranking import best_candidates, rank
from seit_cl.config import RunConfig
from seit_cl.formats._candidates import candidates
from seit_cl.grid import expand

STAGES_OF_TOKENS: tuple[Stage, ...] = ("sweep", "claim")  # the others have both learners
STAGES_AFTER_SWEEP: tuple[Stage, ...] = ("claim", "pixels")
BOUNDS = ("naive", "joint", "cumulative")
LEARNERS = ("tokens", "pixels")


@dataclass(frozen=True)
class Plan:
    """The runs of every stage.

    Args:
        options: of the comparison.
        run_options: options of `python -m seit_cl.run`, every dimension of the grid a tuple.
        out: folder of the results; later stages depend on those of the sweep.
    """

    options: ComparisonOptions
    run_options: Any
    out: Path

    @property
    def learners(self) -> tuple[str, ...]:
        """The learners of the chosen stages."""
        only_tokens = set(self.options.stages) <= set(STAGES_OF_TOKENS)
        return ("tokens",) if only_tokens else LEARNERS

    def stages(self) -> Iterator[tuple[Stage, Callable[[], list[RunConfig]]]]:
        """Yield each stage with a function that lists its runs once earlier stages are done."""
        yield "sweep", lambda: self.tokens(1) + self.sweep("tokens")
        yield "claim", self.claim
        yield "pixels", lambda: self.sweep("pixels")
        yield "pixels", self.pixel_winners
        yield "baseline", lambda: self.on_both_learners(format=(self.options.baseline,))
        yield "bounds", lambda: self.on_both_learners(strategy=BOUNDS)
        yield "raw", lambda: self.on_both_learners(format=("raw",))

    def tokens(self, seeds: int) -> list[RunConfig]:
        """Return runs of tokens at every budget."""
        return self._grid(format=("tokens",), learner=("tokens",), seed=tuple(range(seeds)))

    def sweep(self, learner: str) -> list[RunConfig]:
        """Return runs of the candidates at every budget with one seed.

        They are tested on a validation part of the training images, unless the options say
        otherwise. Where nothing is ranked yet, they are all candidates that may be trained.
        """
        configs: list[RunConfig] = []
        for budget in self.run_options.memory_mb:
            formats = tuple(self.candidates(budget))
            chosen = {"format": formats, "learner": (learner,), "memory_mb": (budget,)}
            configs += self._grid(**chosen, seed=(0,), **self._choosing)
        return configs

    def candidates(self, budget: float) -> list[str]:
        """Return the specs of the formats that the sweep trains at a budget in MB."""
        options = self.options
        ranked = best_candidates(options, self.out, budget)
        if ranked:
            return ranked
        return [each.spec for each in candidates(options.kind, options.quality, (0,))]

    @property
    def _choosing(self) -> dict[str, Any]:
        """Options of runs that choose."""
        if self.options.choose_on == "test":
            return {}
        fraction = self.run_options.validation_fraction or VALIDATION_FRACTION
        return {"validation_fraction": fraction, "test_on": "validation"}

    def rank(self, console: Console) -> None:
        """Rank the candidates of the sweep without training, as far as they are not yet."""
        config = self.sweep(self.learners[0])[0]
        rank(self.options, config, self.run_options.memory_mb, self.out, console)

    def claim(self) -> list[RunConfig]:
        """Return runs of tokens and of the best rivals with the token learner."""
        seeds = self.options.claim_seeds
        return ordered_by_seed(self.tokens(seeds) + self.winners(["tokens"], seeds))

    def pixel_winners(self) -> list[RunConfig]:
        """Return runs of the best rivals with the pixel learner, and with either learner."""
        of_pixels = self.winners(["pixels"], self.options.seeds)
        of_either = self.winners(LEARNERS, self.options.claim_seeds)
        return ordered_by_seed(of_pixels + of_either)

    def on_both_learners(self, **chosen: tuple[Any, ...]) -> list[RunConfig]:
        """Return runs of some choices with both learners."""
        return self._grid(learner=LEARNERS, seed=tuple(range(self.options.seeds)), **chosen)

    def winners(self, learners: Sequence[str], seeds: int) -> list[RunConfig]:
        """Return runs of each budget's best swept format, and of the best JPEG beside it.

        They are trained on all training images and tested on the test images. Budgets whose sweep
        has no finished run are left out.
        """
        configs: list[RunConfig] = []
        jpegs = [kind for kind in self.options.kind if kind.startswith("jpeg")]
        for budget in self.run_options.memory_mb:
            for kinds in (self.options.kind, jpegs):
                best = self.best(budget, learners, kinds)
                if best is None:
                    continue
                configs += self._grid(
                    format=(best.format,),
                    learner=(best.learner,),
                    memory_mb=(budget,),
                    seed=tuple(range(seeds)),
                )
        return list(dict.fromkeys(configs))

    def best(
        self, budget: float, learners: Sequence[str], kinds: Sequence[str]
    ) -> RunConfig | None:
        """Return the swept run with the best final accuracy; None where none is finished.

        Args:
            budget: in MB.
            learners: whose sweeps count.
            kinds: of formats that count.
        """
        finished = []
        for learner in learners:
            for config in self.sweep(learner):
                counts = config.memory_mb == budget and config.format.partition(":")[0] in kinds
                run = finished_run(config, self.out) if counts else None
                if run is not None:
                    finished.append((preference(run), config))
        if not finished:
            return None
        return min(finished, key=lambda pair: pair[0])[1]

    def _grid(self, **chosen: Any) -> list[RunConfig]:
        """Expand choices; runs are tested on the test images and leave no training image out."""
        reported = {"strategy": ("er",), "validation_fraction": 0.0, "test_on": "test"}
        return expand(replace(self.run_options, **{**reported, **chosen}))


def ordered_by_seed(configs: list[RunConfig]) -> list[RunConfig]:
    """Return the runs, each once, ordered by seed, so that pairs are complete early."""
    return sorted(dict.fromkeys(configs), key=lambda config: config.seed)
