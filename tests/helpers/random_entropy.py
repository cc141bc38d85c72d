"""An EntropyModel of random weights: any of them codes without loss, as well as it happens to foretell."""

import torch
from torch import Tensor

from seit_cl.formats.entropy.model import NEIGHBOURS, EntropyModel


def random_model(
    codes: int, seed: int = 0, groups: int = 3, width: int = 16, tokenizer: str = "random"
) -> EntropyModel:
    generator = torch.Generator().manual_seed(seed)

    def numbers(most: int, *shape: int) -> Tensor:
        return torch.randint(-most, most + 1, shape, generator=generator)

    small = {
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
        **{name: numbers(127, *shape).to(torch.int8) for name, shape in small.items()},
        **{name: numbers(5000, size).int() for name, size in biases.items()},
    )
