"""Strategy state other than exemplars: measured by its tensors, restored as it was."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from seit_cl.core.specs import NoOptions
from seit_cl.learner.learner import Learner
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import Strategy, StrategyContext
from seit_cl.learner.strategy_state import Teacher, pack, state_bytes, unpack
from seit_cl.models._vit import build_vit, token_stem


@pytest.fixture
def learner() -> Learner:
    """A learner that has seen three of four classes."""
    learner = Learner(
        model=build_vit("micro", token_stem(4), 2, 4),
        strategy=Strategy(NoOptions(), StrategyContext()),
        optimisation=Optimisation(
            epochs=1, learning_rate=1e-3, weight_decay=0.0, warmup=0.0, precision="fp32"
        ),
        augment=lambda raw, generator, train=True: raw,
        grow_head=True,
        device=torch.device("cpu"),
    )
    learner.classes_seen = 3
    nn.init.normal_(learner.model.head.weight)  # type: ignore[arg-type]
    return learner


def inputs() -> torch.Tensor:
    return torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def test_a_teacher_gives_the_logits_that_the_learner_gave_when_it_was_copied(
    learner: Learner,
) -> None:
    model: Any = learner.model
    logits = learner.logits(inputs(), model, "fp32").detach()
    teacher = Teacher(learner)
    learner.classes_seen = 4
    nn.init.zeros_(model.head.weight)
    assert torch.equal(teacher.logits(inputs()), logits)
    assert not any(weight.requires_grad for weight in teacher.model.parameters())


def test_state_survives_a_checkpoint(learner: Learner) -> None:
    teacher = Teacher(learner)
    state = {"teacher": teacher, "means": {"first": torch.arange(3)}, "count": 2}
    packed = copy.deepcopy({name: pack(value) for name, value in state.items()})
    nn.init.zeros_(learner.model.head.weight)  # type: ignore[arg-type]
    learner.classes_seen = 4
    restored = {name: unpack(value, learner) for name, value in packed.items()}
    assert torch.equal(restored["teacher"].logits(inputs()), teacher.logits(inputs()))
    assert restored["means"]["first"].tolist() == [0, 1, 2]
    assert restored["count"] == 2


def test_every_tensor_of_the_state_is_counted(learner: Learner) -> None:
    model_bytes = sum(value.nbytes for value in learner.model.state_dict().values())
    assert state_bytes(Teacher(learner)) == model_bytes
    assert state_bytes({"a": torch.zeros(3), "b": [torch.zeros(2), 5]}) == 20
    assert state_bytes(None) == 0


def test_state_that_a_checkpoint_cannot_hold_is_named() -> None:
    with pytest.raises(TypeError, match="state has a set; use tensors"):
        pack({1, 2})
