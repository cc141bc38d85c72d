"""Training of a GridTransformer for a given time, which can be interrupted and resumed."""

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

WARMUP = 0.03  # fraction of the time in which the learning rate rises
AVERAGED_STEPS = 500  # longest horizon of the moving average of the weights
CHECKS = 16  # evaluations on the held-out grids during a training
CHUNK_TOKENS = 8192  # evaluated at a time
Report = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training.

    Args:
        minutes: of training, without evaluations.
        batch: tokens per step.
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
    """Loss of grids (B, H, W) in nats per token; products in bf16, the softmax in float32."""
    with torch.autocast(grids.device.type, torch.bfloat16):
        logits = model(grids)
    return F.cross_entropy(
        logits.flatten(0, 1).float(), grids.flatten().long(), reduction=reduction
    )


def bits(model: torch.nn.Module, grids: Tensor) -> float:
    """Mean bits per token of grids (B, H, W)."""
    model.eval()
    with torch.no_grad():
        parts = grids.split(max(1, CHUNK_TOKENS // grids[0].numel()))
        total = sum(float(loss_of(model, part, "sum")) for part in parts)
    model.train()
    return total / grids.numel() / math.log(2)


def moving_average(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Update an average: over the last tenth of the steps, at most AVERAGED_STEPS."""
    return average.lerp(new, 1 / min(AVERAGED_STEPS, 1 + 0.1 * float(count)))


class Training:
    """A training whose whole state is in a checkpoint.

    Args:
        model: to train.
        grids: (N, H, W) to train on.
        held_out: (M, H, W) on which averaged weights are evaluated; the best ones win, which stops
            early if they get worse at the end.
        recipe: see Recipe.
        path: of the checkpoint, written at every evaluation.
        clock: returns seconds.
    """

    def __init__(
        self,
        model: GridTransformer,
        grids: Tensor,
        held_out: Tensor,
        recipe: Recipe,
        path: Path,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = model
        self.grids = grids
        self.held_out = held_out
        self.recipe = recipe
        self.path = path
        self.clock = clock
        self.average = AveragedModel(model, avg_fn=moving_average)
        self.optimizers = _optimizers(model, recipe)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.seconds = 0.0
        self.steps = 0
        self.checks = 0
        self.best = math.inf
        self.best_weights = _cloned(model)

    @property
    def over(self) -> bool:
        """True if the time is used."""
        return self.seconds >= 60 * self.recipe.minutes

    def run(self, report: Report) -> GridTransformer:
        """Train until the time is used, and return the model with the best weights.

        Args:
            report: called with a line of text after every evaluation.
        """
        if self.path.exists():
            self.restore()
        self.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed + self.steps)
            while not self.over:
                started = self.clock()
                self.train_step()
                self.seconds += self.clock() - started
                if self.seconds >= 60 * self.recipe.minutes * (self.checks + 1) / CHECKS:
                    report(self.check())
        self.model.load_state_dict(self.best_weights)
        return self.model.eval()

    def train_step(self) -> None:
        """Take one optimiser step; the rate warms up linearly and then follows a cosine."""
        fraction = self.seconds / (60 * self.recipe.minutes)
        warmup = min(1.0, fraction / WARMUP + 0.01)
        rate = warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
        count = max(1, self.recipe.batch // self.grids[0].numel())
        indices = torch.randint(len(self.grids), (count,), generator=self.generator)
        loss_of(self.model, self.grids[indices]).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimizer.step()
            optimizer.zero_grad()
        self.average.update_parameters(self.model)
        self.steps += 1

    def check(self) -> str:
        """Evaluate the averaged weights, record the best, write the checkpoint; return a line."""
        measured = bits(self.average.module, self.held_out)
        self.checks += 1
        if measured < self.best:
            self.best = measured
            self.best_weights = _cloned(self.average.module)
        with atomic_file(self.path) as file:
            torch.save(self.state(), file)
        return (
            f"step {self.steps}, {self.seconds:.0f} s: {measured:.4f} bits a token of the held-out "
            "part"
        )

    def state(self) -> dict[str, object]:
        """Content of a checkpoint."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "kept": self.best_weights,
            "numbers": [self.seconds, self.steps, self.checks, self.best],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "generator": self.generator.get_state(),
        }

    def restore(self) -> None:
        """Continue from the checkpoint."""
        state = torch.load(self.path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.best_weights = state["kept"]
        self.generator.set_state(state["generator"])
        self.seconds, self.steps, self.checks, self.best = state["numbers"]
        for optimizer, optimizer_state in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(optimizer_state)


def best_weights(path: Path) -> dict[str, Tensor]:
    """The best weights that a checkpoint holds, by name."""
    return torch.load(path, weights_only=True)["kept"]  # type: ignore[no-any-return]


def _cloned(model: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of a model's state dict."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _optimizers(model: GridTransformer, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al., 2024) for the matrices of the blocks, AdamW for everything else."""
    matrices = [parameter for parameter in model.blocks.parameters() if parameter.ndim == 2]
    matrix_ids = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in matrix_ids]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(
            matrices, lr=recipe.rate, weight_decay=recipe.decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=recipe.rate / 3, weight_decay=recipe.decay, betas=(0.9, 0.98)),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
