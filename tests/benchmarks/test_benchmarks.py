"""The replay and step benchmarks measure everything and write their page; speed is not tested."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmarks import measure, replay, step
from benchmarks.peers import TorchvisionAugment
from helpers.generators import generator
from helpers.numbers import drawn
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.reporting.markdown import publish

CPU = torch.device("cpu")
DECODED_EACH_TIME = {replay.EACH_TIME, replay.TORCHVISION}
PATHS = {
    "tokens -> tokens",
    "jpeg:quality=75 -> tokens",
    replay.PEER,
    "raw -> tokens",
    "raw -> pixels",
    *DECODED_EACH_TIME,
}
STEP_PHASES = {"fresh tokens", "draws", "augmentation", "forward", "loss"}
STEP_PHASES |= {"backward", "optimiser", "rest"}


@pytest.fixture(scope="module")
def replay_options(fractals: Path) -> replay.Options:
    return replay.Options(batch=4, rounds=2, seconds=0.0, exemplars=8, data_root=fractals)


@pytest.fixture(scope="module")
def step_options(fractals: Path) -> step.Options:
    return step.Options(batch=4, replay_batch=4, rounds=2, steps=2, threads=1, data_root=fractals)


def test_replay_measures_every_format_with_every_learner_that_it_serves(
    replay_options: replay.Options, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    result = replay.measure(replay_options)
    assert torch.get_num_threads() == threads
    assert set(result.rates) == set(result.phases) == set(result.bytes_each) == PATHS
    assert set(result.ratios) == {replay.PEER, replay.TORCHVISION}
    for rate in result.rates.values():
        assert 0 < rate.low <= rate.median <= rate.high
    for peer, ratios in result.ratios.items():
        assert set(ratios) == PATHS
        assert ratios[peer] == measure.Spread(1.0, 1.0, 1.0)
    written = tmp_path / "results" / "replay.md"
    publish(replay.report(result, replay_options, "typed", CPU), written)
    text = written.read_text()
    assert all(path in text for path in PATHS)
    assert "`typed`" in text
    assert torch.__version__ in text


def test_exemplars_are_decoded_once_except_on_the_paths_that_decode_each_time(
    replay_options: replay.Options,
) -> None:
    paths = replay.build_paths(replay_options)
    for name, path in paths.items():
        path()
        path()
        decoded_once = name not in DECODED_EACH_TIME
        assert (path.memory.device_bytes > 0) == decoded_once
        assert (path.once > 0) == decoded_once
    ids = torch.arange(8)
    once = paths[replay.PEER].memory.by_ids(ids)
    each_time = paths[replay.EACH_TIME].memory.by_ids(ids)
    assert torch.equal(once.inputs, each_time.inputs)


def test_replayed_batches_are_the_learners_inputs(replay_options: replay.Options) -> None:
    shapes: dict[str, set[tuple[int, ...]]] = {"tokens": set(), "pixels": set()}
    for name, path in replay.build_paths(replay_options).items():
        learner = "pixels" if "-> pixels" in name else "tokens"
        shapes[learner].add(tuple(path().inputs.shape))
    assert shapes["pixels"] == {(4, 3, 64, 64)}
    assert len(shapes["tokens"]) == 1


def test_torchvision_crops_as_our_augmentation_does(replay_options: replay.Options) -> None:
    augment = replay.build_paths(replay_options)[replay.PEER].make.augment
    assert isinstance(augment, PixelAugment)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8, generator=generator(1))
    numbers = drawn(augment, pixels, generator(2))
    numbers["boxes"][:, 0] = 1.0  # the whole image: torchvision antialiases where it shrinks
    numbers["boxes"][:, 1] = 0.5
    peer = TorchvisionAugment(augment)
    torch.testing.assert_close(
        peer(pixels, numbers), augment(pixels, numbers), atol=2e-2, rtol=1e-3
    )


def test_a_path_has_no_ratio_to_a_peer_that_was_not_measured(
    replay_options: replay.Options,
) -> None:
    options = replace(replay_options, formats=("tokens",))
    result = replay.measure(options)
    assert result.ratios == {}
    assert "over" not in replay.report(result, options, "typed", CPU)


@pytest.mark.slow
def test_the_step_is_compared_with_a_bare_loop_in_every_precision(
    step_options: step.Options, tmp_path: Path
) -> None:
    result = step.measure(step_options)
    for speeds in (result.learner, result.bare, result.ratios):
        assert set(speeds) == {"fp32", "bf16"}
        assert all(spread.low > 0 for spread in speeds.values())
    assert set(result.profiles["seit_cl fp32"]) == STEP_PHASES
    assert set(result.profiles["timm bf16"]) == {"forward", "backward", "optimiser", "rest"}
    for profile in result.profiles.values():
        assert min(profile.values()) > 0
    written = tmp_path / "step.md"
    publish(step.report(result, step_options, "typed"), written)
    assert "2 steps" in written.read_text()
    assert "bf16" in written.read_text()


def test_learner_and_bare_loop_take_the_same_number_of_whole_batches(
    step_options: step.Options,
) -> None:
    options = replace(step_options, precision=("fp32",), batch=16, steps=7)
    training, bare = step.build_pairs(options)["fp32"]
    training()
    assert training.learner.total_steps == bare.steps == training.steps
    assert training.steps >= 7
    assert len(training.ids) % 16 == 0
    assert bare.inputs.shape[0] == 16 + 4


def test_interleaving_times_every_call_in_every_round() -> None:
    called = {"a": 0, "b": 0}

    def count(name: str) -> None:
        called[name] += 1

    calls = {name: partial(count, name) for name in called}
    timings = measure.interleave(calls, 3, 0.0, CPU)
    assert {name: len(seconds) for name, seconds in timings.items()} == {"a": 3, "b": 3}
    assert called["a"] == called["b"] == 3 + 1


def test_another_clock_can_be_read() -> None:
    ticks = iter(range(0, 100, 5))
    timings = measure.interleave({"a": lambda: None}, 2, 0.0, CPU, lambda: float(next(ticks)))
    assert timings == {"a": [5.0, 5.0]}
