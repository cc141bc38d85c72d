"""Adapters for Avalanche's plugins: raw samples, a model that takes them, and the run's memory."""

from __future__ import annotations

from typing import Any

from avalanche.benchmarks.utils import as_taskaware_classification_dataset
from avalanche.training.storage_policy import ExemplarsBuffer
from torch import Tensor

from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.loaders import ReplayLoader
from seit_cl.memory.avalanche import exemplar_dataset


class SharedMemory(ExemplarsBuffer):
    """The run's memory as a plugin's storage policy; the plugin only reads, the run fills it."""

    def __init__(self) -> None:
        super().__init__(0)
        self._learner: LearnerView | None = None

    def follow(self, learner: LearnerView) -> None:
        """Show the memory of a learner from now on."""
        self._learner = learner

    @property
    def buffer(self) -> Any:
        """An AvalancheDataset of the exemplars, or an empty list."""
        memory: Any = None if self._learner is None else self._learner.memory
        return [] if memory is None or len(memory) == 0 else memory.buffer

    @buffer.setter
    def buffer(self, new_buffer: Any) -> None:
        raise TypeError("a memory metered in bytes is filled by offer, not by assignment")

    def update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run offers the experience itself."""

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Do nothing: the run offers the experience itself."""

    def resize(self, strategy: Any, new_size: int) -> None:
        """Do nothing: the size is the budget's."""


class RawExperience:
    """An Avalanche experience with raw samples: tokens (G, H, W) or pixels (3, S, S).

    Args:
        experience: Avalanche's own; every other attribute is read from it.
        loader: gives the raw samples.
    """

    def __init__(self, experience: Any, loader: ReplayLoader) -> None:
        self._experience = experience

        def sample(position: int) -> Tensor:
            return loader.raw(loader.ids[position : position + 1])[0]

        dataset = exemplar_dataset(sample, loader.labels.tolist())
        self.dataset = as_taskaware_classification_dataset(dataset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._experience, name)


def accept_raw_samples(learner: LearnerView) -> None:
    """Have the model take raw samples too, and give logits of the classes seen only.

    Forward hooks do it, so that copies of the model made by plugins behave alike.
    """
    model = learner.model
    if model._forward_pre_hooks:
        return

    def augment_raw(_: Any, args: tuple[Tensor]) -> tuple[Tensor]:
        inputs = args[0]
        if not inputs.is_floating_point():
            inputs = learner.augment(inputs)
        return (inputs,)

    def cut_logits(_: Any, args: tuple[Tensor], logits: Tensor) -> Tensor:
        return logits[:, : learner.classes_seen] if learner.grow_head else logits

    model.register_forward_pre_hook(augment_raw)
    model.register_forward_hook(cut_logits)
