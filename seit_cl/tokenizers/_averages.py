"""Lightning checkpoints of SEED-Voken, whose moving averages stand beside the weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.tokenizers._published import (
    Autoencoder,
    PublishedTokenizer,
    State,
    open_checkpoint,
    published,
)

PREFIX = "model_ema."
COUNTERS = ("decay", "num_updates")
LOSS = "loss"  # averages of the discriminator's weights begin with it
IGNORED = ("loss.",)  # discriminator and perceptual network


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


def published_averages(
    kind: str,
    source: str,
    state: State,
    fit: Callable[[str, State], Autoencoder],
    card: dict[str, str] | None = None,
) -> PublishedTokenizer:
    """Make the tokenizer of a checkpoint's tensors, with moving averages or without.

    Args:
        kind, source, state, fit, card: as for `published`.

    Raises:
        UserError: averages that do not fit the weights, or weights that do not fit the kind.
    """
    weights, note = averaged(source, state)
    return published(kind, source, weights, fit, {**(card or {}), **note})


def open_averages(
    source: str, from_state: Callable[[str, State, dict[str, str]], PublishedTokenizer]
) -> PublishedTokenizer:
    """Open a checkpoint file as a tokenizer, without its discriminator.

    Args:
        source: the file.
        from_state: makes the tokenizer: (file name, tensors, card) -> tokenizer.

    Raises:
        UserError: the file cannot be read, or its tensors do not fit.
    """
    return open_checkpoint(source, IGNORED, from_state)
