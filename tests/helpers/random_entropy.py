"""An EntropyModel of random weights: it codes any grid without loss, but predicts nothing."""

import torch
from torch import Tensor

from seit_cl.formats.entropy.columns import EARLIER, NEIGHBOURS
from seit_cl.formats.entropy.compact import CompactModel
from seit_cl.formats.entropy.model import EntropyModel, joined


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
    return joined(parts)


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
    compact = _random_compact(codes, seed, known, length)
    return EntropyModel(tokenizer, **tensors, compact=compact)


def _random_compact(codes: int, seed: int, known: int, length: int) -> CompactModel:
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    size, width = 5, 8

    def numbers(limit: int, *shape: int) -> Tensor:
        return torch.randint(-limit, limit + 1, shape, generator=generator)

    return CompactModel(
        vectors=numbers(127, codes, size).to(torch.int8),
        border=numbers(127, size).to(torch.int8),
        first=numbers(127, width, size * (len(NEIGHBOURS) + known)).to(torch.int8),
        first_bias=numbers(5000, *([length] if length else []), width).int(),
        second=numbers(127, width, width).to(torch.int8),
        second_bias=numbers(5000, width).int(),
        out=numbers(127, size, width).to(torch.int8),
        out_bias=numbers(5000, size).int(),
        frequencies=numbers(127, codes).to(torch.int8),
    )
