"""Networks handed over from Python: split in front of their head, and refused where that fails."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.colour_stream import OPTIONS, colours, run, write_colours
from helpers.generators import generator
from helpers.operation_tape import TapeRecorder
from seit_cl import RunConfig, run_experiment
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment import experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.learner import recording
from seit_cl.models import ModelContext, hand_over, wrap_model
from seit_cl.models._split import SplitNetwork

CONTEXT = ModelContext("pixels", 3, 32)
FEATURES = ("icarl", "lucir", "ncm", "wa", "simplecil", "ranpac:dimensions=60")


class Plain(nn.Module):
    """A network as a script has it, with another linear layer before its head."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 16, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.hidden = nn.Linear(16, 12)
        self.fc = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x)).relu().mean((2, 3))
        return self.fc(self.hidden(x).relu())


class Softmaxed(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


def new_plain(context: ModelContext, classes: int) -> nn.Module:
    return Plain(context.channels, classes)


def network_of(source: Any, classes: int = 4, **options: Any) -> Any:
    spec = hand_over(source, **options)
    return plugins.build("model", spec, CONTEXT).new_network(classes, generator())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


def test_a_module_is_split_in_front_of_its_last_linear_layer() -> None:
    module = Plain().eval()
    inputs = torch.randn(3, 3, 32, 32, generator=generator())
    split = wrap_model(module).eval()
    assert torch.equal(split(inputs), module(inputs))
    assert torch.equal(split.head.weight, module.fc.weight)
    assert split.features(inputs).shape == (3, 12)
    assert not split.body._forward_hooks
    assert isinstance(module.fc, nn.Linear)  # the user's own stays whole


def test_a_modules_weights_are_where_the_run_starts_and_its_head_gets_the_runs_width() -> None:
    module = Plain(classes=9)
    network = network_of(module)
    assert torch.equal(network.body.conv.weight, module.conv.weight)
    assert network.head.weight.shape == (4, 12)
    assert torch.equal(network_of(module).head.weight, network.head.weight)
    same = network_of(Plain(classes=4))
    assert same.head.weight.shape == (4, 12)


def test_a_function_is_called_with_the_data_and_draws_from_the_runs_seed() -> None:
    first = network_of(new_plain)
    torch.manual_seed(3)
    assert torch.equal(network_of(new_plain).body.conv.weight, first.body.conv.weight)


def test_a_network_with_features_and_head_is_used_as_it_is() -> None:
    network = SplitNetwork(nn.Sequential(nn.Conv2d(3, 5, 32), nn.Flatten()), nn.Linear(5, 4))
    assert isinstance(network_of(network), SplitNetwork)
    assert not isinstance(network_of(network).body, SplitNetwork)


def test_torchvisions_networks_with_a_part_named_features_are_split() -> None:
    import torchvision

    network = network_of(torchvision.models.mobilenet_v3_small(num_classes=9))
    assert network.head_name == "classifier.3"
    assert network.head.weight.shape == (4, 1024)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (Softmaxed(), {}, "'fc' is not its last operation; remove what follows"),
        (Plain(), {"head": "hidden"}, "'hidden' is not its last operation"),
        (Plain(), {"head": "classifier"}, "no nn.Linear of the name 'classifier'"),
        (nn.Sequential(nn.Conv2d(3, 4, 32), nn.Flatten()), {}, "has no nn.Linear"),
        (Plain(channels=7), {}, "does not take images of 32 x 32 px with 3 channels"),
    ],
)
def test_a_network_without_a_linear_head_at_its_end_is_refused_in_a_line(
    source: nn.Module, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refused:
        network_of(source, **options)
    assert "\n" not in str(refused.value)


def test_a_name_that_was_not_handed_over_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match="--model python:Absent: no such model in this process"):
        plugins.build("model", "python:Absent", CONTEXT)


@pytest.mark.parametrize("strategy", FEATURES)
def test_every_strategy_that_needs_features_works_with_it(
    data: RunData, tmp_path: Path, strategy: str
) -> None:
    options = {"model": hand_over(new_plain), "learner": "pixels", "format": "raw"}
    ended = run(data, tmp_path / "run", strategy=strategy, memory_mb=0.05, **options)
    assert ended.run.status == "finished"
    assert ended.row["model"] == "python:new_plain"


def test_its_steps_can_be_recorded_and_compiled_graphs_have_no_hook(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"model": hand_over(new_plain), "epochs": 4, "strategy": "icarl"}
    tapes = TapeRecorder()
    monkeypatch.setattr(experiment, "build_recorder", lambda config, strategy: tapes)
    monkeypatch.setattr(recording, "WORTHWHILE", 8)
    recorded = run(data, tmp_path / "recorded", **options)
    monkeypatch.setattr(recording, "WORTHWHILE", 10**9)
    assert run(data, tmp_path / "plain", **options).losses == recorded.losses
    assert tapes.tapes


def test_run_experiment_takes_a_module(tmp_path: Path) -> None:
    options: dict[str, Any] = {**OPTIONS, "data_root": write_colours(tmp_path / "colours")}
    config = RunConfig(**options, strategy="icarl", learner="pixels", format="raw")
    result = run_experiment(config, tmp_path / "out", model=Plain())
    assert result.status == "finished"
    assert result.facts["model"] == "python:Plain"
    assert result.facts["model_bytes"] > 0
