"""Training a GridTransformer for a given time, so that it can be stopped and taken up again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from seit_cl.core.files import atomic_file
from studies.entropy_limit.model import GridTransformer

WARM_UP = 0.03  # of the time, in which the learning rate rises
AVERAGE = 500  # steps that the moving average of the weights, which is judged and kept, reaches back at most
CHECKS = 16  # of the held-out part during a training
JUDGED_AT_ONCE = 8192  # tokens
Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Args:
        minutes: of training, checks left out.
        batch: tokens a step.
        rate: peak learning rate.
        decay: weight decay.
        seed: of weights, batches and dropout.
    """

    minutes: float
    batch: int = 2048
    rate: float = 1.5e-3
    decay: float = 0.1
    seed: int = 0


def loss_of(model: torch.nn.Module, grids: Tensor, reduction: str = "mean") -> Tensor:
    """Nats a token of grids (B, H, W); bf16 products, a float32 softmax."""
    with torch.autocast(grids.device.type, torch.bfloat16):
        logits = model(grids)
    return F.cross_entropy(
        logits.flatten(0, 1).float(), grids.flatten().long(), reduction=reduction
    )


def bits(model: torch.nn.Module, grids: Tensor) -> float:
    """Mean bits a token of grids (B, H, W)."""
    model.eval()
    with torch.no_grad():
        parts = grids.split(max(1, JUDGED_AT_ONCE // grids[0].numel()))
        total = sum(float(loss_of(model, part, "sum")) for part in parts)
    model.train()
    return total / grids.numel() / math.log(2)


def moving(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """The average with a further value: over the last tenth of the steps, AVERAGE at most."""
    return average.lerp(new, 1 / min(AVERAGE, 1 + 0.1 * float(count)))


class Training:
    """One training, all of whose state is in a checkpoint.

    Args:
        model: to train.
        grids: (N, H, W) to train on.
        held: (M, H, W) that say which weights are kept: an early stop where they get worse at the end.
        recipe: how.
        path: of the checkpoint, written at every check.
        clock: seconds.
    """

    def __init__(
        self,
        model: GridTransformer,
        grids: Tensor,
        held: Tensor,
        recipe: Recipe,
        path: Path,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model, self.grids, self.held, self.recipe, self.path = model, grids, held, recipe, path
        self.clock = clock
        self.average = AveragedModel(model, avg_fn=moving)
        matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
        known = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in known]
        # Muon (Jordan et al., 2024) where weights are matrices between activations, AdamW elsewhere.
        self.optimizers = [
            torch.optim.Muon(
                matrices, lr=recipe.rate, weight_decay=recipe.decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(
                others, lr=recipe.rate / 3, weight_decay=recipe.decay, betas=(0.9, 0.98)
            ),
        ]
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.seconds, self.steps, self.checks = 0.0, 0, 0
        self.best, self.kept = (
            math.inf,
            {name: tensor.clone() for name, tensor in model.state_dict().items()},
        )

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.seconds >= 60 * self.recipe.minutes

    def run(self, report: Report) -> GridTransformer:
        """Train to the end, and return the model with the weights that are best for the held-out part."""
        if self.path.exists():
            self.restore()
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed + self.steps)
            while not self.over:
                began = self.clock()
                self.step()
                self.seconds += self.clock() - began
                if self.seconds >= 60 * self.recipe.minutes * (self.checks + 1) / CHECKS:
                    report(self.check())
        self.model.load_state_dict(self.kept)
        return self.model.eval()

    def step(self) -> None:
        """One step; the rate rises in a line and falls as a cosine, by the time that is over."""
        done = self.seconds / (60 * self.recipe.minutes)
        share = min(1.0, done / WARM_UP + 0.01) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        count = max(1, self.recipe.batch // self.grids[0].numel())
        chosen = torch.randint(len(self.grids), (count,), generator=self.generator)
        loss_of(self.model, self.grids[chosen]).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * share
            optimizer.step()
            optimizer.zero_grad()
        self.average.update_parameters(self.model)
        self.steps += 1

    def check(self) -> str:
        """Judge the averaged weights, keep them where they are best, and write the checkpoint."""
        found = bits(self.average.module, self.held)
        self.checks += 1
        if found < self.best:
            self.best = found
            self.kept = {
                name: tensor.clone() for name, tensor in self.average.module.state_dict().items()
            }
        with atomic_file(self.path) as file:
            torch.save(self.state(), file)
        return f"step {self.steps}, {self.seconds:.0f} s: {found:.4f} bits a token of the held-out part"

    def state(self) -> dict[str, object]:
        """All that a checkpoint holds."""
        numbers = [self.seconds, self.steps, self.checks, self.best]
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "kept": self.kept,
            "numbers": numbers,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "generator": self.generator.get_state(),
        }

    def restore(self) -> None:
        """Take up a checkpoint."""
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.kept, self.generator = state["kept"], self.generator.set_state(state["generator"])
        self.seconds, self.steps, self.checks, self.best = state["numbers"]
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
