"""Token augmentation: equivalences, rates, switches."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from helpers.generators import generator
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.crops import crop_resize, random_resized_boxes
from seit_cl.learner.augment.tokens import (
    Combine,
    TokenAugment,
    TokenAugmentConstants,
    TokenAugmentOptions,
    nearest_codes,
)

OFF = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, flip_p=0.0, token_rrc=1.0, noise_p=0.0)


def codebook(groups: int = 1, codes: int = 50, dim: int = 8) -> torch.Tensor:
    spread = 3.0 * torch.randn(groups, codes, dim, generator=generator(11))
    offset = torch.randn(groups, 1, dim, generator=generator(12))
    return spread + offset


def grid(
    batch: int = 6, groups: int = 1, side: int = 32, dtype: torch.dtype = torch.int16
) -> torch.Tensor:
    return torch.randint(0, 50, (batch, groups, side, side), generator=generator(13), dtype=dtype)


def test_a_random_resized_crop_of_tokens_equals_interpolation_of_one_hot_maps() -> None:
    tokens = grid()
    options = TokenAugmentOptions(synonym_p=0, swap_p=0, noise_p=0, token_rrc=0.08)
    module = TokenAugment(codebook(), "concat", options)
    inputs = module(tokens, generator(1))
    boxes = random_resized_boxes(6, generator_after_choice(6), (0.08, 1.0))
    maps = F.one_hot(tokens[:, 0].long(), 50).permute(0, 3, 1, 2).float()
    for i, (x0, y0, w, h) in enumerate((boxes * 32).tolist()):
        left, top, width, height = (round(value) for value in (x0, y0, w, h))
        box = torch.tensor([[left, top, width, height]]) / 32
        region = maps[i : i + 1, :, top : top + height, left : left + width]
        small = F.interpolate(region, (28, 28), mode="bicubic", align_corners=False)
        expected = torch.einsum("bkhw,kd->bdhw", small, module.table)
        cropped = crop_resize(module.embed(tokens[i : i + 1]), box, 28)
        torch.testing.assert_close(cropped, expected, atol=1e-4, rtol=1e-4)
    expected = torch.einsum("bkhw,kd->bdhw", crop_resize(maps, boxes, 28), module.table)
    torch.testing.assert_close(inputs, expected, atol=1e-4, rtol=1e-4)


def generator_after_choice(batch: int) -> torch.Generator:
    """The generator of seed 1 after EDA's one draw per image."""
    draws = generator(1)
    torch.rand(batch, generator=draws)
    return draws


@pytest.mark.parametrize(("combine", "dim"), [("sum", 8), ("concat", 24)])
def test_embeddings_are_standardised_codes_summed_or_concatenated(
    combine: Combine, dim: int
) -> None:
    book = codebook(3)
    tokens = grid(40, 3)
    module = TokenAugment(book, combine)
    inputs = module.embed(tokens)
    parts = [book[g][tokens[:, g].long()] for g in range(3)]  # (B, H, W, D)
    raw = torch.stack(parts).sum(0) if combine == "sum" else torch.cat(parts, -1)
    standardised = ((raw - module.mean) / module.std).permute(0, 3, 1, 2)
    torch.testing.assert_close(inputs, standardised, atol=1e-4, rtol=1e-4)
    assert inputs.shape == (40, dim, 32, 32)
    assert module.dim == dim
    assert inputs.dtype == torch.float32
    assert abs(float(inputs.mean())) < 0.05
    assert abs(float(inputs.var()) - 1.0) < 0.05


def test_the_nearest_codes_are_those_of_least_distance_without_the_code_itself() -> None:
    book = codebook(2, 37)
    table = nearest_codes(book, 5, chunk=10)
    for g in range(2):
        distance = torch.cdist(book[g], book[g]).fill_diagonal_(torch.inf)
        assert torch.equal(table[g], distance.topk(5, largest=False).indices)
    assert nearest_codes(book[:, :3], 5).shape == (2, 3, 2)
    assert nearest_codes(book[:, :1], 5).shape == (2, 1, 0)


@pytest.mark.parametrize("groups", [1, 2])
def test_synonyms_replace_a_quarter_of_the_tokens_of_a_quarter_of_the_images(groups: int) -> None:
    tokens = grid(3000, groups, 16)
    module = TokenAugment(codebook(groups), "sum", TokenAugmentOptions(swap_p=0.0))
    augmented = module.eda(tokens, generator())
    changed = augmented != tokens
    assert abs(float(changed.float().mean()) - 0.0625) < 0.006
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.03
    assert abs(float(changed[touched].float().mean()) - 0.25) < 0.01
    for g in range(groups):
        before = tokens[:, g][changed[:, g]].long()
        after = augmented[:, g][changed[:, g]].long()
        ranks = (module.synonyms[g, before] == after[:, None]).float()
        assert bool((ranks.sum(1) == 1).all())
        torch.testing.assert_close(ranks.mean(0), torch.full((5,), 0.2), atol=0.02, rtol=0)


def test_a_swap_exchanges_two_squares() -> None:
    tokens = torch.arange(32 * 32, dtype=torch.int16).view(1, 1, 32, 32).expand(2000, 2, 32, 32)
    module = TokenAugment(
        torch.randn(2, 1024, 2, generator=generator()), "sum", TokenAugmentOptions(synonym_p=0.0)
    )
    augmented = module.eda(tokens, generator())
    assert torch.equal(augmented.flatten(2).sort(2).values, tokens.flatten(2))
    changed = (augmented != tokens)[:, 0]
    assert torch.equal(changed, (augmented != tokens)[:, 1])  # a position's codes move together
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.035
    sides = (changed.flatten(1).sum(1)[touched] / 2).sqrt()
    assert torch.equal(sides, sides.round())
    assert sides.min() == 1
    assert sides.max() == 8
    twice = augmented.flatten(2).gather(
        2, augmented.flatten(2).long()
    )  # swapping is its own inverse
    assert torch.equal(twice, tokens.flatten(2))


@pytest.mark.parametrize("side", [4, 5, 7, 12])
def test_a_swap_fits_grids_of_every_size(side: int) -> None:
    tokens = torch.arange(side * side).view(1, 1, side, side).expand(500, 1, side, side)
    options = TokenAugmentOptions(synonym_p=0.0, swap_p=1.0)
    constants = TokenAugmentConstants(swap_side=1 / 3)
    book = torch.randn(1, 144, 2, generator=generator())
    augmented = TokenAugment(book, "sum", options, constants=constants).eda(tokens, generator())
    assert torch.equal(augmented.flatten(1).sort(1).values, tokens.flatten(1))
    assert bool((augmented != tokens).flatten(1).any(1).all())


def test_an_image_gets_synonyms_or_a_swap_but_never_both() -> None:
    tokens = grid(2000, 1, 16)
    augmented = TokenAugment(codebook(), "sum", constants=TokenAugmentConstants(token_p=1.0)).eda(
        tokens, generator()
    )
    changed = (augmented != tokens).flatten(1).float().mean(1)
    assert abs(float((changed == 1).float().mean()) - 0.25) < 0.03
    swapped = (changed > 0) & (changed < 1)
    assert changed[swapped].max() <= 2 * 16 / 256
    assert abs(float(swapped.float().mean()) - 0.25) < 0.03
    assert torch.equal(
        tokens[swapped].flatten(1).sort(1).values, augmented[swapped].flatten(1).sort(1).values
    )


def test_noise_has_its_share_of_images_and_its_two_standard_deviations() -> None:
    module = TokenAugment(
        codebook(),
        "sum",
        constants=TokenAugmentConstants(noise_channel_std=0.3, noise_element_std=0.2),
    )
    zeros = torch.zeros(2000, 8, 10, 10)
    augmented = module.noise(zeros, generator())
    touched = augmented.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.5) < 0.04
    noisy = augmented[touched]
    assert abs(float(noisy.mean())) < 0.02
    assert abs(float(noisy.mean((2, 3)).std()) - (0.3**2 + 0.2**2 / 100) ** 0.5) < 0.01
    assert abs(float((noisy - noisy.mean((2, 3), keepdim=True)).std()) - 0.2) < 0.005
    assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_shapes_and_dtypes_are_as_declared_and_the_seed_decides(
    dtype: torch.dtype, combine: Combine
) -> None:
    module = TokenAugment(codebook(2), combine)
    tokens = grid(6, 2, 32, dtype)
    eda = module.eda(tokens, generator())
    y = module(tokens, generator())
    assert eda.shape == tokens.shape
    assert eda.dtype == dtype
    assert y.shape == (6, module.dim, 28, 28)
    assert y.dtype == torch.float32
    assert y.is_contiguous()
    assert torch.equal(y, module(tokens, generator()))
    assert not torch.equal(y, module(tokens, generator(1)))


def test_training_with_every_augmentation_off_is_the_centre_like_evaluation() -> None:
    module = TokenAugment(codebook(), "concat", OFF)
    tokens = grid()
    assert torch.equal(module.eda(tokens, generator()), tokens)
    inputs = module.embed(tokens)
    assert torch.equal(module.noise(inputs, generator()), inputs)
    assert torch.equal(module(tokens, generator()), inputs[..., 2:30, 2:30])
    assert torch.equal(module(tokens, train=False), inputs[..., 2:30, 2:30])


@pytest.mark.parametrize(
    "change", [{"synonym_p": 0.0}, {"swap_p": 0.0}, {"token_rrc": 1.0}, {"noise_p": 0.0}]
)
def test_each_option_alone_can_be_off(change: dict[str, float]) -> None:
    module = TokenAugment(codebook(), "concat", TokenAugmentOptions(**change))
    assert torch.isfinite(module(grid(), generator())).all()


@pytest.mark.parametrize(
    "change",
    [
        {"token_p": 0.0},
        {"synonyms": 0},
        {"swap_side": 0.0},
        {"noise_channel_std": 0.0},
        {"noise_element_std": 0.0},
    ],
)
def test_each_strength_alone_can_be_zero(change: dict[str, float]) -> None:
    constants = TokenAugmentConstants(**change)  # type: ignore[arg-type]
    module = TokenAugment(codebook(), "concat", constants=constants)
    assert torch.isfinite(module(grid(), generator())).all()


def test_tiny_grids_codebooks_and_empty_batches_are_augmented() -> None:
    module = TokenAugment(torch.ones(1, 1, 4), "sum", crop=2)
    assert torch.equal(
        module.embed(torch.zeros(3, 1, 2, 2, dtype=torch.int16)), torch.zeros(3, 4, 2, 2)
    )
    assert module(torch.zeros(3, 1, 2, 2, dtype=torch.int16), generator()).shape == (3, 4, 2, 2)
    assert module(torch.zeros(0, 1, 2, 2, dtype=torch.int16), generator()).shape == (0, 4, 2, 2)


def test_invalid_arguments_are_refused() -> None:
    module = TokenAugment(codebook(), "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook()[0], "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook(), "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        module(grid())
    with pytest.raises(ValueError):
        module(grid(groups=2), generator())
    with pytest.raises(ValueError):
        module(grid(side=16), train=False)
    for options in ({"noise_p": 2.0}, {"synonym_p": 0.6, "swap_p": 0.6}):
        with pytest.raises(UserError):
            TokenAugmentOptions(**options)
    for constants in ({"swap_side": 0.5}, {"noise_element_std": -1.0}):
        with pytest.raises(ValueError):
            TokenAugmentConstants(**constants)  # type: ignore[arg-type]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_augmentation_on_the_gpu_equals_the_cpu_and_never_waits() -> None:
    tokens = grid(64, 2)
    on_cpu = TokenAugment(codebook(2), "concat")
    module = TokenAugment(codebook(2), "concat").cuda()
    cuda_tokens = tokens.cuda()
    torch.testing.assert_close(module(cuda_tokens, train=False).cpu(), on_cpu(tokens, train=False))
    y = module(cuda_tokens, generator(0, "cuda"))
    assert y.is_cuda
    assert torch.equal(y, module(cuda_tokens, generator(0, "cuda")))
    torch.cuda.set_sync_debug_mode("error")
    try:
        module(cuda_tokens, generator(0, "cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


MIRROR = torch.arange(50).roll(25)[None]
FLIPS = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, token_rrc=1.0, noise_p=0.0, flip_p=0.5)


def test_a_flip_mirrors_grid_and_codes_of_about_that_share_of_images() -> None:
    tokens = grid(200)
    augmented = TokenAugment(codebook(), "sum", FLIPS, 28, MIRROR).flip(tokens, generator(3))
    mirrored = ((tokens + 25) % 50).flip(-1)
    flipped = (augmented == mirrored).flatten(1).all(1)
    assert torch.equal(flipped, ~(augmented == tokens).flatten(1).all(1))
    assert 70 < int(flipped.sum()) < 130
    assert augmented.dtype == tokens.dtype


def test_every_group_has_its_own_mirror_images() -> None:
    tokens = grid(20, 2)
    mirrors = torch.stack([torch.arange(50).roll(25), torch.arange(49, -1, -1)])
    options = TokenAugmentOptions(flip_p=1.0)
    augmented = TokenAugment(codebook(2), "concat", options, 28, mirrors).flip(tokens, generator(3))
    assert torch.equal(augmented[:, 0], ((tokens[:, 0] + 25) % 50).flip(-1))
    assert torch.equal(augmented[:, 1], (49 - tokens[:, 1]).flip(-1))


@pytest.mark.parametrize(("mirror", "options"), [(None, FLIPS), (MIRROR, OFF)])
def test_without_mirror_images_or_at_probability_0_nothing_flips(
    mirror: torch.Tensor | None, options: TokenAugmentOptions
) -> None:
    module = TokenAugment(codebook(), "sum", options, 28, mirror)
    draws = generator(3)
    before = draws.get_state()
    assert module.flip(grid(), draws) is not None
    assert torch.equal(module.flip(grid(), draws), grid())
    assert torch.equal(draws.get_state(), before)


def test_a_mirror_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mirror must have the shape \(G, K\)"):
        TokenAugment(codebook(), "sum", FLIPS, 28, MIRROR[:, :10])


@pytest.mark.parametrize(("combine", "dim"), [("sum", 8), ("concat", 16)])
def test_several_codes_a_position_are_cropped_as_their_embedding(
    combine: Combine, dim: int
) -> None:
    tokens = grid(6, 2)
    options = TokenAugmentOptions(synonym_p=0, swap_p=0, noise_p=0, token_rrc=0.08)
    module = TokenAugment(codebook(2), combine, options)
    inputs = module(tokens, generator(1))
    boxes = random_resized_boxes(6, generator_after_choice(6), (0.08, 1.0))
    maps = F.one_hot(tokens.long(), 50).permute(1, 0, 4, 2, 3).float()  # (G, B, K, H, W)
    books = module.table.view(2, 50, 8)
    parts = []
    for group_maps, book in zip(maps, books, strict=True):
        cropped = crop_resize(group_maps, boxes, 28)
        parts.append(torch.einsum("bkhw,kd->bdhw", cropped, book))
    expected = parts[0] + parts[1] if combine == "sum" else torch.cat(parts, 1)
    assert inputs.shape == (6, dim, 28, 28)
    torch.testing.assert_close(inputs, expected, atol=1e-4, rtol=1e-4)


def test_residual_codes_of_falling_size_keep_their_proportions_and_unit_variance() -> None:
    book = codebook(3) * torch.tensor([1.0, 0.3, 0.1])[:, None, None]
    module = TokenAugment(book, "sum", OFF)
    inputs = module.embed(grid(60, 3))
    assert abs(float(inputs.mean())) < 0.05
    assert abs(float(inputs.var()) - 1.0) < 0.05
    sizes = module.table.view(3, 50, 8).var(1).mean(1).sqrt()
    expected = book.var(1).mean(1).sqrt() / book[0].var(0).mean().sqrt()
    torch.testing.assert_close(sizes / sizes[0], expected)
