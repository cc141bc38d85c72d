"""The memory as storage policy of ReplayPlugin and Replay, on Avalanche's benchmarks."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from avalanche.benchmarks import benchmark_from_datasets, class_incremental_benchmark
from avalanche.benchmarks.utils import (
    as_classification_dataset,
    as_taskaware_classification_dataset,
    make_avalanche_dataset,
)
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.training.supervised import Naive, Replay
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.transforms import Compose, Normalize, RandomHorizontalFlip, ToTensor

from seit_cl.core.errors import UserError
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.tokenizers import open_tokenizer

CLASSES = 4
COUNT = 48


class Items(Dataset[tuple[Any, int]]):
    """Inputs with labels 0..3 in turn."""

    def __init__(self, inputs: Any) -> None:
        self.inputs = inputs
        self.targets = [index % CLASSES for index in range(len(inputs))]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.inputs[index], self.targets[index]


def images(channels: int = 3, side: int = 32) -> Tensor:
    """Images (48, channels, side, side) uint8 of one colour each, which JPEG keeps well."""
    colours = torch.arange(COUNT * channels).view(COUNT, channels, 1, 1) * 29 % 256
    return colours.to(torch.uint8).expand(-1, -1, side, side).contiguous()


def pictures(mode: str = "RGB", side: int = 32) -> list[Image.Image]:
    """The same as PIL images."""
    arrays = images(side=side).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(array).convert(mode) for array in arrays]


def class_incremental(dataset: Any) -> Any:
    """Two experiences of two classes each."""
    streams = {"train": dataset, "test": dataset}
    return class_incremental_benchmark(streams, num_experiences=2, class_order=list(range(CLASSES)))


def with_tasks(dataset: Any) -> Any:
    """Two experiences of two classes each, whose items end with task label 0 or 1."""
    experiences = []
    for task in range(2):
        rows = [i for i in range(COUNT) if dataset.targets[i] // 2 == task]
        part = dataset.subset(rows)
        tasks = DataAttribute([task] * len(rows), "targets_task_labels", use_in_getitem=True)
        experiences.append(
            as_taskaware_classification_dataset(
                make_avalanche_dataset(part, data_attributes=[tasks])
            )
        )
    return benchmark_from_datasets(train=experiences, test=experiences)


class Network(nn.Module):
    """A linear network for images of any type, which notes the batches that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.LazyLinear(CLASSES)
        self.seen: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen.append(inputs)
        return self.head(inputs.flatten(1).float() / 255)


def train(benchmark: Any, memory: ByteBudgetBuffer) -> Network:
    """Train with ReplayPlugin over a benchmark."""
    network = Network()
    network(torch.as_tensor(benchmark.train_stream[0].dataset[0][0])[None])
    network.seen.clear()
    plugin = memory.replay_plugin(benchmark)
    assert plugin.mem_size == memory.budget_bytes
    strategy = Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        plugins=[plugin],
        evaluator=None,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience)
        assert 0 < memory.used_bytes <= memory.budget_bytes
    return network


def memory_of(spec: str, budget: int = 20_000, **rest: Any) -> ByteBudgetBuffer:
    return ByteBudgetBuffer.of(spec, budget, classes=CLASSES, resolution=32, **rest)


def assert_like(memory: ByteBudgetBuffer, benchmark: Any, tolerance: float) -> None:
    """Check that every exemplar is like an item of the benchmark, up to the format's loss."""
    originals = [item for experience in benchmark.train_stream for item in experience.dataset]
    assert len(memory.buffer) == len(memory) > 0
    for item in memory.buffer:
        assert len(item) == len(originals[0])
        own = [other for other in originals if list(other[1:]) == list(item[1:])]
        inputs = torch.as_tensor(item[0])
        assert inputs.dtype == torch.as_tensor(own[0][0]).dtype
        assert inputs.shape == torch.as_tensor(own[0][0]).shape
        difference = [(inputs.float() - torch.as_tensor(o[0]).float()).abs().max() for o in own]
        assert min(difference) <= tolerance


def test_uint8_tensors_are_replayed_as_they_are() -> None:
    benchmark = class_incremental(as_classification_dataset(Items(images())))
    memory = memory_of("raw")
    network = train(benchmark, memory)
    assert_like(memory, benchmark, 0)
    assert max(len(batch) for batch in network.seen) == 8 + 6  # fresh samples and exemplars
    assert network.seen[-1].dtype == torch.uint8


@pytest.mark.parametrize("spec", ["raw", "jpeg:quality=90"])
def test_grey_digits_of_floats_come_back_as_such(spec: str) -> None:
    digits = images(channels=1, side=28).float() / 255
    benchmark = class_incremental(as_classification_dataset(Items(digits)))
    memory = ByteBudgetBuffer.of(spec, 20_000, classes=CLASSES, resolution=28)
    train(benchmark, memory)
    assert_like(memory, benchmark, 1e-6 if spec == "raw" else 3 / 255)


def test_items_with_task_labels_have_those_of_their_class() -> None:
    benchmark = with_tasks(as_classification_dataset(Items(images())))
    memory = memory_of("jpeg:quality=75")
    train(benchmark, memory)
    assert_like(memory, benchmark, 4)
    assert {item[2] for item in memory.buffer} == {0, 1}
    assert len(memory.buffer.task_set) == 2


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_are_stored_before_their_transform_and_transformed_again(mode: str) -> None:
    transform = Compose([ToTensor(), Normalize(0.5, 0.25)])
    groups = {"train": (transform, None), "eval": (ToTensor(), None)}
    dataset = as_classification_dataset(Items(pictures(mode)), transform_groups=groups)
    benchmark = class_incremental(dataset)
    memory = memory_of("png")
    network = train(benchmark, memory)
    assert_like(memory, benchmark, 1e-5)
    assert float(network.seen[-1].min()) < 0
    plain = memory.buffer.eval()[0][0]
    assert 0 <= float(plain.min()) <= float(plain.max()) <= 1


def test_random_transforms_are_drawn_anew_for_every_replay() -> None:
    half = torch.zeros(COUNT, 3, 32, 32, dtype=torch.uint8)
    half[..., :16] = 200
    groups = {"train": (RandomHorizontalFlip(), None), "eval": None}
    dataset = as_classification_dataset(Items(half), transform_groups=groups)
    memory = memory_of("raw")
    memory.post_adapt(None, class_incremental(dataset).train_stream[0])
    corners = {int(memory.buffer[0][0][0, 0, 0]) for _ in range(40)}
    assert corners == {0, 200}


def test_images_are_stored_as_tokens_and_replayed_as_images() -> None:
    tokenizer = open_tokenizer()
    benchmark = class_incremental(as_classification_dataset(Items(images())))
    memory = memory_of("tokens", 1000, tokenizer=tokenizer)
    train(benchmark, memory)
    stored = memory.by_ids(torch.arange(len(memory))).inputs
    shown = torch.stack([torch.as_tensor(item[0]) for item in memory.buffer])
    assert torch.equal(shown, tokenizer.decode(stored))


def test_token_grids_are_replayed_as_token_grids() -> None:
    tokenizer = open_tokenizer()
    benchmark = class_incremental(as_classification_dataset(Items(tokenizer.encode(images()))))
    memory = memory_of("tokens", 1000, tokenizer=tokenizer)
    train(benchmark, memory)
    assert_like(memory, benchmark, 0)


def test_the_strategy_replay_takes_the_memory_too() -> None:
    benchmark = class_incremental(as_classification_dataset(Items(images())))
    memory = memory_of("jpeg")
    network = Network()
    network(benchmark.train_stream[0].dataset[0][0][None])
    strategy = Replay(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.01),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=8,
        evaluator=None,
    )
    memory.use_in(strategy)
    for experience in benchmark.train_stream:
        strategy.train(experience)
    assert memory.classes_covered == CLASSES


def test_a_strategy_without_replay_has_no_place_for_a_memory() -> None:
    network = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    with pytest.raises(UserError, match="ReplayPlugin"):
        memory_of("jpeg").use_in(Naive(model=network, optimizer=optimizer, evaluator=None))


def test_inputs_that_a_memory_cannot_store_are_refused_in_a_line() -> None:
    def offer(inputs: Any, memory: ByteBudgetBuffer) -> None:
        benchmark = class_incremental(as_classification_dataset(Items(inputs)))
        memory.post_adapt(None, benchmark.train_stream[0])

    with pytest.raises(UserError, match=r"floats from -1 to .* move Normalize"):
        offer(images().float() / 100 - 1, memory_of("jpeg"))
    with pytest.raises(UserError, match=r"tokenizer=open_tokenizer\(\)"):
        offer(images(), ByteBudgetBuffer(1000, *_tokens_without_a_tokenizer()))
    with pytest.raises(UserError, match="resolution=48"):
        offer(images(side=48), memory_of("jpeg"))
    with pytest.raises(UserError, match="uint8"):
        offer(torch.zeros(COUNT, 1, 4, 4, dtype=torch.int64), memory_of("jpeg"))


@pytest.mark.parametrize(
    ("inputs", "spec", "message"),
    [
        (images().float() / 100 - 1, "jpeg", "floats from -1 to .* move Normalize"),
        (images(side=48), "jpeg", "resolution=48"),
        (torch.zeros(COUNT, 1, 4, 4, dtype=torch.int64), "jpeg", "uint8"),
    ],
)
def test_inputs_that_a_memory_cannot_store_are_refused_before_any_training(
    inputs: Tensor, spec: str, message: str
) -> None:
    benchmark = class_incremental(as_classification_dataset(Items(inputs)))
    memory = memory_of(spec)
    with pytest.raises(UserError, match=message):
        memory.replay_plugin(benchmark)
    network = nn.Linear(1, 1)
    strategy = Replay(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.01),
        criterion=nn.CrossEntropyLoss(),
        evaluator=None,
    )
    with pytest.raises(UserError, match=message):
        memory.use_in(strategy, benchmark)


def test_images_without_a_tokenizer_and_labels_without_a_class_are_refused_too() -> None:
    benchmark = class_incremental(as_classification_dataset(Items(images())))
    with pytest.raises(UserError, match=r"tokenizer=open_tokenizer\(\)"):
        ByteBudgetBuffer(1000, *_tokens_without_a_tokenizer()).replay_plugin(benchmark)
    small = ByteBudgetBuffer.of("raw", 20_000, classes=2, resolution=32)
    with pytest.raises(UserError, match=r"labels 2\.\.3, and the memory 2 classes"):
        small.replay_plugin(benchmark)


def test_options_of_the_plugin_are_passed_on() -> None:
    assert memory_of("raw").replay_plugin(batch_size_mem=5).batch_size_mem == 5


def _tokens_without_a_tokenizer() -> tuple[Any, Any]:
    memory = memory_of("tokens", 1000, tokenizer=open_tokenizer())
    return memory.fmt, memory.context


def test_a_class_in_two_tasks_is_refused() -> None:
    memory = memory_of("raw")
    memory.post_adapt(None, with_tasks(as_classification_dataset(Items(images()))).train_stream[0])
    second = as_classification_dataset(Items(images()))
    tasks = DataAttribute([1] * COUNT, "targets_task_labels", use_in_getitem=True)
    moved = make_avalanche_dataset(second, data_attributes=[tasks])

    class Experience:
        dataset = as_taskaware_classification_dataset(moved)

    with pytest.raises(UserError, match="class 0 has the task labels 0 and 1"):
        memory.post_adapt(None, Experience())


def test_a_pickled_memory_goes_on_as_the_original_does(tmp_path: Path) -> None:
    benchmark = with_tasks(as_classification_dataset(Items(images())))
    memory = memory_of("jpeg:quality=75", 4_000)
    memory.post_adapt(None, benchmark.train_stream[0])
    again = pickle.loads(pickle.dumps(memory))
    assert [item[1:] for item in again.buffer] == [item[1:] for item in memory.buffer]
    for name, buffer in (("again", again), ("memory", memory)):
        buffer.post_adapt(None, benchmark.train_stream[1])
        buffer.save(tmp_path / name)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "memory").read_bytes()
