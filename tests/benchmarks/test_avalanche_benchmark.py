"""The comparison with Avalanche's Replay trains both on the same data and writes its page."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from benchmarks import avalanche
from benchmarks.avalanche_peers import LOOP
from benchmarks.avalanche_training import (
    AvalancheTraining,
    Experiences,
    jpeg_files,
    ready_tensors,
)
from seit_cl.core.errors import UserError

PEERS = {"Avalanche, JPEG files, 0 workers", "Avalanche, JPEG files, 1 workers", LOOP}


@pytest.fixture(scope="module")
def options(fractals: Path) -> avalanche.Options:
    return avalanche.Options(
        batch=8,
        replay_batch=4,
        precision=("fp32",),
        workers=1,
        threads=1,
        rounds=1,
        steps=2,
        exemplars=8,
        data_root=fractals,
    )


@pytest.fixture
def training() -> AvalancheTraining:
    """Training on 6 samples of class 1 with exemplars of class 0, in batches of 3 + 2."""
    inputs = torch.arange(10.0)[:, None].repeat(1, 4)
    first = ready_tensors(inputs[:4], torch.zeros(4, dtype=torch.int64))
    second = ready_tensors(inputs[4:], torch.ones(6, dtype=torch.int64))
    return AvalancheTraining(
        experiences=Experiences(first, second),
        model=nn.Linear(4, 2),
        device=torch.device("cpu"),
        precision="fp32",
        batch=3,
        replay_batch=2,
        steps=5,
    )


def test_both_are_measured_on_tokens_and_on_pixels(options: avalanche.Options) -> None:
    result = dict(avalanche.measure(replace(options, device=("cpu",))))
    rates = result[avalanche.Setting("cpu", "fp32")]
    assert set(rates) == {avalanche.TOKENS, avalanche.PIXELS, *PEERS}
    for rounds in rates.values():
        assert len(rounds) == 1
        assert rounds[0] > 0
    text = avalanche.report(result, options, "typed")
    assert all(f"| {name} |" in text for name in rates)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_both_are_measured_on_cuda_in_bf16(options: avalanche.Options) -> None:
    on_cuda = replace(options, device=("cuda",), precision=("bf16",), cuda_steps=4)
    result = dict(avalanche.measure(on_cuda))
    assert set(result[avalanche.Setting("cuda", "bf16")]) == {
        avalanche.TOKENS,
        avalanche.PIXELS,
        *PEERS,
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a CUDA device")
def test_a_page_without_a_cuda_device_says_so(options: avalanche.Options) -> None:
    assert {setting.device for setting in avalanche.settings(options)} == {"cpu"}
    text = avalanche.report({}, options, "typed")
    assert "the CPU alone was measured" in text
    with pytest.raises(UserError, match="this machine has none of these"):
        avalanche.settings(replace(options, device=("cuda",)))


@pytest.mark.parametrize(("model", "answer"), [("micro", "10 times"), ("small", "2 times")])
def test_the_goal_depends_on_the_model(
    model: Literal["micro", "small"], answer: str, options: avalanche.Options
) -> None:
    rates = {name: [1.0, 1.0] for name in PEERS} | {avalanche.TOKENS: [5.0, 6.0]}
    line = avalanche.goal_line(replace(options, model=model, resolution=64), rates)
    assert line.startswith(f"At least {answer}")
    assert line.endswith("no." if model == "micro" else "yes.")


def test_all_epochs_but_the_first_are_timed(training: AvalancheTraining) -> None:
    assert training.rate() > 0
    # Two steps an epoch: one epoch of warm-up, then 5 steps in 3 whole epochs.
    assert training.strategy.clock.train_exp_epochs == 4
    assert training.stopwatch.samples == 3 * 2 * (3 + 2)


def test_avalanche_replays_the_first_experience_in_every_call(
    training: AvalancheTraining,
) -> None:
    for _ in range(2):
        training.rate()
        assert list(training.memory.buffer.targets) == [0, 0, 0, 0]


def test_jpeg_files_give_the_images_and_their_labels(tmp_path: Path) -> None:
    images = torch.full((2, 3, 16, 16), 40, dtype=torch.uint8)
    images[1] = 200
    data = jpeg_files(tmp_path / "files", images, torch.tensor([3, 1]))
    assert data.targets == [3, 1]
    image, label = data[1]
    assert image.size == (16, 16)
    assert label == 1
    assert image.getpixel((8, 8)) == pytest.approx((200, 200, 200), abs=3)
