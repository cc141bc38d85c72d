"""MIR: Aljundi et al., "Online continual learning with maximally interfered retrieval", NeurIPS
2019."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import Exemplars, LearnerView, Memory
from seit_cl.learner.search_space import LogUniform, searched
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Options:
    """The paper's number of candidates and rate of SGD (recalled).

    AdamW's rate does not measure a step along the gradient, so the virtual step has its own.
    """

    candidates: int = 50  # exemplars drawn to choose from
    rate: float = searched(0.05, LogUniform(0.005, 0.5))  # of the virtual step


class MaximallyInterfered(Strategy):
    """Replay the candidates whose loss a step on the fresh samples alone would raise most.

    A step costs another forward and backward pass of the fresh samples, and two forward passes of
    the candidates.
    """

    paper = "Aljundi et al., NeurIPS 2019"
    fill = "during"  # the paper's algorithm 1; the authors' code replays earlier tasks alone
    Options = Options

    def before_sampling(
        self,
        fresh: Batch,
        memory: Memory,
        count: int,
        generator: torch.Generator,
        learner: LearnerView,
    ) -> Exemplars:
        """Return the `count` candidates whose loss the virtual step raises most.

        With at most `count` candidates, exemplars are drawn uniformly.
        """
        candidates = min(max(self.options.candidates, count), len(memory))
        if candidates <= count:
            return super().before_sampling(fresh, memory, count, generator, learner)
        drawn = memory.sample(candidates, generator)
        inputs = learner.augment(drawn.inputs.to(learner.device))
        labels = drawn.labels.to(learner.device)
        precision = learner.optimisation.precision
        virtual = copy_of_model(learner)
        with torch.no_grad():
            before = learner.logits(inputs, virtual, precision)
            loss_before = F.cross_entropy(before, labels, reduction="none")
        self.virtual_step(virtual, fresh, learner)
        with torch.no_grad():
            after = learner.logits(inputs, virtual, precision)
            loss_after = F.cross_entropy(after, labels, reduction="none")
        chosen = (loss_after - loss_before).topk(count).indices
        return drawn[chosen.to(drawn.inputs.device)]

    def virtual_step(self, model: Any, fresh: Batch, learner: LearnerView) -> None:
        """Take a step of SGD on the fresh samples, with clipped gradients.

        Args:
            model: changed in place.
            fresh: the step's fresh samples.
            learner: gives precision and clipping.
        """
        logits = learner.logits(fresh.inputs, model, learner.optimisation.precision)
        self.cross_entropy(fresh.forwarded(logits)).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), learner.optimisation.clip)
        torch.optim.SGD(model.parameters(), self.options.rate).step()

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Mean cross-entropy of all samples of the step, as in ER."""
        return self.mean_cross_entropy(fresh, replay)


def copy_of_model(learner: LearnerView) -> Any:
    """A copy of the learner's model, so that trying changes no running statistics of the model."""
    model: Any = copy.deepcopy(learner.model)
    model.zero_grad()  # the copy includes the last step's gradients
    return model


STRATEGY = MaximallyInterfered
