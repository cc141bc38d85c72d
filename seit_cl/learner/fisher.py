"""The diagonal of the empirical Fisher information of a learner's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from seit_cl.core.devices import to_device
from seit_cl.learner.interfaces import LearnerView

MAX_GRADIENT_BYTES = 256_000_000  # of the per-sample gradients computed at once


def diagonal_fisher(learner: LearnerView, samples: int) -> dict[str, Tensor]:
    """Mean over samples of the squared gradient of log p(label | sample), by trained weight's name.

    Gradients are per sample: the squared mean gradient of a batch, which some libraries use, is
    another and smaller quantity.

    Args:
        learner: gives the model and the experience's fresh samples, which are not augmented.
        samples: number of samples, spread evenly over the experience; 0: all.
    """
    count = learner.fresh_count
    rows = torch.arange(count)
    if 0 < samples < count:
        rows = torch.arange(samples) * count // samples
    model = copy.deepcopy(learner.model).eval()  # a deep copy is never a compiled model
    weights = trained_weights(model)

    def loss(weights: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, (sample[None],))
        if learner.grow_head:
            logits = logits[:, : learner.classes_seen]
        return F.cross_entropy(logits.float(), label[None])

    sample_gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    fisher = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    weight_bytes = sum(weight.nbytes for weight in weights.values())
    batch = max(1, MAX_GRADIENT_BYTES // weight_bytes)
    for raw, labels in learner.fresh_samples(rows, batch):
        inputs = learner.augment(to_device(raw, learner.device))
        # vmap has no rule for the fused attention kernels.
        with sdpa_kernel(SDPBackend.MATH):
            gradients = sample_gradients(weights, inputs, to_device(labels, learner.device))
        for name, gradient in gradients.items():
            fisher[name] += gradient.square().sum(0) / len(rows)
    return fisher


def trained_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that are trained, without gradients, by name; frozen ones are left out."""
    weights = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weights[name] = weight.detach()
    return weights
