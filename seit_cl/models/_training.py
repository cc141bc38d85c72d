"""The part of a network that is trained; the rest is frozen (--train)."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from seit_cl.core.errors import UserError
from seit_cl.models import TrainedPart

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def freeze(network: nn.Module, part: TrainedPart, model: str) -> None:
    """Freeze all of a network but its head and the given part.

    Args:
        network: a `seit_cl.models.Network`; changed in place.
        part: trained besides the head.
        model: its spec, for messages.

    Raises:
        UserError: more blocks than the network has.
    """
    if part.kind == "all":
        return
    names: set[str] = set()
    if part.kind == "norm":
        names = norm_weights(network)
    elif part.kind == "last":
        names = last_blocks(network, part.blocks, model)
    for name, weight in network.named_parameters():
        weight.requires_grad_(name.startswith("head.") or name in names)


def norm_weights(network: nn.Module) -> set[str]:
    """Names of the weights of all normalisation layers."""
    names = set()
    for prefix, module in network.named_modules():
        if isinstance(module, NORMS):
            names |= {f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)}
    return names


def last_blocks(network: nn.Module, count: int, model: str) -> set[str]:
    """Names of the weights of a network's last blocks, and of everything that follows them.

    Raises:
        UserError: more blocks than the network has.
    """
    blocks = block_names(network)
    if count > len(blocks):
        raise UserError(
            f"--train last:{count}: --model {model} has {len(blocks)} blocks; use last:N with a "
            "smaller N, or all"
        )
    names = [name for name, _ in network.named_parameters()]
    first = next(i for i, name in enumerate(names) if name.startswith(f"{blocks[-count]}."))
    return set(names[first:])


def block_names(network: nn.Module) -> list[str]:
    """Names of a network's blocks in the order in which they are registered.

    A block is a numbered module with weights, as in nn.Sequential and nn.ModuleList, that is in no
    other numbered module: blocks.0 of a ViT, layer1.0 of a ResNet, stages.0 of a ConvNeXt.
    """
    found: list[str] = []
    for name, module in network.named_modules():
        inside = found and name.startswith(f"{found[-1]}.")
        is_numbered = name.rpartition(".")[2].isdigit()
        if is_numbered and not inside and any(True for _ in module.parameters()):
            found.append(name)
    return found
