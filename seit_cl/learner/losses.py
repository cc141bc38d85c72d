"""Losses that several strategies share."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def distillation(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence from the teacher's softened predictions, a mean over samples.

    After Hinton et al. (2015), without the factor temperature^2 that some libraries add: the papers
    of LwF and WA have none.

    Args:
        logits: (B, C) of the learner; only the teacher's classes are used.
        teacher_logits: (B, C_teacher), C_teacher <= C.
        temperature: divides both.
    """
    classes = teacher_logits.shape[1]
    student = (logits[:, :classes] / temperature).log_softmax(1)
    teacher = (teacher_logits / temperature).log_softmax(1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)
