"""Losses that several strategies share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distillation(logits: Tensor, old: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of softened predictions from the old model's (Hinton et al., 2015), a mean over samples.

    Without the factor temperature^2 that some add: the papers of LwF and WA have none.

    Args:
        logits: (B, C) now; those of the first C_old classes are held.
        old: (B, C_old) of the old model.
        temperature: divides both.
    """
    now = (logits[:, : old.shape[1]] / temperature).log_softmax(1)
    return F.kl_div(now, (old / temperature).log_softmax(1), reduction="batchmean", log_target=True)
