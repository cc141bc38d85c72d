"""A-GEM: Chaudhry et al., "Efficient lifelong learning with A-GEM", ICLR 2019."""

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy


class AveragedGEM(Strategy):
    """Train on fresh samples only, along a gradient that does not raise the exemplars' loss.

    The gradient is projected before it is clipped and before AdamW scales it; the paper uses plain
    SGD.
    """

    paper = "Chaudhry et al., ICLR 2019"
    several_ranks = True
    forward_replay = False
    capturable = True

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy of the fresh samples."""
        return self.cross_entropy(fresh).mean()

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: LearnerView) -> None:
        """Project the fresh samples' gradient g with the exemplars' gradient r (equation 11).

        The result is g - (g . r / r . r) r where g . r < 0.
        """
        if replay is None:
            return
        weights = [weight for weight in learner.model.parameters() if weight.grad is not None]
        logits = learner.logits(replay.inputs, learner.model, learner.optimisation.precision)
        replay_loss = self.cross_entropy(replay.forwarded(logits)).mean()
        reference_parts = torch.autograd.grad(replay_loss, weights, materialize_grads=True)
        reference = torch.cat([part.flatten() for part in reference_parts])
        gradient = torch.cat([weight.grad.flatten() for weight in weights])
        squared_norm = (reference @ reference).clamp_min(torch.finfo(reference.dtype).tiny)
        share = (gradient @ reference).clamp_max(0.0) / squared_norm
        for weight, part in zip(weights, reference_parts, strict=True):
            weight.grad -= share * part


STRATEGY = AveragedGEM
