"""The diagonal of the empirical Fisher information of a learner's weights."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from seit_cl.core.devices import to_device
from seit_cl.learner.batches import ReplayLoader

if TYPE_CHECKING:
    from seit_cl.learner.learner import Learner

_ROOM = 256_000_000  # bytes of the gradients that are held at once


def diagonal_fisher(learner: Learner, samples: int) -> dict[str, Tensor]:
    """Mean over samples of the squared gradient of log p(label | sample), for every weight by name.

    A batch's squared mean gradient, which some libraries take, is another and smaller thing; so these are one sample's each.

    Args:
        learner: its loader gives the experience's fresh samples; unaugmented.
        samples: how many, spread evenly over the experience; 0: all.
    """
    loader = learner.loader
    assert isinstance(loader, ReplayLoader), (
        "a strategy that trains on exemplars alone has no fresh samples"
    )
    count = len(loader.ids)
    chosen = (
        torch.arange(count) if not 0 < samples < count else torch.arange(samples) * count // samples
    )
    model = copy.deepcopy(learner.model).eval()  # a copy is never a compiled one
    weights = {name: w.detach() for name, w in model.named_parameters()}

    def loss(weights: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(model, weights, (sample[None],))
        seen = logits[:, : learner.seen] if learner.grow_head else logits
        return F.cross_entropy(seen.float(), label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    fisher = {name: torch.zeros_like(w) for name, w in weights.items()}
    chunk = max(1, _ROOM // sum(w.nbytes for w in weights.values()))
    for part in chosen.split(chunk):
        inputs = learner.augment(
            to_device(loader.raw(loader.ids[part]), learner.device), None, train=False
        )
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no form for samples one by one
            found = gradients(weights, inputs, to_device(loader.labels[part], learner.device))
        for name, gradient in found.items():
            fisher[name] += gradient.square().sum(0) / len(chosen)
    return fisher
