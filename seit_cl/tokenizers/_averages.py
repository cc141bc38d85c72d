"""Moving averages of weights in Lightning checkpoints, which stand beside the weights."""

from __future__ import annotations

from torch import Tensor

from seit_cl.core.errors import UserError

PREFIX = "model_ema."
COUNTERS = ("decay", "num_updates")
LOSS = "loss"  # averages of the discriminator's weights begin with it


def averaged(source: str, state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Put the moving average of each weight in its place, where a checkpoint has averages.

    The average of "a.b.weight" is named "model_ema.abweight", as latent-diffusion's LitEma does.

    Args:
        source: the file, for messages.
        state: tensors by name.

    Returns:
        Tensors under the names of the weights, and an entry of the model card.

    Raises:
        UserError: naming a weight without an average, or an average without a weight.
    """
    averages = {}
    plain = {}
    for name, tensor in state.items():
        if name.startswith(PREFIX):
            averages[name.removeprefix(PREFIX)] = tensor
        else:
            plain[name] = tensor
    if not averages:
        return plain, {}
    result = {}
    for name in plain:
        short = name.replace(".", "")
        if short not in averages:
            raise UserError(
                f"{source}: has moving averages of weights, but none of {name}; give the whole "
                "checkpoint"
            )
        result[name] = averages.pop(short)
    for short in averages:
        if short not in COUNTERS and not short.startswith(LOSS):
            raise UserError(f"{source}: {PREFIX}{short} is an average of no weight in the file")
    return result, {"weights": "moving averages"}
