"""--train: frozen parts keep their weights and their running statistics, whatever the strategy."""

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.colour_stream import colours, run
from helpers.generators import generator
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.experiment.run_data import RunData
from seit_cl.models import ModelContext, TrainedPart
from seit_cl.models._training import block_names, freeze

CONTEXT = ModelContext("pixels", 3, 32)
STRATEGIES = ["ewc", "agem", "mir", "gdumb", "lucir"]
for _name in ("er", "icarl", "wa", "derpp", "lwf", "ncm", "avalanche:EWCPlugin,ewc_lambda=1"):
    STRATEGIES.append(pytest.param(_name, marks=pytest.mark.slow))  # type: ignore[arg-type]


def network_of(spec: str) -> Any:
    return plugins.build("model", spec, CONTEXT).new_network(3, generator())


def trained(spec: str, part: str) -> set[str]:
    network = network_of(spec)
    freeze(network, TrainedPart.parse(part), spec)
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours", resolution=64)


@pytest.mark.parametrize(
    ("spec", "blocks"),
    [
        ("micro", 4),
        ("slim_resnet18", 8),
        ("timm:test_vit2,img_size=32", 8),
    ],
)
def test_blocks_are_counted_from_the_last(spec: str, blocks: int) -> None:
    assert len(block_names(network_of(spec))) == blocks
    every = trained(spec, "all")
    one = trained(spec, "last:1")
    assert trained(spec, "head") == {"head.weight", "head.bias"} < one < every
    assert one < trained(spec, f"last:{blocks}") < every  # the stem stays frozen
    with pytest.raises(UserError, match=rf"--train last:{blocks + 1}: .* has {blocks} blocks"):
        trained(spec, f"last:{blocks + 1}")


def test_the_last_block_of_a_vit_comes_with_its_last_norm() -> None:
    last = trained("micro", "last:1")
    assert {"fc_norm.weight", "blocks.3.attn.qkv.weight", "head.weight"} <= last
    assert not [name for name in last if name.startswith(("blocks.2", "patch_embed", "pos_embed"))]


def test_norms_are_those_of_batches_and_of_layers() -> None:
    assert {"bn1.weight", "layer4.0.downsample.1.bias"} <= trained("slim_resnet18", "norm")
    assert "layer1.0.conv1.weight" not in trained("slim_resnet18", "norm")
    assert {"fc_norm.weight", "blocks.0.norm1.bias"} <= trained("micro", "norm")


@pytest.mark.parametrize("part", ["heads", "last", "last:0", "last:-1", "last:x", ""])
def test_other_parts_are_refused_in_a_line(part: str) -> None:
    with pytest.raises(UserError, match=r"--train .*must be head, norm, all, or last:N"):
        RunConfig(train=part)


def test_more_blocks_than_there_are_are_refused_before_the_run(
    data: RunData, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="--train last:5: --model micro has 4 blocks"):
        run(data, tmp_path / "run", train="last:5", resolution=64)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_frozen_weights_and_statistics_stay(data: RunData, tmp_path: Path, strategy: str) -> None:
    options: dict[str, Any] = {"model": "slim_resnet18", "resolution": 64, "strategy": strategy}
    ended = run(data, tmp_path / "run", train="last:1", **options)
    state = ended.network.state_dict()
    assert int(state["bn1.num_batches_tracked"]) == 0
    assert int(state["layer4.0.bn2.num_batches_tracked"]) == 0
    assert int(state["layer4.1.bn2.num_batches_tracked"]) > 0
    assert torch.equal(state["bn1.running_mean"], torch.zeros(20))
    assert torch.equal(state["layer4.0.bn1.weight"], torch.ones(160))
    assert not torch.equal(state["layer4.1.bn1.weight"], torch.ones(160))


def test_a_partly_frozen_run_resumes_exactly(data: RunData, tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "slim_resnet18", "resolution": 64, "train": "last:2"}
    options["strategy"] = "ewc"
    whole = run(data, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", stop_at=(1, 2), **options)
    resumed = run(data, tmp_path / "run", **options)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert resumed.run.accuracy.equals(whole.run.accuracy)


def test_fisher_information_is_that_of_trained_weights(data: RunData, tmp_path: Path) -> None:
    ended = run(data, tmp_path / "run", strategy="ewc", train="head", resolution=64)
    weights = ended.network.head
    assert ended.strategy.strategy_bytes == 2 * (weights.weight.nbytes + weights.bias.nbytes)
