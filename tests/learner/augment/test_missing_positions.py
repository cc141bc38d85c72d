"""Token grids that lack positions, as exemplars do of a memory that keeps part of a grid."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.generators import generator
from helpers.numbers import drawn
from helpers.token_grids import codebook, grid
from seit_cl.data.patches import PatchChoice, decode_partial
from seit_cl.learner.augment.cutmix import CUTMIX_LAYOUT, cutmix, finish_draws
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.token_tables import Combine
from seit_cl.learner.augment.tokens import MISSING, TokenAugment

OFF = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, flip_p=0.0, token_rrc=1.0, noise_p=0.0)
MIRROR = torch.arange(50).roll(25)[None]
SIDE = grid(1, 1).shape[-1]


def choice(score: str = "rarity", keep: float = 0.5) -> PatchChoice:
    return PatchChoice(keep, score, (SIDE, SIDE))


def in_part(tokens: torch.Tensor, patches: PatchChoice) -> torch.Tensor:
    """Grids as they come back from a memory that keeps part of them."""
    return tokens.masked_fill(~patches.mask(tokens)[:, None], MISSING)


@pytest.mark.parametrize("combine", ["sum", "concat"])
@pytest.mark.parametrize("groups", [1, 3])
def test_a_missing_position_is_a_zero_vector_and_the_others_are_as_before(
    groups: int, combine: Combine
) -> None:
    patches = choice()
    module = TokenAugment(codebook(groups), combine, patches=patches)
    plain = TokenAugment(codebook(groups), combine)
    tokens = grid(4, groups)
    is_kept = patches.mask(tokens)[:, None]
    assert torch.equal(module.embed(tokens), plain.embed(tokens))
    assert torch.equal(module.embed(in_part(tokens, patches)), plain.embed(tokens) * is_kept)


@pytest.mark.parametrize("groups", [1, 3])
def test_swaps_and_flips_move_missing_positions_and_synonyms_fill_none(groups: int) -> None:
    options = replace(OFF, synonym_p=0.5, swap_p=0.5, flip_p=0.5)
    patches = choice()
    mirror = MIRROR.expand(groups, -1)
    module = TokenAugment(codebook(groups), "sum", options, mirror=mirror, patches=patches)
    tokens = in_part(grid(40, groups), patches)
    numbers = drawn(module, tokens, generator())
    rows = module.eda(module.flip(module.rows(tokens), numbers), numbers)
    is_missing = rows == module.missing_row
    assert torch.equal(is_missing.all(1), is_missing.any(1))
    assert set(is_missing[:, 0].sum((1, 2)).tolist()) == {patches.positions - patches.count}
    mirrored = module.mirrored(tokens)
    assert mirrored is not None
    assert torch.equal(mirrored < 0, (tokens < 0).flip(-1))


@pytest.mark.parametrize("score", ["rarity", "even"])
def test_images_drop_the_positions_that_the_memory_would_and_exemplars_none(score: str) -> None:
    patches = choice(score)
    module = TokenAugment(codebook(1), "sum", replace(OFF, patch_drop_p=0.5), patches=patches)
    whole = grid(120, 1)
    for tokens, share in ((whole, 0.5), (in_part(whole, patches), 0.0)):
        rows = module.rows(tokens)
        dropped = module.drop_patches(tokens, rows, drawn(module, tokens, generator()))
        is_changed = (dropped != rows).any(1).flatten(1).any(1)
        assert float(is_changed.float().mean()) == pytest.approx(share, abs=0.1)
        expected = module.rows(in_part(tokens, patches))
        assert torch.equal(dropped[is_changed], expected[is_changed])


def test_a_batch_of_parts_goes_through_all_augmentations_and_cutmix() -> None:
    patches = choice()
    options = TokenAugmentOptions(patch_drop_p=0.5)
    module = TokenAugment(codebook(1), "sum", options, 28, MIRROR, patches=patches)
    tokens = in_part(grid(16, 1), patches)
    inputs = module(tokens, drawn(module, tokens, generator()))
    assert inputs.shape == (16, module.dim, 28, 28)
    draws = CUTMIX_LAYOUT.draw([(16, generator())])
    finish_draws(draws, 1.0, [(16, generator())])
    labels = torch.arange(16) % 4
    mixed, targets = cutmix(inputs, labels, 4, 1.0, CUTMIX_LAYOUT.numbers(draws), [16])
    assert bool(mixed.isfinite().all())
    assert targets.sum(1).tolist() == pytest.approx([1.0] * 16)


def test_a_position_without_any_code_is_zero_after_every_crop() -> None:
    module = TokenAugment(codebook(1), "sum", replace(OFF, token_rrc=0.3), patches=choice())
    nothing = torch.full((3, 1, SIDE, SIDE), MISSING, dtype=torch.int16)
    assert not module(nothing, drawn(module, nothing, generator())).any()
    assert not module(nothing).any()


def test_decoded_images_are_grey_where_positions_are_missing() -> None:
    tokens = torch.zeros(2, 1, 2, 2, dtype=torch.int16)
    tokens[0, :, 0, 1] = MISSING

    def decode(whole: torch.Tensor) -> torch.Tensor:
        assert int(whole.min()) == 0
        return torch.full((len(whole), 3, 8, 8), 7, dtype=torch.uint8)

    images = decode_partial(decode, tokens)
    assert (images[0, :, :4, 4:] == 128).all()
    assert int((images == 128).sum()) == 3 * 16
