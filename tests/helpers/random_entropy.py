"""An EntropyModel of random weights: it codes any grid without loss, but predicts nothing."""

import torch
from torch import Tensor

from seit_cl.formats.entropy.model import NEIGHBOURS, EntropyModel


def random_model(
    codes: int, seed: int = 0, groups: int = 3, width: int = 16, tokenizer: str = "random"
) -> EntropyModel:
    """An EntropyModel of K codes.

    Args:
        codes: K.
        seed: of the weights.
        groups: T of the tables.
        width: M of the network.
        tokenizer: identity.
    """
    generator = torch.Generator().manual_seed(seed)

    def numbers(limit: int, *shape: int) -> Tensor:
        return torch.randint(-limit, limit + 1, shape, generator=generator)

    weights = {
        "left": (groups, codes),
        "upper": (groups, codes),
        "embedding": (codes + 1, 4),
        "first": (width, 4 * len(NEIGHBOURS)),
        "second": (width, width),
        "last": (codes, width),
    }
    biases = {"first_bias": width, "second_bias": width, "last_bias": codes}
    return EntropyModel(
        tokenizer,
        left_groups=torch.randint(groups, (codes + 1,), generator=generator),
        upper_groups=torch.randint(groups, (codes + 1,), generator=generator),
        **{name: numbers(127, *shape).to(torch.int8) for name, shape in weights.items()},
        **{name: numbers(5000, size).int() for name, size in biases.items()},
    )
