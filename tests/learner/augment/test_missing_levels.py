"""Token grids that lack their last levels, as exemplars do that a memory has cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.generators import generator
from helpers.numbers import drawn
from helpers.token_grids import codebook, grid
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.token_tables import Combine
from seit_cl.learner.augment.tokens import MISSING, TokenAugment

OFF = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, flip_p=0.0, token_rrc=1.0, noise_p=0.0)
MIRROR = torch.arange(50).roll(25).repeat(3, 1)


def cut(tokens: torch.Tensor, levels: int) -> torch.Tensor:
    """Grids whose codes beyond some levels are missing."""
    tokens = tokens.clone()
    tokens[:, levels:] = MISSING
    return tokens


@pytest.mark.parametrize("levels", [1, 2])
def test_an_embedding_is_the_sum_of_the_levels_that_are_there(levels: int) -> None:
    book, tokens = codebook(3), grid(6, 3)
    module = TokenAugment(book, "sum")
    centred = book - book.mean(dim=(1, 2), keepdim=True)
    parts = [centred[g][tokens[:, g].long()] for g in range(levels)]
    expected = (torch.stack(parts).sum(0) / module.std).permute(0, 3, 1, 2)
    torch.testing.assert_close(module.embed(cut(tokens, levels)), expected, atol=1e-5, rtol=1e-5)


def test_missing_codes_side_by_side_leave_zeros() -> None:
    module = TokenAugment(codebook(3), "concat")
    whole, part = (module.embed(tokens) for tokens in (grid(4, 3), cut(grid(4, 3), 1)))
    assert torch.equal(part[:, :8], whole[:, :8])
    assert not part[:, 8:].any()


@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_augmentation_leaves_missing_codes_missing(combine: Combine) -> None:
    options = replace(OFF, synonym_p=0.5, swap_p=0.5, flip_p=0.5)
    module = TokenAugment(codebook(3), combine, options, mirror=MIRROR)
    tokens = cut(grid(40, 3), 2)
    numbers = drawn(module, tokens, generator())
    rows = module.eda(module.flip(module.rows(tokens), numbers), numbers)
    assert (rows[:, 2] == module.missing_row).all()
    assert (rows[:, :2] != module.missing_row).all()
    mirrored = module.mirrored(tokens)
    assert mirrored is not None
    assert torch.equal(mirrored[:, 2], tokens[:, 2])
    assert (mirrored[:, :2] >= 0).all()


def test_levels_drop_with_their_probability_and_the_first_never() -> None:
    options = replace(OFF, level_drop_p=0.6)
    module = TokenAugment(codebook(3), "sum", options)
    tokens = grid(2000, 3)[:, :, :2, :2]
    rows = module.rows(tokens)
    kept = module.drop_levels(rows, drawn(module, tokens, generator()))
    counts = (kept != module.missing_row).all((2, 3)).sum(1)
    shares = [float((counts == levels).float().mean()) for levels in (1, 2, 3)]
    assert shares == pytest.approx([0.3, 0.3, 0.4], abs=0.05)
    stays = kept != module.missing_row
    assert torch.equal(kept[stays], rows[stays])
    assert stays[:, 0].all()


def test_one_code_a_position_has_no_levels_to_drop() -> None:
    module = TokenAugment(codebook(1), "sum", replace(OFF, level_drop_p=1.0))
    assert "levels" not in module.layout(grid(1, 1).shape[1:]).uniform
