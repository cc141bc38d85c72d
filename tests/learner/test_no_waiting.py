"""On a GPU no step waits for the device: checked on a pretended one, whose tensors have shapes and a device but no values.

Reading a value (`.item()`, `nonzero`, a comparison in Python) fails there, and so does mixing devices. The backward pass
and the optimiser are torch's own and cannot be pretended.
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
from seit_cl.learner.batches import BatchMaker, ReplayLoader
from seit_cl.learner.interfaces import Augment
from seit_cl.learner.learner import Learner
from seit_cl.learner.optim import Optimisation
from seit_cl.learner.vit import build_vit, pixel_stem, token_stem
from seit_cl.memory import device_cache as resident
from seit_cl.memory.device_cache import DeviceCache, Exemplars

GPU = torch.device("cuda", 0)
CLASSES, SAMPLES, EXEMPLARS = 6, 20, 10


class PretendedGenerator(torch.Generator):
    """Says that it lives on the pretended GPU."""

    device = GPU  # type: ignore[assignment]


class Maker(BatchMaker):
    """Mixes every batch: what the CPU draws has no value here either."""

    def _mixes(self, purpose: str) -> bool:
        return True


class Memory:
    """A memory's device side: exemplars drawn from the resident copy."""

    def __init__(self, raw: Tensor) -> None:
        labels = torch.zeros(EXEMPLARS, dtype=torch.int64)
        extras = torch.zeros(EXEMPLARS, 3, dtype=torch.float16)
        whole = Exemplars(raw, labels, torch.arange(EXEMPLARS), {"logits": extras})
        self.resident = DeviceCache(GPU, whole.__getitem__, self.__len__)

    def __len__(self) -> int:
        return EXEMPLARS

    def sample(self, n: int, generator: torch.Generator) -> Exemplars:
        return self.resident.take(torch.randint(EXEMPLARS, (n,)))


def there(module: nn.Module, mode: FakeTensorMode) -> Any:
    """A copy of a module on the pretended GPU."""
    module = copy.deepcopy(module)
    for part in module.modules():
        kept = [(part._buffers, name, value) for name, value in part.named_buffers(recurse=False)]
        kept += [
            (part._parameters, name, value) for name, value in part.named_parameters(recurse=False)
        ]  # type: ignore[misc]
        for where, name, value in kept:
            with mode:
                pretended = torch.empty(value.shape, dtype=value.dtype, device=GPU)
            where[name] = nn.Parameter(pretended) if isinstance(value, nn.Parameter) else pretended
    return module


def tokens_side(mode: FakeTensorMode) -> tuple[Augment, nn.Module, Tensor]:
    codebook = torch.randn(1, 16, 8)
    augment = TokenAugment(codebook, "sum", crop=8, mirror=torch.arange(16).roll(8)[None])
    model = build_vit("micro", token_stem(8), 8, CLASSES)
    return there(augment, mode), model, torch.zeros(SAMPLES, 1, 8, 8, dtype=torch.int16)


def pixels_side(mode: FakeTensorMode) -> tuple[Augment, nn.Module, Tensor]:
    model = build_vit("micro", pixel_stem(64), 3, CLASSES)
    return there(PixelAugment(64), mode), model, torch.zeros(SAMPLES, 3, 64, 64, dtype=torch.uint8)


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    for module in (devices, resident):
        monkeypatch.setattr(module, "device_budget", lambda device: 10**9)
    yield FakeTensorMode()


def pretended_learner(
    augment: Augment, model: nn.Module, mode: FakeTensorMode, name: str
) -> Learner:
    """A learner whose model is on the pretended GPU, with a strategy."""
    strategy = plugins.load("strategy", name)(None)
    optimisation = Optimisation(1, 1e-3, 0.05, 0.1, 1.0, "bf16")
    cpu = torch.device("cpu")
    learner = Learner(
        model=model,
        strategy=strategy,
        optimisation=optimisation,
        augment=augment,
        grow_head=True,
        device=cpu,
    )
    learner.model, learner.device, learner.seen = there(model, mode), GPU, 4
    return learner


@pytest.mark.parametrize("name", ["er", "er_ace"])
@pytest.mark.parametrize("side", [tokens_side, pixels_side])
@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_batches_forward_loss_and_tests_read_nothing_back(
    side: Any, name: str, mode: FakeTensorMode
) -> None:
    with torch.random.fork_rng(devices=[]):
        augment, model, raw = side(mode)
    learner = pretended_learner(augment, model, mode, name)
    with mode:
        raw = mode.from_tensor(raw)
        maker = Maker(
            augment, CLASSES, 1.0, 1.0, GPU, {purpose: PretendedGenerator() for purpose in PURPOSES}
        )  # type: ignore[arg-type]
        labels = torch.zeros(SAMPLES, dtype=torch.int64)
        loader = ReplayLoader(
            maker, raw.__getitem__, torch.arange(SAMPLES), labels, 8, 4, Memory(raw[:EXEMPLARS])
        )
        for step, (fresh, replay) in enumerate(loader):
            assert replay is not None and fresh.inputs.device == GPU and fresh.targets is not None
            assert replay.extras["logits"].device == (GPU if step else replay.labels.device)
            learner.mbatch = (fresh, replay)
            learner._unpack_minibatch()
            learner.forward()
            loss = learner.criterion()
        assert step == 2 and loss.device == GPU and loss.shape == ()
        assert learner.predict(raw).shape == (SAMPLES,)


def test_reading_a_value_would_be_noticed(mode: FakeTensorMode) -> None:
    with mode, pytest.raises(DataDependentOutputException):
        torch.zeros(3, device=GPU).sum().item()
