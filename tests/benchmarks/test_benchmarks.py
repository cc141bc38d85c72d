"""Both benchmarks run, measure every path and write their page; how fast is no test's business."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import measure, replay, step
from benchmarks.peers import TorchvisionAugment
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.reporting.markdown import publish

PATHS = {
    "tokens -> tokens",
    "jpeg:quality=75 -> tokens",
    replay.PEER,
    "raw -> tokens",
    "raw -> pixels",
}
PATHS |= {replay.EACH_TIME, replay.TORCHVISION}


@pytest.fixture(scope="module")
def replay_options(fractals: Path) -> replay.Options:
    return replay.Options(batch=4, rounds=2, seconds=0.0, exemplars=8, data_root=fractals)


@pytest.fixture(scope="module")
def step_options(fractals: Path) -> step.Options:
    return step.Options(batch=4, replay_batch=4, rounds=2, steps=2, threads=1, data_root=fractals)


def test_replay_measures_every_format_with_every_learner_it_can_serve(
    replay_options: replay.Options, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    result = replay.measure(replay_options)
    assert torch.get_num_threads() == before
    assert set(result.rates) == set(result.phases) == set(result.bytes_each) == PATHS
    assert set(result.ratios) == {replay.PEER, replay.TORCHVISION}
    assert all(0 < rate.low <= rate.median <= rate.high for rate in result.rates.values())
    assert all(set(ratio) == PATHS for ratio in result.ratios.values())
    assert all(
        ratio[peer] == measure.Spread(1.0, 1.0, 1.0) for peer, ratio in result.ratios.items()
    )
    written = tmp_path / "results" / "replay.md"
    publish(replay.report(result, replay_options, "typed", torch.device("cpu")), written)
    text = written.read_text()
    assert all(path in text for path in PATHS)
    assert "`typed`" in text and torch.__version__ in text


def test_exemplars_are_decoded_once_but_where_each_time_is_asked_for(
    replay_options: replay.Options,
) -> None:
    paths = replay.build_paths(replay_options)
    for name, path in paths.items():
        path(), path()
        assert (
            (path.memory.device_bytes > 0)
            == (path.once > 0)
            == (name not in (replay.EACH_TIME, replay.TORCHVISION))
        )
    inputs = [
        paths[name].memory.by_ids(torch.arange(8)).inputs
        for name in (replay.PEER, replay.EACH_TIME)
    ]
    assert torch.equal(*inputs)


def test_replayed_batches_are_the_learners_inputs(replay_options: replay.Options) -> None:
    shapes = {
        name: tuple(path().inputs.shape)
        for name, path in replay.build_paths(replay_options).items()
    }
    assert {shapes[name] for name in PATHS if "-> pixels" in name} == {(4, 3, 64, 64)}
    assert len({shapes[name] for name in PATHS if "-> tokens" in name}) == 1


def test_torchvision_crops_as_our_augmentation_does(replay_options: replay.Options) -> None:
    ours = replay.build_paths(replay_options)[replay.PEER].make.augment
    assert isinstance(ours, PixelAugment)
    whole = PixelAugment(ours.crop, replace(ours.config, rrc_scale=(1.0, 1.0), flip_p=0.0))
    pixels = torch.randint(
        0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    generators = [torch.Generator().manual_seed(2) for _ in range(2)]
    torch.testing.assert_close(
        TorchvisionAugment(whole)(pixels, generators[0]), whole(pixels, generators[1])
    )


def test_without_its_peer_in_the_run_a_path_has_no_ratio(replay_options: replay.Options) -> None:
    options = replace(replay_options, formats=("tokens",))
    result = replay.measure(options)
    assert result.ratios == {}
    assert "over" not in replay.report(result, options, "typed", torch.device("cpu"))


def test_the_step_is_measured_beside_a_bare_loop_in_every_precision(
    step_options: step.Options, tmp_path: Path
) -> None:
    result = step.measure(step_options)
    assert set(result.ours) == set(result.bare) == set(result.ratios) == {"fp32", "bf16"}
    assert all(
        spread.low > 0
        for part in (result.ours, result.bare, result.ratios)
        for spread in part.values()
    )
    ours = {
        "fresh tokens",
        "augmentation",
        "replay",
        "forward",
        "loss",
        "backward",
        "optimiser",
        "rest",
    }
    assert set(result.profiles["seit_cl fp32"]) == ours
    assert set(result.profiles["timm bf16"]) == {"forward", "backward", "optimiser", "rest"}
    assert all(value > 0 for profile in result.profiles.values() for value in profile.values())
    written = tmp_path / "step.md"
    publish(step.report(result, step_options, "typed"), written)
    assert "2 steps" in written.read_text() and "bf16" in written.read_text()


def test_both_sides_of_the_step_take_the_same_number_of_whole_batches(
    step_options: step.Options,
) -> None:
    options = replace(step_options, precision=("fp32",), batch=16, steps=7)
    ours, bare = step.build_rivals(options)["fp32"]
    ours()
    assert (ours.learner.total_steps, bare.steps) == (ours.steps, ours.steps)
    assert ours.steps >= 7
    assert len(ours.ids) % 16 == 0
    assert bare.inputs.shape[0] == 16 + 4


def test_interleaving_times_every_rival_in_every_round() -> None:
    called = {"a": 0, "b": 0}

    def rival(name: str) -> None:
        called[name] += 1

    taken = measure.interleave(
        {name: partial(rival, name) for name in called}, 3, 0.0, torch.device("cpu")
    )
    assert {name: len(times) for name, times in taken.items()} == {"a": 3, "b": 3}
    assert called["a"] == called["b"] == 3 + 1
