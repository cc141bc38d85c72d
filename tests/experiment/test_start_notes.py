"""Lines of a log about options that do nothing: one where it holds, none where it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from helpers.colour_stream import colours, write_colours
from helpers.tokenizer_samples import titok_s6
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.ranks import Ranks
from seit_cl.experiment.build import build_strategy
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.start_notes import start_notes

CPU = torch.device("cpu")
GPU = torch.device("cuda")  # nothing is computed on it
OWN_BATCHES = {"avalanche": "avalanche:LwFPlugin"}  # a strategy that takes the name of another
STRATEGIES = [OWN_BATCHES.get(name, name) for name in sorted(plugins.names("strategy"))]


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Data whose tokens are a grid."""
    return colours(tmp_path_factory.mktemp("data") / "colours")


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """Data whose tokens are a sequence."""
    folder = tmp_path_factory.mktemp("sequences")
    path = folder / "titok.safetensors"
    titok_s6(legacy=False).save(path)
    root = write_colours(folder / "colours")
    return RunData(RunConfig(data_root=root, tokenizer=str(path), resolution=64))


def notes(
    data: RunData,
    ranks: Ranks | None = None,
    device: torch.device = CPU,
    records: bool = False,
    **options: Any,
) -> list[str]:
    config = RunConfig(data_root=data.dataset.root, **{"fill": "after", **options})
    return start_notes(config, data, build_strategy(config), ranks or Ranks(), device, records)


@pytest.mark.parametrize("fill", ["after", "during", "before"])
@pytest.mark.parametrize("graph", [True, False])
def test_a_run_on_a_cpu_is_told_nothing_of_cuda_graphs(
    grids: RunData, fill: Any, graph: bool
) -> None:
    assert notes(grids, fill=fill, graph=graph) == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_option_that_prevents_cuda_graphs_is_named(grids: RunData, strategy: str) -> None:
    (line,) = notes(grids, device=GPU, strategy=strategy, graph=False)
    option, _, rest = line.partition(": ")
    assert rest == "training steps do not run as CUDA graphs"
    name = strategy.partition(":")[0]
    if plugins.load("strategy", name).capturable:
        assert option == "--no-graph"
    else:
        assert option == f"--strategy {strategy}"


@pytest.mark.parametrize(("fill", "told"), [("after", 0), ("before", 0), ("during", 1)])
def test_recorded_steps_have_a_note_where_the_memory_changes_between_them(
    grids: RunData, fill: Any, told: int
) -> None:
    lines = notes(grids, device=GPU, records=True, fill=fill)
    assert [line.partition(":")[0] for line in lines] == ["--fill during"] * told


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("fill", ["after", "during"])
def test_several_processes_are_counted_and_told_nothing_of_graphs(
    grids: RunData, device: torch.device, fill: Any
) -> None:
    lines = notes(grids, Ranks(1, 4), device, fill=fill, graph=False)
    assert lines == ["4 processes, which torchrun has started"]


def test_augmentation_that_a_sequence_does_not_have_is_named(
    grids: RunData, sequences: RunData
) -> None:
    (line,) = notes(sequences)
    for option in ("--token-rrc", "--swap-p", "--cutmix-p"):
        assert f"({option})" in line
    assert notes(grids) == []
    assert notes(sequences, learner="pixels") == []


def test_a_sequence_is_told_beside_whatever_else_there_is(sequences: RunData) -> None:
    alone = notes(sequences)
    assert notes(sequences, device=GPU, graph=False)[1:] == alone
    assert notes(sequences, device=GPU, records=True, fill="during")[1:] == alone
    assert notes(sequences, Ranks(0, 2))[1:] == alone
