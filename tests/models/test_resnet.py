"""ResNets for small images: the published network, refusals, and batch normalisation in a run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.models import SlimResNet18

from helpers.colour_stream import colours, run
from helpers.generators import generator
from helpers.operation_tape import TapeRecorder
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment import experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner import recording
from seit_cl.models import ModelContext

CIFAR = ModelContext("pixels", 3, 32)
# Ours: Avalanche's names of the same parts.
RENAMED = {"downsample": "shortcut", "head": "linear"}
STRATEGIES = ["icarl", "lucir", "mir", "agem", "derpp", "ewc"]
for _name in ("ncm", "wa", "gdumb", "lwf", "avalanche:LwFPlugin", "avalanche:ReplayPlugin"):
    STRATEGIES.append(pytest.param(_name, marks=pytest.mark.slow))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours", resolution=64)


def network_of(spec: str, classes: int = 10) -> Any:
    return plugins.build("model", spec, CIFAR).new_network(classes, generator())


def test_slim_resnet18_is_avalanches_network() -> None:
    ours = network_of("slim_resnet18")
    theirs = SlimResNet18(10)
    state = {}
    for name, tensor in ours.state_dict().items():
        for own, other in RENAMED.items():
            name = name.replace(own, other)
        state[name] = tensor
    theirs.load_state_dict(state)
    parameters = sum(weight.numel() for weight in ours.parameters())
    assert parameters == sum(weight.numel() for weight in theirs.parameters()) == 1_094_750
    inputs = torch.randn(4, 3, 32, 32, generator=generator(1))
    for training in (True, False):
        assert torch.allclose(ours.train(training)(inputs), theirs.train(training)(inputs))


def test_slim_resnet18_starts_like_avalanches_network() -> None:
    ours = network_of("slim_resnet18")
    theirs = SlimResNet18(10)
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    for own, other in pairs:
        assert own.shape == other.shape
        assert own.std().item() == pytest.approx(other.std().item(), rel=0.35, abs=0.02)


def test_resnet18_cifar_has_the_usual_size() -> None:
    assert sum(weight.numel() for weight in network_of("resnet18_cifar").parameters()) == 11_173_962
    assert network_of("resnet18_cifar:width=20").conv1.out_channels == 20


def test_a_grid_below_the_stride_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match=r"slim_resnet18: .*nothing of a token grid of 4 x 4; use"):
        plugins.build("model", "slim_resnet18", ModelContext("tokens", 8, 4))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_strategies_work_with_batch_normalisation(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    ended = run(
        data, tmp_path / "run", strategy=strategy, model="slim_resnet18", resolution=64, batch=11
    )
    assert ended.run.status == "finished"
    statistics = dict(ended.network.named_buffers())["bn1.num_batches_tracked"]
    # A-GEM passes its exemplars by themselves, from the second experience on.
    of_exemplars = len(ended.losses) // 2 if strategy == "agem" else 0
    if strategy != "gdumb":  # which starts over
        assert int(statistics) == len(ended.losses) + of_exemplars


def test_recorded_steps_move_the_running_statistics_as_plain_ones(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tapes = TapeRecorder()
    options: dict[str, Any] = {"model": "slim_resnet18", "resolution": 64, "epochs": 4}
    monkeypatch.setattr(recording, "WORTHWHILE", 8)
    monkeypatch.setattr(experiment, "build_recorder", lambda config, strategy: tapes)
    recorded = run(data, tmp_path / "recorded", **options)
    monkeypatch.setattr(recording, "WORTHWHILE", 10**9)
    plain = run(data, tmp_path / "plain", **options)
    assert recorded.losses == plain.losses
    for name, tensor in plain.network.state_dict().items():
        assert torch.equal(recorded.network.state_dict()[name], tensor), name
