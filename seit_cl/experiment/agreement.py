"""Runs in several processes: what may be divided among them, and whether they still agree."""

from __future__ import annotations

import torch
from timm.layers import DropBlock2d, DropPath, PatchDropout
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.digests import digest
from seit_cl.core.errors import UserError
from seit_cl.core.rng import Generators
from seit_cl.learner.learner import Learner
from seit_cl.learner.modes import set_training
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer

# Modules that draw random numbers in training, and the attribute with their probability.
DROPPING = {_DropoutNd: "p", DropPath: "drop_prob", PatchDropout: "prob", DropBlock2d: "drop_prob"}


def check_strategy(config: RunConfig, strategy: Strategy) -> None:
    """Check that a strategy computes the same in every process.

    Raises:
        UserError: it does not declare so.
    """
    if strategy.several_ranks:
        return
    able = []
    for name in plugins.names("strategy"):
        if plugins.load("strategy", name).several_ranks:
            able.append(name)
    raise UserError(
        f"torchrun: --strategy {config.strategy} does not divide its steps among processes; use "
        f"{', '.join(sorted(able))}, or one process"
    )


def check_network(config: RunConfig, network: nn.Module) -> None:
    """Check that a network's outputs for a sample do not depend on who else is in its batch.

    Args:
        config: names the model.
        network: as for training; its mode is changed.

    Raises:
        UserError: it normalises over the samples of a step, or draws random numbers.
    """
    set_training(network)
    for module in network.modules():
        if isinstance(module, _BatchNorm) and module.training:
            raise UserError(
                f"torchrun: --model {config.model} normalises over all samples of a step, which "
                "processes divide among them; use a ViT such as micro, tiny, small or base, --train"
                " head, or one process"
            )
        name = next((name for kind, name in DROPPING.items() if isinstance(module, kind)), "")
        if name and getattr(module, name):
            raise UserError(
                f"torchrun: --model {config.model} drops parts of the network at random, each "
                "process others; set its dropout rates to 0, or use one process"
            )


def state_digests(
    learner: Learner, memory: ByteBudgetBuffer | None, generators: Generators
) -> dict[str, str]:
    """Digests of everything that has to be the same in all processes of a run.

    Args:
        learner: has the weights.
        memory: the replay memory, or None.
        generators: of the run.
    """
    weights = [_bytes_of(tensor) for tensor in learner.model.state_dict().values()]
    states = [_bytes_of(state) for state in generators.state_dict().values()]
    digests = {} if memory is None else {"the memory": memory.digest()}
    digests["the model"] = digest(*weights)
    digests["the state of the random numbers"] = digest(*states)
    return digests


def _bytes_of(tensor: Tensor) -> memoryview:
    """The bytes of a tensor."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
