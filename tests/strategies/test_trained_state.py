"""A strategy that trains a module of its own with an optimiser of its own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.colour_stream import Outcome, colours, run
from helpers.hoarding import undeclared_bytes
from seit_cl import Strategy, UserError, spec_of
from seit_cl.experiment.run_data import RunData
from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy_state import copy_built


class Projected(Strategy):
    """Cross-entropy, and a trained projection whose output is to be noise that is drawn."""

    state_attributes = ("projection", "optimiser", "noise")
    uses_features = True
    projection: nn.Linear
    optimiser: torch.optim.Adam
    noise: torch.Generator

    def build_state(self, learner: LearnerView, generator: torch.Generator) -> None:
        """Make the projection, its optimiser and the noise."""
        width = learner.model.head.weight.shape[1]
        self.projection = nn.Linear(width, 3)
        self.optimiser = torch.optim.Adam(self.projection.parameters(), lr=0.01)
        self.noise = generator

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy and the distance of the projection from the noise."""
        assert fresh.features is not None
        self.optimiser.zero_grad()
        noise = torch.randn(len(fresh.labels), 3, generator=self.noise)
        projected = self.projection(fresh.features.float())
        return self.mean_cross_entropy(fresh, replay) + F.mse_loss(projected, noise)

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: LearnerView) -> None:
        """Train the projection."""
        self.optimiser.step()


class MadeLate(Projected):
    """The same, with a module that no start of the run makes."""

    def build_state(self, learner: LearnerView, generator: torch.Generator) -> None:
        """Leave the projection out."""
        super().build_state(learner, generator)
        self.late = [self.projection]
        self.projection = None  # type: ignore[assignment]

    def before_training_exp(self, learner: LearnerView) -> None:
        """Set it."""
        self.projection = self.late[0]


class Misspelt(Projected):
    """The same, with another spelling of an attribute's name."""

    state_attributes = ("projection", "optimizer", "noise")


class WithLoss(Projected):
    """The same, with a module that has no state."""

    def build_state(self, learner: LearnerView, generator: torch.Generator) -> None:
        """Make a loss, too."""
        super().build_state(learner, generator)
        self.criterion = nn.CrossEntropyLoss()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def whole(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return run(data, folder, strategy=spec_of(Projected))


def weights(outcome: Outcome) -> Tensor:
    assert isinstance(outcome.strategy, Projected)
    return outcome.strategy.projection.weight


def test_it_is_trained_and_counted(whole: Outcome) -> None:
    assert isinstance(whole.strategy, Projected)
    width = whole.network.head.weight.shape[1]  # type: ignore[union-attr, index]
    of_module = 4 * (width + 1) * 3
    # Adam keeps two moments of every weight, and the number of steps of both tensors.
    assert whole.row["strategy_bytes"] == 3 * of_module + 2 * 4
    assert undeclared_bytes(whole.strategy) == 0
    steps = [state["step"].item() for state in whole.strategy.optimiser.state.values()]
    assert steps == [whole.row["steps"]] * 2  # counting FLOPs has trained a copy


def test_an_interrupted_run_goes_on_with_the_module_the_optimiser_and_the_noise(
    data: RunData, whole: Outcome, tmp_path: Path
) -> None:
    strategy = spec_of(Projected)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", strategy=strategy, stop_at=(1, 2))
    torch.manual_seed(5)  # of the process, on which nothing depends
    resumed = run(data, tmp_path / "run", strategy=strategy)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert torch.equal(weights(resumed), weights(whole))


def test_a_module_that_no_start_makes_is_named(data: RunData, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"MadeLate\.projection: make the Linear in build_state"):
        run(data, tmp_path / "run", strategy=spec_of(MadeLate))


def test_state_that_a_resumed_run_would_lack_is_named(data: RunData, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Misspelt: build_state makes 'optimiser', which state_"):
        run(data, tmp_path / "run", strategy=spec_of(Misspelt))
    run(data, tmp_path / "run", strategy=spec_of(WithLoss))


def test_a_copied_optimiser_trains_the_copied_module() -> None:
    module = nn.Linear(2, 1)
    state = {"module": module, "optimiser": torch.optim.SGD(module.parameters(), lr=1.0), "n": 3}
    before = copy.deepcopy(module.weight)
    copies = copy_built(state)
    assert copies.keys() == {"module", "optimiser"}
    copies["module"](torch.ones(1, 2)).sum().backward()
    copies["optimiser"].step()
    assert torch.equal(module.weight, before)
    assert not torch.equal(copies["module"].weight, before)
