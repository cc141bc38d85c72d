"""What Avalanche's plugins need of our learner: datasets of raw samples, a model that takes them, and a memory of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avalanche.benchmarks.utils import as_taskaware_classification_dataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from seit_cl.learner.batches import ReplayLoader
from seit_cl.memory.avalanche import exemplar_dataset

if TYPE_CHECKING:
    from seit_cl.learner.learner import Learner
    from seit_cl.learner.strategy import Strategy


class SharedMemory(ExemplarsBuffer):
    """The run's memory as a plugin's storage policy: it can be read; who fills it is the run.

    Args:
        strategy: whose learner has the memory.
    """

    def __init__(self, strategy: Strategy) -> None:
        super().__init__(0)
        self._strategy = strategy

    @property
    def buffer(self) -> Any:
        """An AvalancheDataset of the exemplars, or nothing."""
        memory: Any = self._strategy.learner.memory
        return [] if memory is None or len(memory) == 0 else memory.buffer

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise TypeError("a memory metered in bytes is filled by offer, not by assignment")

    def update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """The run offers the experience itself."""

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """The run offers the experience itself."""

    def resize(self, strategy: Any, new_size: int) -> None:
        """Its size is the budget's."""


class _RawExperience:
    """An Avalanche experience whose dataset gives raw samples: an input is tokens (G, H, W) or pixels (3, S, S)."""

    def __init__(self, experience: Any, loader: ReplayLoader) -> None:
        self._experience = experience
        ids, raw = loader.ids, loader.raw
        plain = exemplar_dataset(lambda i: raw(ids[i : i + 1])[0], loader.labels.tolist())
        self.dataset = as_taskaware_classification_dataset(plain)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._experience, name)


def show_raw(learner: Learner) -> None:
    """Give the experience of a learner raw samples, and leave replay to the plugin."""
    assert isinstance(learner.loader, ReplayLoader)
    learner.experience = _RawExperience(learner.experience, learner.loader)  # type: ignore[assignment]
    learner.train_mb_size, learner.loader.replay_batch = learner.loader.batch, 0


def accept_raw(learner: Learner) -> None:
    """Have the model, and copies that plugins make of it, take raw samples too, and give logits of the classes seen alone."""
    model: Any = learner.model
    if model._forward_pre_hooks:
        return

    def augmented(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        inputs = args[0]
        return (
            inputs if inputs.is_floating_point() else learner.augment(inputs, None, train=False),
        )

    def seen(_: Any, args: tuple[Tensor], logits: Tensor) -> Tensor:
        return logits[:, : learner.seen] if learner.grow_head else logits

    model.register_forward_pre_hook(augmented)
    model.register_forward_hook(seen)
