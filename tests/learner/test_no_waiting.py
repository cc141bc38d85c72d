"""On a GPU no step waits for the device, checked on fake tensors without values.

Reading a value (`.item()`, `nonzero`, a comparison in Python) fails there, and so does mixing
devices. The backward pass and the optimiser cannot run on fake tensors; test_recording.py covers
them, on a tape that refuses to read values.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from seit_cl.core import devices, plugins
from seit_cl.core.rng import PURPOSES
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.learner.batches import BatchMaker
from seit_cl.learner.interfaces import Augment
from seit_cl.learner.learner import Learner
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import StrategyContext
from seit_cl.memory import Exemplars, device_cache
from seit_cl.memory.device_cache import DeviceCache
from seit_cl.models._vit import build_vit, pixel_stem, token_stem

GPU = torch.device("cuda", 0)
CLASSES = 6
SAMPLES = 20
EXEMPLARS = 10


class FakeGenerator(torch.Generator):
    """A generator that says it lives on the fake GPU."""

    device = GPU  # type: ignore[assignment]


class CachedMemory:
    """The device side of a memory: exemplars drawn from the copy on the device."""

    def __init__(self, raw: Tensor) -> None:
        labels = torch.zeros(EXEMPLARS, dtype=torch.int64)
        extras = torch.zeros(EXEMPLARS, 3, dtype=torch.float16)
        exemplars = Exemplars(raw, labels, torch.arange(EXEMPLARS), {"logits": extras})
        self.cache = DeviceCache(GPU, exemplars.__getitem__, self.__len__)

    def __len__(self) -> int:
        return EXEMPLARS

    def select(self, n: int, generator: torch.Generator) -> tuple[Exemplars, Tensor | None]:
        return self.cache.locate(torch.randint(EXEMPLARS, (n,)))


def on_fake_gpu(module: nn.Module, mode: FakeTensorMode) -> Any:
    """A copy of a module on the fake GPU."""
    module = copy.deepcopy(module)
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = fake(buffer, mode)
        for name, parameter in part.named_parameters(recurse=False):
            part._parameters[name] = nn.Parameter(fake(parameter, mode))
    return module


def fake(value: Tensor, mode: FakeTensorMode) -> Tensor:
    with mode:
        return torch.empty(value.shape, dtype=value.dtype, device=GPU)


def token_parts(mode: FakeTensorMode) -> tuple[Augment, nn.Module, Tensor]:
    codebook = torch.randn(1, 16, 8)
    augment = TokenAugment(codebook, "sum", crop=8, mirror=torch.arange(16).roll(8)[None])
    model = build_vit("micro", token_stem(8), 8, CLASSES)
    return on_fake_gpu(augment, mode), model, torch.zeros(SAMPLES, 1, 8, 8, dtype=torch.int16)


def pixel_parts(mode: FakeTensorMode) -> tuple[Augment, nn.Module, Tensor]:
    model = build_vit("micro", pixel_stem(64), 3, CLASSES)
    raw = torch.zeros(SAMPLES, 3, 64, 64, dtype=torch.uint8)
    return on_fake_gpu(PixelAugment(64), mode), model, raw


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    for module in (devices, device_cache):
        monkeypatch.setattr(module, "device_budget", lambda device: 10**9)
    yield FakeTensorMode()


def fake_learner(augment: Augment, model: nn.Module, mode: FakeTensorMode, name: str) -> Learner:
    """A learner whose model is on the fake GPU, with a strategy."""
    learner = Learner(
        model=model,
        strategy=plugins.build("strategy", name, StrategyContext()),
        optimisation=Optimisation(epochs=1, learning_rate=1e-3, precision="bf16"),
        augment=augment,
        grow_head=True,
        device=torch.device("cpu"),
    )
    learner.model = on_fake_gpu(model, mode)
    learner.device = GPU
    return learner


@pytest.mark.parametrize("name", ["er", "er_ace"])
@pytest.mark.parametrize("parts", [token_parts, pixel_parts])
@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_batches_forward_loss_and_tests_read_nothing_back(
    parts: Any, name: str, mode: FakeTensorMode
) -> None:
    with torch.random.fork_rng(devices=[]):
        augment, model, raw = parts(mode)
    learner = fake_learner(augment, model, mode, name)
    with mode:
        raw = mode.from_tensor(raw)
        generators: Any = {purpose: FakeGenerator() for purpose in PURPOSES}
        maker = BatchMaker(augment, CLASSES, 0.5, 1.0, GPU, generators)
        labels = torch.zeros(SAMPLES, dtype=torch.int64)
        memory: Any = CachedMemory(raw[:EXEMPLARS])
        ids = torch.arange(SAMPLES)
        loader = ReplayLoader(maker, raw.__getitem__, ids, labels, 8, 4, memory, preload=True)
        learner.begin_experience(loader, classes_seen=4)
        steps = list(loader)
        assert len(steps) == 3
        for step in steps:
            batches = maker.prepare(step)
            assert batches.replay is not None
            assert batches.fresh.targets is not None
            assert batches.inputs.device == GPU
            assert batches.replay.extras["logits"].device == GPU
            outputs = batches.with_outputs(*learner.run_model(batches.inputs))
            loss = learner.strategy.loss(*outputs, learner)
        assert loss.device == GPU
        assert loss.shape == ()
        assert learner.predict(raw).shape == (SAMPLES,)
        competitors = torch.eye(CLASSES, dtype=torch.bool)
        labels = torch.zeros(SAMPLES, dtype=torch.int64)
        answers = learner.answers(raw, labels, competitors)
        for part in (answers.predicted, answers.in_top, answers.within):
            assert part is not None
            assert part.shape == (SAMPLES,)


def test_reading_a_value_would_be_noticed(mode: FakeTensorMode) -> None:
    with mode, pytest.raises(DataDependentOutputException):
        torch.zeros(3, device=GPU).sum().item()
