"""The short form of Avalanche's Online Replay on Split CIFAR-10, on made-up images."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from seit_cl.command_line import parse
from seit_cl.data.samples import Samples
from seit_cl.experiment.build import build_memory, build_strategy
from seit_cl.experiment.events import StepInfo
from seit_cl.experiment.experiment import Experiment
from seit_cl.experiment.run_data import RunData
from seit_cl.grid import expand

CONFIG = Path(__file__).parents[2] / "configs" / "split-cifar10-online-replay.yaml"
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TRAIN = 20  # images of each class, of which the stream shows 19
RAW = 32 * 32 * 3 + 1  # bytes of an exemplar and its label
HEADER = 166
HELD = 30


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image folder with CIFAR-10's classes: noise of 32 px."""
    root = tmp_path_factory.mktemp("cifar10")
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", TRAIN), ("val", 2)):
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(256, (32, 32, 3), generator=generator, dtype=torch.uint8)
                Image.fromarray(pixels.numpy()).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def words(images: Path) -> list[str]:
    return ["--data-root", str(images), "--config", str(CONFIG), "--device", "cpu"]


def test_the_budget_holds_a_thousand_raw_images_and_not_one_more(words: list[str]) -> None:
    config = expand(parse(words))[0]
    data = RunData(config)
    memory = build_memory(config, data, build_strategy(config), 10)
    assert memory is not None
    ids = torch.arange(10 * TRAIN)
    for _ in range(5):
        memory.offer(Samples(ids, ids % 10, data))
    assert memory.used_bytes == memory.budget_bytes == HEADER + 1000 * RAW
    assert len(memory) == 1000 and not memory.full
    memory.offer(Samples(ids[:1], ids[:1], data))
    assert len(memory) == 1000 and memory.full


def test_a_run_takes_the_steps_the_batches_and_the_exemplars_of_the_protocol(
    words: list[str], tmp_path: Path
) -> None:
    budget = ["--memory-mb", str((HEADER + HELD * RAW) / 1e6)]
    configs = expand(parse([*words, *budget, "--eval-every", "38"]))
    assert [config.seed for config in configs] == [0, 1, 2, 3, 4]
    experiment = Experiment(configs[0], RunData(configs[0]), tmp_path / "run")
    steps: list[StepInfo] = []
    held: list[list[int]] = []

    def note(info: Any) -> None:
        memory = experiment.memory
        assert memory is not None and memory.used_bytes <= memory.budget_bytes
        held.append(memory.counts_per_class().tolist())

    experiment.run(on_step=steps.append, on_experience=note)

    # 38 images of each of the five pairs of classes, one pass, ten a step.
    assert len(steps) == experiment.learner.total_steps == 5 * 38 / 10
    pairs = torch.cat([(experiment.labels[info.fresh_ids] // 2).sort().values for info in steps])
    assert pairs.tolist() == torch.arange(5).repeat_interleave(38).tolist()
    assert len(set(torch.cat([info.fresh_ids for info in steps]).tolist())) == len(pairs)
    assert [info.samples for info in steps] == [10] + [20] * 18  # fresh ones and exemplars
    assert {info.learning_rate for info in steps} == {0.1}

    # As many exemplars as fit, divided equally among the classes seen.
    assert [sum(counts) for counts in held[:4]] == [10, 20, 30, 30]
    assert held[-1] == [3] * 10
    optimizer = experiment.learner.optimizer
    assert type(optimizer) is torch.optim.SGD
    assert {(g["momentum"], g["weight_decay"]) for g in optimizer.param_groups} == {(0, 0.0)}
    assert experiment.learner.model.head.weight.shape == (10, 160)
    assert experiment.learner.optimisation.clip == 0.0


@pytest.mark.parametrize(
    "form",
    [
        ["--format", "jpeg:quality=75"],
        ["--learner", "tokens", "--resolution", "64", "--format", "tokens"],
    ],
    ids=["jpeg", "tokens"],
)
def test_the_same_bytes_hold_more_exemplars_in_other_forms(
    form: list[str], words: list[str], tmp_path: Path
) -> None:
    budget = ["--memory-mb", str((HEADER + HELD * RAW) / 1e6), "--eval-every", "1000"]
    config = expand(parse([*words, *budget, *form]))[0]
    experiment = Experiment(config, RunData(config), tmp_path / "run")
    experiment.run()
    memory = experiment.memory
    assert memory is not None and memory.used_bytes <= HEADER + HELD * RAW
    assert len(memory) > HELD
    counts = memory.counts_per_class()
    assert int(counts.max() - counts.min()) <= 3
