"""The training step: order of Avalanche's hooks, weight decay, schedule, features."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from helpers.batches import NoAugment
from seit_cl.core.rng import Generators
from seit_cl.core.specs import NoOptions
from seit_cl.learner.batches import Batch, BatchMaker, ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import Strategy, StrategyContext
from seit_cl.models._vit import build_vit, token_stem

CPU = torch.device("cpu")
ITERATION_HOOKS = [
    "before_training_iteration",
    "before_forward",
    "after_forward",
    "before_backward",
    "after_backward",
    "before_update",
    "after_update",
    "after_training_iteration",
]


def build_learner(
    weight_decay: float = 0.05, strategy: Strategy | None = None, clip: float = 1.0
) -> Learner:
    """A learner of four classes on an experience of two epochs of three steps."""
    learner = Learner(
        model=build_vit("micro", token_stem(4), 2, 4),
        strategy=strategy or Strategy(NoOptions(), StrategyContext()),
        grow_head=True,
        device=CPU,
        optimisation=Optimisation(
            epochs=2,
            learning_rate=1e-3,
            weight_decay=weight_decay,
            warmup=0.5,
            clip=clip,
            precision="fp32",
        ),
        augment=NoAugment(),
    )
    maker = BatchMaker(learner.augment, 4, 0.0, 1.0, CPU, Generators(0))
    raw = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(2))
    ids = torch.arange(5)
    loader = ReplayLoader(maker, raw.__getitem__, ids, ids % 4, 2, 2, None)
    learner.begin_experience(loader, classes_seen=4)
    learner.check_model_and_optimizer()
    return learner


@pytest.mark.parametrize("weight_decay", [0.05, 0.0])
def test_weights_decay_and_biases_norms_and_positions_do_not(weight_decay: float) -> None:
    learner = build_learner(weight_decay)
    decay = {}
    for group in learner.optimizer.param_groups:
        for parameter in group["params"]:
            decay[id(parameter)] = group["weight_decay"]
    for name, parameter in learner.model.named_parameters():
        undecayed = name == "pos_embed" or parameter.ndim == 1
        assert decay.pop(id(parameter)) == (0.0 if undecayed else weight_decay), name
    assert not decay


def test_the_rate_warms_up_to_its_peak_and_falls_without_reaching_zero_early() -> None:
    learner = build_learner()
    rates = []
    for _ in range(6):
        rates.append(learner.optimizer.param_groups[0]["lr"])
        learner.optimizer.step()
        learner.schedule.step()
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[3] == 1e-3
    assert rates[3] > rates[4] > rates[5] > 0


def test_the_head_maps_features_to_the_predicted_logits() -> None:
    learner = build_learner()
    torch.nn.init.normal_(learner.model.head.weight, generator=torch.Generator().manual_seed(0))
    raw = torch.randn(7, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    features = learner.raw_features(raw, batch=3)
    assert features.shape == (7, learner.model.num_features)
    assert torch.equal(learner.model.head(features.clone()).argmax(1), learner.predict(raw))


def test_a_forward_pass_in_bf16_has_the_weights_of_the_moment_in_any_autocast_context() -> None:
    learner = build_learner()
    torch.nn.init.normal_(learner.model.head.weight, generator=torch.Generator().manual_seed(0))
    learner.optimisation = replace(learner.optimisation, precision="bf16")
    inputs = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", enabled=False):
        before, _ = learner.run_model(inputs)
        with torch.no_grad():
            learner.model.head.weight.mul_(2.0)
        after, _ = learner.run_model(inputs)
    torch.testing.assert_close(after, 2.0 * before)


def test_gradients_are_clipped_to_the_norm_and_0_leaves_them_as_they_are() -> None:
    norms = {}
    for clip in (0.0, 1e-3):
        learner = build_learner(clip=clip)
        for step in learner.loader:
            learner.take_step(step)
        gradients = [weight.grad.flatten() for weight in learner.model.parameters()]
        norms[clip] = float(torch.cat(gradients).norm())
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-2)
    assert norms[0.0] > 0.1


class Recorder(SupervisedPlugin):
    """A plugin that records which hooks are called, and what it can read in them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.logits: list[Tensor] = []


def _record(name: str) -> Any:
    def hook(self: Recorder, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self.calls.append(name)
        assert len(strategy.mb_x) == len(strategy.mb_y)
        if name == "after_forward":
            self.logits.append(strategy.mb_output.detach())
            strategy.loss += 100.0  # as plugins add a penalty

    return hook


for _name in ITERATION_HOOKS:
    setattr(Recorder, _name, _record(_name))


class Recording(Strategy):
    """Cross-entropy, and a record of the hooks and logits of a step."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(NoOptions(), StrategyContext())
        self.recorder = recorder
        self.logits: list[Tensor] = []

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        self.recorder.calls.append("loss")
        self.logits.append(fresh.logits.detach())
        return super().loss(fresh, replay, learner)

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: LearnerView) -> None:
        self.recorder.calls.append("strategy.after_backward")


def test_a_step_calls_avalanches_hooks_in_avalanches_order() -> None:
    recorder = Recorder()
    strategy = Recording(recorder)
    learner = build_learner(strategy=strategy)
    learner.plugins.insert(0, recorder)
    learner.training_step(next(iter(learner.loader)))
    expected = list(ITERATION_HOOKS)
    expected.insert(expected.index("before_backward"), "loss")
    expected.insert(expected.index("before_update"), "strategy.after_backward")
    assert recorder.calls == expected
    assert torch.equal(recorder.logits[0], strategy.logits[0])
    assert float(learner.loss.detach()) > 100.0  # a plugin's penalty is part of the loss
    assert learner.total_steps == 1
