"""A-GEM: averaged gradient episodic memory (Chaudhry et al., "Efficient lifelong learning with A-GEM", ICLR 2019)."""

import torch
from torch import Tensor

from seit_cl.learner.batches import Batch
from seit_cl.learner.strategy import Strategy


class AveragedGEM(Strategy):
    """Exemplars are not trained on: a step that would raise their loss is turned until it does not.

    The projection is of the gradient, before it is clipped and before AdamW scales it; the paper's plain SGD takes it as it is.
    """

    paper = "Chaudhry et al., ICLR 2019"
    replay_apart = True

    def loss(self, fresh: Batch, replay: Batch | None) -> Tensor:
        """Cross-entropy of the fresh samples."""
        return self.cross_entropy(fresh).mean()

    def after_backward(self, fresh: Batch, replay: Batch | None) -> None:
        """g - (g . r / r . r) r where g . r < 0, of the fresh samples' gradient g and the exemplars' r: equation 11."""
        if replay is None:
            return
        learner = self.learner
        weights = [weight for weight in learner.model.parameters() if weight.grad is not None]
        replay.logits = learner.logits(replay.inputs, learner.optimisation.precision, learner.model)
        parts = torch.autograd.grad(
            self.cross_entropy(replay).mean(), weights, materialize_grads=True
        )
        reference = torch.cat([part.flatten() for part in parts])
        gradient = torch.cat(
            [weight.grad.flatten() for weight in weights if weight.grad is not None]
        )
        share = (gradient @ reference).clamp_max(0.0) / (reference @ reference).clamp_min(
            torch.finfo(reference.dtype).tiny
        )
        for weight, part in zip(weights, parts, strict=True):
            assert weight.grad is not None
            weight.grad -= share * part


STRATEGY = AveragedGEM
