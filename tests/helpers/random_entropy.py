"""An EntropyModel of random weights: it codes any grid without loss, but predicts nothing."""

from dataclasses import replace

import torch
from torch import Tensor

from seit_cl.formats.entropy.columns import EARLIER, NEIGHBOURS
from seit_cl.formats.entropy.model import EntropyModel


def random_model(
    codes: int,
    seed: int = 0,
    groups: int = 3,
    width: int = 16,
    tokenizer: str = "random",
    each: int = 1,
    length: int = 0,
) -> EntropyModel:
    """An EntropyModel of K codes.

    Args:
        codes: K.
        seed: of the weights.
        groups: T of the tables.
        width: M of the network.
        tokenizer: identity.
        each: codes of a position.
        length: tokens of a sequence; 0 for grids.
    """
    parts = [_random_part(codes, seed, groups, width, tokenizer, 0, length)]
    for number in range(1, each):
        part = _random_part(codes, seed + number, groups, width, tokenizer, number, length)
        parts.append(part)
    return replace(parts[0], further=tuple(parts[1:]))


def _random_part(
    codes: int, seed: int, groups: int, width: int, tokenizer: str, number: int, length: int
) -> EntropyModel:
    generator = torch.Generator().manual_seed(seed)
    known = min(number, EARLIER)

    def numbers(limit: int, *shape: int) -> Tensor:
        return torch.randint(-limit, limit + 1, shape, generator=generator)

    weights = {
        "left": (groups, codes),
        "upper": (groups, codes),
        "embedding": (codes + 1, 4),
        "first": (width, 4 * (len(NEIGHBOURS) + known)),
        "second": (width, width),
        "last": (codes, width),
    }
    biases = {"first_bias": width, "second_bias": width, "last_bias": codes}
    pair = (0, 1)
    if known:
        pair = (number % 2, len(NEIGHBOURS))
    if length:
        pair = (0, len(NEIGHBOURS) + known)
    values = max(codes + 1, length)
    tensors = {
        "left_groups": torch.randint(groups, (values,), generator=generator),
        "upper_groups": torch.randint(groups, (values,), generator=generator),
        **{name: numbers(127, *shape).to(torch.int8) for name, shape in weights.items()},
        **{name: numbers(5000, size).int() for name, size in biases.items()},
    }
    if known:
        tensors["earlier"] = numbers(127, known, codes, 4).to(torch.int8)
    if pair != (0, 1):
        tensors["table_pair"] = torch.tensor(pair)
    if length:
        tensors["first_bias"] = numbers(5000, length, width).int()
    return EntropyModel(tokenizer, **tensors)
