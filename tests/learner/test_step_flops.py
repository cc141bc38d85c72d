"""FLOPs of training steps and tests: against arithmetic, and against a real step."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from helpers.batches import NoAugment
from seit_cl.core import plugins
from seit_cl.core.flops import FlopMeter, flop_counter
from seit_cl.core.rng import Generators
from seit_cl.learner.batches import BatchMaker
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.step_flops import TESTED, LearnerFlops
from seit_cl.learner.strategy import StrategyContext
from seit_cl.models._vit import SIZES, build_vit, token_stem

CPU = torch.device("cpu")
CHANNELS = 2
SIDE = 8  # of the input, 16 patches after the stem
CLASSES = 4


def learner_of(strategy: str, fused: bool = True) -> Learner:
    """A learner at the start of an experience of five samples, two a step."""
    new_model = partial(build_vit, "micro", token_stem(SIDE), CHANNELS, CLASSES)
    model = new_model()
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused
    learner = Learner(
        model=model,
        strategy=plugins.build("strategy", strategy, StrategyContext()),
        grow_head=True,
        device=CPU,
        optimisation=Optimisation(epochs=1, precision="fp32"),
        augment=NoAugment(),
        new_model=new_model,
    )
    maker = BatchMaker(learner.augment, CLASSES, 0.5, 1.0, CPU, Generators(0))
    raw = torch.rand(5, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    ids = torch.arange(5)
    loader = ReplayLoader(maker, raw.__getitem__, ids, ids % CLASSES, 2, 0, None)
    learner.begin_experience(loader, classes_seen=CLASSES)
    learner.check_model_and_optimizer()
    return learner


def flops_of(learner: Learner) -> LearnerFlops:
    return LearnerFlops(learner, FlopMeter(), torch.rand(1, CHANNELS, SIDE, SIDE))


def forward_flops(model: Any) -> tuple[int, int, int]:
    """FLOPs of blocks and head, of attention, and of the stem, for one sample by arithmetic."""
    width, depth, _ = SIZES["micro"]
    stem = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    patches = (SIDE // stem.stride[0]) ** 2
    blocks = depth * patches * 2 * 12 * width**2  # q, k, v, output, and a perceptron of 4 widths
    attention = depth * 4 * patches**2 * width
    return blocks + 2 * width * CLASSES, attention, 2 * patches * stem.weight.numel()


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_of_a_vit_has_the_flops_of_arithmetic(fused: bool) -> None:
    learner = learner_of("naive", fused)
    blocks, attention, stem = forward_flops(learner.model)
    # Backward passes cost two forward passes; fused attention computes its scores again; the stem's
    # input needs no gradient.
    expected = 4 * (3 * blocks + (3.5 if fused else 3) * attention + 2 * stem)
    step = flops_of(learner).step(4, 0, 0)
    assert step.training == pytest.approx(expected, rel=0.01)
    assert step.strategy == 0


def test_a_test_has_the_flops_of_a_forward_pass_of_each_sample() -> None:
    learner = learner_of("naive")
    flops = flops_of(learner)
    flops.add_test(10 * TESTED)
    forward = sum(forward_flops(learner.model))
    assert flops.meter.totals["testing"] == pytest.approx(10 * TESTED * forward, rel=0.01)


@pytest.mark.parametrize("strategy", ["er", "icarl", "ewc", "lucir"])
def test_a_step_on_the_copy_costs_what_a_real_one_does(strategy: str) -> None:
    learner = learner_of(strategy)
    counted = flops_of(learner).step(2, 0, 0)
    step = next(iter(learner.loader))
    with flop_counter() as counter:
        learner.take_step(step)
    assert counted.total == counter.get_total_flops()


def test_exemplars_cost_what_fresh_samples_do_and_a_second_pass_is_the_strategys() -> None:
    er = flops_of(learner_of("er"))
    assert er.step(2, 3, 9) == er.step(5, 0, 9)
    agem = flops_of(learner_of("agem")).step(2, 3, 9)
    assert agem.training == er.step(2, 0, 9).training
    assert agem.strategy == pytest.approx(er.step(3, 0, 9).training, rel=0.01)


def test_counting_changes_neither_weights_nor_random_numbers() -> None:
    learner = learner_of("er")
    flops = flops_of(learner)
    weights = {name: value.clone() for name, value in learner.model.state_dict().items()}
    generators = learner.loader.make.generators.state_dict()
    global_state = torch.get_rng_state()
    flops.step(2, 3, 9)
    flops.add_test(3)
    for name, value in learner.model.state_dict().items():
        assert torch.equal(value, weights[name])
    for purpose, state in learner.loader.make.generators.state_dict().items():
        assert torch.equal(state, generators[purpose])
    assert torch.equal(torch.get_rng_state(), global_state)
    assert all(weight.grad is None for weight in learner.model.parameters())


STEPS = [(16, 0), (16, 8), (6, 9)]  # fresh samples and exemplars


@pytest.mark.parametrize("strategy", sorted(set(plugins.names("strategy")) - {"avalanche"}))
def test_a_step_counted_with_few_samples_costs_what_the_whole_one_does(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(strategy)
    learner.strategy.before_training_exp(learner)
    learner.strategy.after_training_exp(learner)  # from here on there may be a teacher
    learner.begin_experience(learner.loader, CLASSES, CLASSES - 1)
    sizes = STEPS[:1] if learner.strategy.exemplar_free else STEPS
    of_parts = flops_of(learner)
    counted = [of_parts.step(fresh, replay, 50) for fresh, replay in sizes]
    monkeypatch.setattr(type(learner.strategy), "proportional_flops", False)
    of_wholes = flops_of(learner)
    assert counted == [of_wholes.step(fresh, replay, 50) for fresh, replay in sizes]
