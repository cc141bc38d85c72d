"""A step launches few operations besides the model's.

On a GPU a small operation takes less time than its launch. Views launch nothing and are not
counted, nor is the allocation of memory.
"""

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.batches import rows_of
from helpers.operation_tape import is_view
from seit_cl.core import plugins
from seit_cl.core.rng import Generators
from seit_cl.learner.augment import crops
from seit_cl.learner.augment.draws import Layout
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.learner.batches import BatchMaker, RawStep, Rows
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import StrategyContext
from seit_cl.models._vit import build_vit, pixel_stem, token_stem

CPU = torch.device("cpu")
CEILING = 150
CLASSES = 10
SAMPLES = 100
aten = torch.ops.aten
LAUNCH_NOTHING = {
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.detach.default,
    aten._unsafe_view.default,
}


class LaunchCounter(TorchDispatchMode):
    """Counts operations that launch work, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        launches = not is_view(func) and func not in LAUNCH_NOTHING
        if launches and not str(func).startswith("profiler."):
            self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        """Number of operations."""
        return self.counts.total()


def token_parts() -> tuple[Any, Any, torch.Tensor]:
    codebook = torch.randn(1, 64, 16)
    augment = TokenAugment(codebook, "sum", crop=8, mirror=torch.arange(64).roll(8)[None])
    raw = torch.randint(64, (SAMPLES, 1, 8, 8)).to(torch.int16)
    return augment, build_vit("micro", token_stem(8), 16, CLASSES), raw


def pixel_parts() -> tuple[Any, Any, torch.Tensor]:
    raw = torch.randint(256, (SAMPLES, 3, 64, 64)).to(torch.uint8)
    return PixelAugment(64), build_vit("micro", pixel_stem(64), 3, CLASSES), raw


def draw_all(
    layout: Layout, uniform: torch.Tensor, normal: torch.Tensor, generator: torch.Generator
) -> None:
    """Draw all normal numbers, as on a GPU."""
    normal.normal_(generator=generator)


@pytest.mark.parametrize("parts", [token_parts, pixel_parts])
def test_a_whole_step_outside_the_model_stays_below_the_ceiling(
    parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crops, "BLOCK_VALUES", 2**40)  # one block, as on a GPU
    monkeypatch.setattr(Layout, "_draw_normal", draw_all)
    augment, model, raw = parts()
    learner = Learner(
        model=model,
        strategy=plugins.build("strategy", "er", StrategyContext(0.1)),
        optimisation=Optimisation(epochs=1, learning_rate=1e-3, precision="fp32"),
        augment=augment,
        grow_head=True,
        device=CPU,
    )
    make = BatchMaker(augment, CLASSES, 0.5, 1.0, CPU, Generators(0))
    data = rows_of(raw, torch.arange(SAMPLES) % CLASSES).source
    ids = torch.arange(SAMPLES)
    loader = ReplayLoader(make, raw.__getitem__, ids, ids % CLASSES, 32, 32, None)
    learner.begin_experience(loader, CLASSES)
    learner.check_model_and_optimizer()
    learner.schedule.keep_on_device(CPU)  # as on a GPU
    rows = torch.arange(32)

    def whole_step() -> None:
        draws = make.draws(raw.shape[1:], [(32, False), (32, True)])
        learner.take_step(RawStep(Rows(data, rows), Rows(data, rows + 32), draws))
        learner.schedule.step()

    def bare_model() -> None:
        learner.optimizer.zero_grad()
        logits, _ = learner.run_model(learner.mb_x)
        logits.backward(torch.ones_like(logits))

    whole_step()  # makes the optimiser's state
    with LaunchCounter() as of_step:
        whole_step()
    with LaunchCounter() as of_model:
        bare_model()
    outside = of_step.total - of_model.total
    assert outside <= CEILING, of_step.counts - of_model.counts
    assert of_model.total > 100  # the counter sees forward and backward pass
