"""The state of a run between two experiences: all of it comes back, and ranks compare it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.colour_stream import OPTIONS, colours
from seit_cl import Strategy, spec_of
from seit_cl.config import RunConfig
from seit_cl.data.samples import Samples
from seit_cl.experiment import checkpoint
from seit_cl.experiment.build import memory_transform
from seit_cl.experiment.events import ExperienceInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.experiment.run_state import RunState
from seit_cl.learner.interfaces import LearnerView

IN_PIXELS = {"format": "jpeg:quality=40", "fill": "before"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return colours(tmp_path_factory.mktemp("data") / "colours")


def new(data: RunData, folder: Path, **options: Any) -> Experiment:
    """A run that has not begun."""
    config = RunConfig(**{"data_root": data.dataset.root, **OPTIONS, **options})
    return Experiment(config, data, folder)


def begun(data: RunData, folder: Path, **options: Any) -> Experiment:
    """A run right after the commit of its first experience."""
    run = new(data, folder, **options)

    def stop(info: ExperienceInfo) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(on_experience=stop)
    return run


def state_of(run: Experiment) -> RunState:
    """The present state of a run."""
    return RunState(run.learner, run.strategy, run.generators, run.record, run.memory)


def committed(run: Experiment, folder: Path) -> dict[str, Any]:
    """The state of the commit in a folder; a run gets its memory, as a resumed one does."""
    transform = None
    if run.memory is not None:
        transform = memory_transform(run.modality, run.memory.fmt, run.record.flops)
    commit = checkpoint.restore(folder, transform, run.device, run.data.tokenizer.entropy_model)
    assert commit is not None
    state, run.memory = commit
    return state


def assert_same(one: Any, other: Any) -> None:
    """Compare nested values with tensors in them."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for own, others in zip(one, other, strict=True):
            assert_same(own, others)
    else:
        assert one == other


class Projected(Strategy):
    """A strategy with a module of its own."""

    state_attributes = ("projection",)
    projection: nn.Linear

    def build_state(self, learner: LearnerView, generator: torch.Generator) -> None:
        """Make the projection."""
        self.projection = nn.Linear(3, 3)


# ---------------------------------------------------------------- what comes back
@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "er"},
        {"strategy": "lwf"},  # has an earlier model, and no memory
        {"strategy": spec_of(Projected)},  # has a module, which it makes when it starts
        {"strategy": "er", "scenario": "online:size=12", "fill": "during"},  # keeps its optimiser
    ],
    ids=["exemplars", "an earlier model", "a module", "one optimiser"],
)
def test_a_new_run_with_the_state_of_another_has_that_state(
    data: RunData, tmp_path: Path, options: dict[str, Any]
) -> None:
    whole = begun(data, tmp_path / "whole", **options)
    expected = state_of(whole).digests()
    resumed = new(data, tmp_path / "resumed", **options)
    before = state_of(resumed).digests()
    assert all(before[name] != expected[name] for name in expected)
    state = committed(resumed, tmp_path / "whole")
    state_of(resumed).load_state_dict(state)
    assert state_of(resumed).digests() == expected
    assert_same(state_of(resumed).state_dict(), state_of(whole).state_dict())
    for name in whole.strategy.state_attributes:
        assert type(getattr(resumed.strategy, name)) is type(getattr(whole.strategy, name))


def test_the_names_of_a_commit_are_free(data: RunData, tmp_path: Path) -> None:
    run = new(data, tmp_path / "run")
    checkpoint.commit(tmp_path, 0, run.memory, {"files": {}})
    of_commit = committed(run, tmp_path)
    assert set(of_commit) > {"experience", "memory"}
    assert not set(of_commit) & set(state_of(run).state_dict())


# ---------------------------------------------------------------- decoded exemplars
@pytest.fixture(scope="module")
def in_pixels(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A run whose memory has pixels, which are tokenized when they are first replayed."""
    return begun(data, tmp_path_factory.mktemp("runs") / "whole", **IN_PIXELS)


def test_exemplars_that_were_tokenized_are_so_again_without_being_counted_twice(
    data: RunData, in_pixels: Experiment, tmp_path: Path
) -> None:
    resumed = new(data, tmp_path / "resumed", **IN_PIXELS)
    state = committed(resumed, in_pixels.run_dir)
    assert resumed.memory is not None
    assert state["transformed"].any()
    some = state["transformed"].clone()
    some[::2] = False  # as if they had not been replayed yet
    state_of(resumed).load_state_dict(state | {"transformed": some})
    assert torch.equal(resumed.memory.transformed, some)
    assert torch.equal(state_of(resumed).state_dict()["transformed"], some)
    assert in_pixels.record.flops.totals["decoding"] > 0
    assert resumed.record.flops.totals == in_pixels.record.flops.totals


def test_a_state_of_an_earlier_version_tokenizes_none_ahead(
    data: RunData, in_pixels: Experiment, tmp_path: Path
) -> None:
    resumed = new(data, tmp_path / "resumed", **IN_PIXELS)
    state = committed(resumed, in_pixels.run_dir)
    del state["transformed"]
    state_of(resumed).load_state_dict(state)
    assert resumed.memory is not None
    assert not resumed.memory.transformed.any()


# ---------------------------------------------------------------- digests
def test_each_digest_is_of_one_part(data: RunData, tmp_path: Path) -> None:
    run = new(data, tmp_path / "run")
    digests = [state_of(run).digests()]
    assert state_of(run).digests() == digests[0]

    with torch.no_grad():
        weight = list(run.learner.model.parameters())[-1].flatten()
        weight[-1] = torch.nextafter(weight[-1], torch.tensor(9.0))
    digests.append(state_of(run).digests())
    torch.rand(1, generator=run.generators["replay"])
    digests.append(state_of(run).digests())
    assert run.memory is not None
    run.memory.offer(Samples(torch.tensor([0]), torch.tensor([0]), data))
    digests.append(state_of(run).digests())

    names = ["the model", "the state of the random numbers", "the memory"]
    for name, (before, after) in zip(names, itertools.pairwise(digests), strict=True):
        assert {each for each in names if before[each] != after[each]} == {name}


def test_a_run_without_a_memory_has_no_digest_of_one(data: RunData, tmp_path: Path) -> None:
    state = state_of(new(data, tmp_path / "run", memory_mb=0.0))
    assert set(state.digests()) == {"the model", "the state of the random numbers"}
    assert "transformed" not in state.state_dict()
