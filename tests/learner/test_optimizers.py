"""Optimisers: every file of the folder, and those that timm registers."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.learner import optimizers
from seit_cl.learner.optim import Schedule, capturable
from seit_cl.learner.optimizers import build_optimizer

RATE = 1e-2
OWN = sorted(plugins.names("optimizer"))
SPECS = [*OWN, "lamb", "lion:betas=0.9+0.98", "rmsprop", "muon", "adafactor", "nadamw", "madgrad"]
every_optimizer = pytest.mark.parametrize("spec", SPECS)


def network() -> nn.Module:
    """A linear map and a norm, with the same weights at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 1))


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    """The losses of steps that fit a constant to random inputs."""
    inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = (model(inputs) - 1.0).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@every_optimizer
def test_it_lowers_a_loss(spec: str) -> None:
    model = network()
    losses = take_steps(model, build_optimizer(spec, model, RATE, 0.0), 20)
    assert losses[-1] < losses[0]


@every_optimizer
def test_its_state_goes_through_a_checkpoint_that_unpickles_nothing(spec: str) -> None:
    model = network()
    optimizer = build_optimizer(spec, model, RATE, 0.05)
    Schedule(optimizer, lambda step: 1.0)
    take_steps(model, optimizer, 3)
    stored = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], stored)
    stored.seek(0)
    weights, state = torch.load(stored, weights_only=True)

    resumed = network()
    resumed.load_state_dict(weights)
    second = build_optimizer(spec, resumed, RATE, 0.05)
    second.load_state_dict(state)
    assert take_steps(resumed, second, 3) == take_steps(model, optimizer, 3)


@every_optimizer
def test_its_rates_follow_a_schedule_and_biases_and_norms_do_not_decay(spec: str) -> None:
    optimizer = build_optimizer(spec, network(), RATE, 0.05)
    schedule = Schedule(optimizer, lambda step: 0.5**step)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [RATE / 2] * 2
    decays = {}
    for group in optimizer.param_groups:
        for weight in group["params"]:
            decays.setdefault(weight.ndim, set()).add(group["weight_decay"])
    assert decays == {1: {0.0}, 2: {0.05}}


@pytest.mark.parametrize("name", OWN)
def test_each_file_of_the_folder_names_its_source(name: str) -> None:
    assert plugins.load("optimizer", name).source


@pytest.mark.parametrize("spec", ["adamw", "sgd", "sgd:momentum=0.9"])
def test_fused_ones_read_the_rate_of_the_moment_from_a_tensor(spec: str) -> None:
    """As recorded steps need it: the same losses as with rates that are numbers."""
    losses = []
    for on_device in (False, True):
        model = network()
        optimizer = build_optimizer(spec, model, RATE, 0.05)
        schedule = Schedule(optimizer, lambda step: 0.5**step)
        assert schedule.can_be_recorded
        if on_device:
            schedule.keep_on_device(torch.device("cpu"))
            assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
        losses.append([])
        for _ in range(4):
            with capturable(optimizer):
                losses[-1] += take_steps(model, optimizer, 1)
            schedule.step()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_others_are_not_recorded_and_keep_numbers_as_rates() -> None:
    schedule = Schedule(build_optimizer("lamb", network(), RATE, 0.05), lambda step: 1.0)
    assert not schedule.can_be_recorded
    schedule.keep_on_device(torch.device("cpu"))
    assert schedule.optimizer.param_groups[0]["lr"] == RATE


def test_the_default_is_torchs_fused_adamw() -> None:
    optimizer = build_optimizer("adamw", network(), RATE, 0.05)
    plain = torch.optim.AdamW(network().parameters(), lr=RATE, fused=True)
    assert type(optimizer) is torch.optim.AdamW
    for name, value in plain.defaults.items():
        if name != "weight_decay":
            assert optimizer.defaults[name] == value, name


def test_options_reach_the_optimiser() -> None:
    sgd = build_optimizer("sgd:momentum=0.9,nesterov=true", network(), RATE, 0.0)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.9, True)
    lion = build_optimizer("lion:betas=0.9+0.98,caution=false", network(), RATE, 0.0)
    assert lion.defaults["betas"] == (0.9, 0.98)
    assert lion.defaults["caution"] is False


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adamv", "unknown optimizer 'adamv'; did you mean 'adam"),
        ("sgd:momentun=0.9", "unknown option 'momentun'; .*momentum"),
        ("sgd:nesterov=maybe", "nesterov='maybe' is not true or false"),
        ("sgd:nesterov=true", "--optimizer sgd:nesterov=true: Nesterov momentum requires"),
        ("adamw:betas=0.9", "--optimizer adamw:betas=0.9: must be two"),
        ("adamw:betas=a+b", "betas='a\\+b' is not numbers joined by \\+"),
        ("lamb:beta=3", "--optimizer lamb: unknown option 'beta'; .*betas"),
        ("lamb:lr=3", "use --learning-rate"),
        ("adahessian", "needs second derivatives"),
        ("bnbadam", "--optimizer bnbadam: .*; "),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        build_optimizer(spec, network(), RATE, 0.0)
    assert "\n" not in str(refused.value)


def test_frozen_weights_are_left_out() -> None:
    model: Any = network()
    model[0].requires_grad_(False)
    optimizer = build_optimizer("sgd", model, RATE, 0.05)
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(model.parameters())) - 2


def test_the_optimiser_of_the_documentation_is_found_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "your-own.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    example = [block for block in code if "OPTIMIZER = Rprop" in block]
    assert len(example) == 1
    (tmp_path / "rprop.py").write_text(example[0])
    monkeypatch.setattr(optimizers, "__path__", [*optimizers.__path__, str(tmp_path)])
    plugins.names.cache_clear()
    try:
        model = network()
        optimizer = build_optimizer("rprop:grow=1.1", model, RATE, 0.0)
        assert optimizer.defaults["etas"] == (0.5, 1.1)
        losses = take_steps(model, optimizer, 10)
        assert losses[-1] < losses[0]
    finally:
        plugins.names.cache_clear()
