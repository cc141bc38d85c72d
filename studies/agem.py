"""A-GEM with its projection at another place: why `agem` ends above `naive` under AdamW.

    python -m seit_cl.run ... --strategy naive agem studies.agem.Projected:at=step \\
        studies.agem.Projected:at=gradient,shuffle=true

`docs/strategies.md` has the results. A run finds the class from the repository's root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import LearnerView
from seit_cl.learner.strategy import Strategy, StrategyContext

PLACES = ("gradient", "step")


@dataclass(frozen=True)
class Options:
    """The place of the projection."""

    at: str = "gradient"  # gradient: before AdamW, as agem does; step: AdamW's step itself
    shuffle: bool = False  # shuffle what is added, weight by weight: its size without its direction


class Projected(Strategy):
    """Training on fresh samples with a projection of the gradient, or of the optimiser's step.

    Attributes:
        changes: of every step the inner product of its change of the weights and the exemplars'
            gradient, to first order the change of the exemplars' loss; before the projection where
            that is of the step.

    Raises:
        UserError: an unknown place.
    """

    paper = "after Chaudhry et al., ICLR 2019"
    Options = Options
    forward_replay = False

    def __init__(self, options: Any, context: StrategyContext) -> None:
        super().__init__(options, context)
        if options.at not in PLACES:
            raise UserError(f"at={options.at}: unknown place; use {' or '.join(PLACES)}")
        self.changes: list[float] = []
        self._pending: tuple[list[Any], list[Tensor], Tensor] | None = None
        self._hooked: Any = None

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Cross-entropy of the fresh samples."""
        return self.cross_entropy(fresh).mean()

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: Any) -> None:
        """Project the gradient, or remember what the step's projection needs."""
        self._pending = None
        if replay is None:
            return
        weights = [weight for weight in learner.model.parameters() if weight.grad is not None]
        logits = learner.logits(replay.inputs, learner.model, learner.optimisation.precision)
        replay_loss = self.cross_entropy(replay.forwarded(logits)).mean()
        parts = torch.autograd.grad(replay_loss, weights, materialize_grads=True)
        reference = torch.cat([part.flatten() for part in parts])
        if self.options.at == "gradient":
            gradients = [weight.grad for weight in weights]
            self._project(gradients, reference, learner.total_steps)
        self._pending = (weights, [weight.detach().clone() for weight in weights], reference)
        if self._hooked is not learner.optimizer:
            self._hooked = learner.optimizer
            self._hooked.register_step_post_hook(lambda *_: self._after_step(learner.total_steps))

    @torch.no_grad()
    def _after_step(self, seed: int) -> None:
        """Note the change of the exemplars' loss, and project the step where it is projected."""
        if self._pending is None:
            return
        weights, before, reference = self._pending
        changes = [weight - old for weight, old in zip(weights, before, strict=True)]
        flat = torch.cat([change.flatten() for change in changes])
        self.changes.append(float(flat @ reference))
        if self.options.at == "step":
            # An ascent of the exemplars' loss in the weights is a descent along -change.
            steps = [-change for change in changes]
            self._project(steps, reference, seed)
            for weight, old, step in zip(weights, before, steps, strict=True):
                weight.copy_(old - step)

    @torch.no_grad()
    def _project(self, descent: list[Tensor], reference: Tensor, seed: int) -> None:
        """Take the part that would raise the exemplars' loss from a direction of descent, in place.

        Args:
            descent: one tensor a weight: a gradient, or a step with its sign turned.
            reference: (N,), the exemplars' gradient.
            seed: of the shuffling.
        """
        flat = torch.cat([part.flatten() for part in descent])
        share = float((flat @ reference).clamp_max(0.0) / (reference @ reference))
        generator = torch.Generator().manual_seed(seed)
        counts = [part.numel() for part in descent]
        for part, added in zip(descent, reference.split(counts), strict=True):
            if self.options.shuffle:
                order = torch.randperm(len(added), generator=generator)
                added = added[order.to(added.device)]
            part -= share * added.view_as(part)
