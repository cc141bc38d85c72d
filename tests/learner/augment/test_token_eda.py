"""Token-EDA: synonyms and swaps, and their shares of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.generators import generator
from helpers.numbers import drawn
from helpers.token_grids import codebook, codes_of, grid
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.tokens import TokenAugment, TokenAugmentConstants


def eda(module: TokenAugment, tokens: Tensor, seed: int = 0) -> Tensor:
    """Codes (B, G, S, S) after Token-EDA with numbers drawn from this seed."""
    numbers = drawn(module, tokens, generator(seed))
    rows = module.eda(module.rows(tokens), numbers)
    return codes_of(module, rows)


@pytest.mark.parametrize("groups", [1, 2])
def test_synonyms_replace_a_quarter_of_the_tokens_of_a_quarter_of_the_images(groups: int) -> None:
    tokens = grid(3000, groups, 16)
    module = TokenAugment(codebook(groups), "sum", TokenAugmentOptions(swap_p=0.0))
    augmented = eda(module, tokens)
    changed = augmented != tokens
    assert abs(float(changed.float().mean()) - 0.0625) < 0.006
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.03
    assert abs(float(changed[touched].float().mean()) - 0.25) < 0.01
    for g in range(groups):
        before = tokens[:, g][changed[:, g]].long()
        after = augmented[:, g][changed[:, g]]
        synonyms = module.synonyms[g * 50 + before, :5] - g * 50
        ranks = (synonyms == after[:, None]).float()
        assert bool((ranks.sum(1) == 1).all())
        torch.testing.assert_close(ranks.mean(0), torch.full((5,), 0.2), atol=0.02, rtol=0)


def test_a_swap_exchanges_two_squares() -> None:
    tokens = torch.arange(32 * 32, dtype=torch.int16).view(1, 1, 32, 32).expand(2000, 2, 32, 32)
    module = TokenAugment(
        torch.randn(2, 1024, 2, generator=generator()), "sum", TokenAugmentOptions(synonym_p=0.0)
    )
    augmented = eda(module, tokens)
    assert torch.equal(augmented.flatten(2).sort(2).values, tokens.flatten(2).long())
    changed = (augmented != tokens)[:, 0]
    assert torch.equal(changed, (augmented != tokens)[:, 1])  # a position's codes move together
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.035
    sides = (changed.flatten(1).sum(1)[touched] / 2).sqrt()
    assert torch.equal(sides, sides.round())
    assert sides.min() == 1
    assert sides.max() == 8
    twice = augmented.flatten(2).gather(2, augmented.flatten(2))  # swapping is its own inverse
    assert torch.equal(twice, tokens.flatten(2).long())


@pytest.mark.parametrize("side", [4, 5, 7, 12])
def test_a_swap_fits_grids_of_every_size(side: int) -> None:
    tokens = torch.arange(side * side).view(1, 1, side, side).expand(500, 1, side, side)
    options = TokenAugmentOptions(synonym_p=0.0, swap_p=1.0)
    constants = TokenAugmentConstants(swap_side=1 / 3)
    book = torch.randn(1, 144, 2, generator=generator())
    augmented = eda(TokenAugment(book, "sum", options, constants=constants), tokens)
    assert torch.equal(augmented.flatten(1).sort(1).values, tokens.flatten(1))
    assert bool((augmented != tokens).flatten(1).any(1).all())


def test_an_image_gets_synonyms_or_a_swap_but_never_both() -> None:
    tokens = grid(2000, 1, 16, torch.int64)
    constants = TokenAugmentConstants(token_p=1.0)
    augmented = eda(TokenAugment(codebook(), "sum", constants=constants), tokens)
    changed = (augmented != tokens).flatten(1).float().mean(1)
    assert abs(float((changed == 1).float().mean()) - 0.25) < 0.03
    swapped = (changed > 0) & (changed < 1)
    assert changed[swapped].max() <= 2 * 16 / 256
    assert abs(float(swapped.float().mean()) - 0.25) < 0.03
    assert torch.equal(
        tokens[swapped].flatten(1).sort(1).values, augmented[swapped].flatten(1).sort(1).values
    )
