"""A-GEM with its projection at another place: the same as agem, or of the step."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from helpers.colour_stream import colours, run
from helpers.generators import generator
from seit_cl.config import RunConfig
from seit_cl.core.errors import UserError
from seit_cl.experiment.build import build_strategy
from seit_cl.learner.batches import Batch

STEPS = 5


def projected(settings: str) -> Any:
    spec = f"studies.agem.Projected:{settings}"
    return build_strategy(RunConfig(strategy=spec, label_smoothing=0.0))


def change_of_loss(settings: str, seed: int) -> tuple[float, float]:
    """The first-order change of the exemplars' loss by a step of AdamW: after and before it."""
    strategy = projected(settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Linear(6, 3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    learner: Any = SimpleNamespace(
        model=model,
        optimizer=optimizer,
        optimisation=SimpleNamespace(precision="fp32"),
        logits=lambda inputs, network, precision: network(inputs),
        total_steps=seed,
    )
    inputs = torch.randn(4, 6, generator=generator(seed))
    rows: Any = None
    fresh = Batch(inputs, torch.tensor([0, 1, 2, 0]), rows)
    replay = Batch(inputs, torch.tensor([1, 2, 0, 1]), rows)  # the same samples, other labels
    nn.functional.cross_entropy(model(replay.inputs), replay.labels).backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    reference = torch.cat([part.flatten() for part in gradients])
    before = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(fresh.inputs), fresh.labels).backward()
    strategy.after_backward(fresh, replay, learner)
    optimizer.step()
    after = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    return float((after - before) @ reference), strategy.changes[0]


@pytest.mark.parametrize("seed", range(STEPS))
def test_a_projected_step_does_not_raise_the_exemplars_loss(seed: int) -> None:
    change, without = change_of_loss("at=step", seed)
    assert without > 0.0
    assert change == pytest.approx(0.0, abs=1e-5)


def test_after_a_projected_gradient_adamw_changes_the_exemplars_loss() -> None:
    changes = []
    for seed in range(STEPS):
        change, noted = change_of_loss("at=gradient", seed)
        assert change == pytest.approx(noted, abs=1e-5)
        changes.append(abs(change))
    assert max(changes) > 1e-3


@pytest.mark.slow
def test_with_the_projection_of_the_gradient_a_run_is_that_of_agem(tmp_path: Path) -> None:
    data = colours(tmp_path / "colours")
    theirs = run(data, tmp_path / "agem", strategy="agem")
    ours = run(data, tmp_path / "ours", strategy="studies.agem.Projected")
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-3)
    assert 0 < len(ours.strategy.changes) < len(ours.losses)
    shuffled = run(data, tmp_path / "shuffled", strategy="studies.agem.Projected:shuffle=true")
    assert shuffled.losses != pytest.approx(ours.losses, abs=1e-3)


def test_an_unknown_place_is_refused() -> None:
    with pytest.raises(UserError, match="at=head: unknown place; use gradient or step"):
        projected("at=head")
