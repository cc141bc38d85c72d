"""MIR: Aljundi et al., "Online continual learning with maximally interfered retrieval", NeurIPS
2019."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.core.options import NOT_NEGATIVE, POSITIVE, ranged
from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import Exemplars, LearnerView, Memory
from seit_cl.learner.search_space import LogUniform, searched
from seit_cl.learner.strategy import Strategy, StrategyContext


@dataclass(frozen=True)
class Options:
    """The authors' ratio of candidates to exemplars, and their rate for Permuted MNIST.

    The authors choose 10 exemplars of 50 (er_main.py) and train and try with SGD at 0.05, for
    Split CIFAR-10 at 0.1 (Scripts/ER_experiments.sh). AdamW's rate does not measure a step along
    the gradient, so the virtual step has its own.
    """

    factor: float = ranged(5.0, POSITIVE)  # candidates for each exemplar that is replayed; above 1
    candidates: int = ranged(0, NOT_NEGATIVE)  # their number; 0: factor times --replay-batch
    rate: float = searched(0.05, LogUniform(0.005, 0.5), POSITIVE)  # of the virtual step


class MaximallyInterfered(Strategy):
    """Replay the candidates whose loss a step on the fresh samples alone would raise most.

    A step costs another forward and backward pass of the fresh samples, and two forward passes of
    the candidates.

    Raises:
        UserError: no more candidates than a step replays, which would be `er` at a higher cost.
    """

    paper = "Aljundi et al., NeurIPS 2019"
    several_ranks = True
    fill = "during"  # the paper's algorithm 1; the authors' code replays earlier tasks alone
    Options = Options

    def __init__(self, options: Any, context: StrategyContext) -> None:
        super().__init__(options, context)
        count = context.replay_batch
        self.candidates = options.candidates or round(options.factor * count)
        if count and self.candidates <= count:
            given = f"candidates={options.candidates}"
            if not options.candidates:
                given = f"factor={options.factor:g}"
            raise UserError(
                f"mir:{given}: {self.candidates} candidates for --replay-batch {count} leave "
                f"nothing to choose, as in er; set a factor of 2 or more, or use er"
            )

    def before_sampling(
        self,
        fresh: Batch,
        memory: Memory,
        count: int,
        generator: torch.Generator,
        learner: LearnerView,
    ) -> Exemplars:
        """Return the `count` candidates whose loss the virtual step raises most.

        While the memory holds at most `count` exemplars, they are drawn uniformly.
        """
        candidates = min(self.candidates, len(memory))
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
