"""MIR: maximally interfered retrieval (Aljundi et al., "Online continual learning with maximally interfered retrieval",
NeurIPS 2019)."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.learner.batches import Batch
from seit_cl.learner.interfaces import Memory
from seit_cl.learner.strategy import Strategy


@dataclass(frozen=True)
class Options:
    """The paper's number of candidates and rate of SGD (recalled); AdamW's rate is no measure of a step along the gradient."""

    candidates: int = 50  # exemplars drawn to choose from
    rate: float = 0.05  # of the virtual step


class MaximallyInterfered(Strategy):
    """Replays those of some candidates whose loss a step on the fresh samples alone would raise most.

    A step costs a forward and backward pass of the fresh samples more, and two forward passes of the candidates.
    """

    paper = "Aljundi et al., NeurIPS 2019"
    Options = Options

    def before_sampling(
        self, fresh: Batch, memory: Memory, count: int, generator: torch.Generator
    ) -> Any:
        """The `count` candidates of largest L(virtual step) - L(now); drawn uniformly where there are no more than that."""
        candidates = min(max(self.options.candidates, count), len(memory))
        if candidates <= count:
            return super().before_sampling(fresh, memory, count, generator)
        drawn, learner = memory.sample(candidates, generator), self.learner
        inputs = learner.augment(drawn.inputs.to(learner.device), None, train=False)
        labels, virtual = drawn.labels.to(learner.device), self.stepped(fresh)
        with torch.no_grad():
            after, now = (
                F.cross_entropy(self.forward(inputs, model), labels, reduction="none")
                for model in (virtual, None)
            )
        return drawn[(after - now).topk(count).indices.to(drawn.inputs.device)]

    def stepped(self, fresh: Batch) -> Any:
        """A copy of the model after a step of SGD on the fresh samples; the gradient is clipped as in every step."""
        model: Any = copy.deepcopy(self.learner.model)
        model.zero_grad()  # a copy comes with the last step's gradients
        fresh.logits = self.forward(fresh.inputs, model)
        self.cross_entropy(fresh).mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), self.learner.optimisation.clip)
        torch.optim.SGD(model.parameters(), self.options.rate).step()
        return model

    def forward(self, inputs: Tensor, model: Any) -> Tensor:
        """Logits of a model, the learner's where it is None."""
        return self.learner.logits(
            inputs, self.learner.optimisation.precision, model or self.learner.model.forward
        )

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Mean cross-entropy of all samples of the step, as in ER."""
        return torch.cat(
            [self.cross_entropy(batch) for batch in (fresh, replay) if batch is not None]
        ).mean()


STRATEGY = MaximallyInterfered
