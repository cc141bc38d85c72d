"""Token augmentation: equivalences, rates, switches."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

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


def gen(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def codebook(groups: int = 1, codes: int = 50, dim: int = 8) -> torch.Tensor:
    return 3.0 * torch.randn(groups, codes, dim, generator=gen(11)) + torch.randn(
        groups, 1, dim, generator=gen(12)
    )


def grid(
    batch: int = 6, groups: int = 1, side: int = 32, dtype: torch.dtype = torch.int16
) -> torch.Tensor:
    return torch.randint(0, 50, (batch, groups, side, side), generator=gen(13), dtype=dtype)


def test_token_rrc_equals_one_hot_interpolation() -> None:
    tokens = grid()
    options = TokenAugmentOptions(synonym_p=0, swap_p=0, noise_p=0, token_rrc=0.08)
    module = TokenAugment(codebook(), "concat", options)
    got = module(tokens, gen(1))
    boxes = random_resized_boxes(6, gen_after_choice(6), (0.08, 1.0))
    maps = F.one_hot(tokens[:, 0].long(), 50).permute(0, 3, 1, 2).float()
    for i, (x0, y0, w, h) in enumerate((boxes * 32).tolist()):
        whole = [round(v) for v in (x0, y0, w, h)]
        box = torch.tensor([[v / 32 for v in whole]])
        a, b, c, d = whole
        small = F.interpolate(
            maps[i : i + 1, :, b : b + d, a : a + c], (28, 28), mode="bicubic", align_corners=False
        )
        want = torch.einsum("bkhw,kd->bdhw", small, module.table)
        torch.testing.assert_close(
            crop_resize(module.embed(tokens[i : i + 1]), box, 28), want, atol=1e-4, rtol=1e-4
        )
    want = torch.einsum("bkhw,kd->bdhw", crop_resize(maps, boxes, 28), module.table)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def gen_after_choice(batch: int) -> torch.Generator:
    """The generator of seed 1 after EDA's one draw per image."""
    draws = gen(1)
    torch.rand(batch, generator=draws)
    return draws


@pytest.mark.parametrize(("combine", "dim"), [("sum", 8), ("concat", 24)])
def test_embed_and_unit_variance(combine: Combine, dim: int) -> None:
    book = codebook(3)
    tokens = grid(40, 3)
    module = TokenAugment(book, combine)
    got = module.embed(tokens)
    parts = [book[g][tokens[:, g].long()] for g in range(3)]  # (B, H, W, D)
    raw = torch.stack(parts).sum(0) if combine == "sum" else torch.cat(parts, -1)
    torch.testing.assert_close(
        got, ((raw - module.mean) / module.std).permute(0, 3, 1, 2), atol=1e-4, rtol=1e-4
    )
    assert got.shape == (40, dim, 32, 32)
    assert module.dim == dim
    assert got.dtype == torch.float32
    assert abs(float(got.mean())) < 0.05
    assert abs(float(got.var()) - 1.0) < 0.05


def test_nearest_codes() -> None:
    book = codebook(2, 37)
    table = nearest_codes(book, 5, chunk=10)
    for g in range(2):
        distance = torch.cdist(book[g], book[g]).fill_diagonal_(torch.inf)
        assert torch.equal(table[g], distance.topk(5, largest=False).indices)
    assert nearest_codes(book[:, :3], 5).shape == (2, 3, 2)
    assert nearest_codes(book[:, :1], 5).shape == (2, 1, 0)


@pytest.mark.parametrize("groups", [1, 2])
def test_synonym_rate_and_membership(groups: int) -> None:
    tokens = grid(3000, groups, 16)
    module = TokenAugment(codebook(groups), "sum", TokenAugmentOptions(swap_p=0.0))
    out = module.eda(tokens, gen())
    changed = out != tokens
    assert abs(float(changed.float().mean()) - 0.0625) < 0.006
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.03
    assert abs(float(changed[touched].float().mean()) - 0.25) < 0.01
    for g in range(groups):
        before = tokens[:, g][changed[:, g]].long()
        after = out[:, g][changed[:, g]].long()
        ranks = (module.synonyms[g, before] == after[:, None]).float()
        assert bool((ranks.sum(1) == 1).all())
        torch.testing.assert_close(ranks.mean(0), torch.full((5,), 0.2), atol=0.02, rtol=0)


def test_swap_permutes_two_squares() -> None:
    tokens = torch.arange(32 * 32, dtype=torch.int16).view(1, 1, 32, 32).expand(2000, 2, 32, 32)
    module = TokenAugment(
        torch.randn(2, 1024, 2, generator=gen()), "sum", TokenAugmentOptions(synonym_p=0.0)
    )
    out = module.eda(tokens, gen())
    assert torch.equal(out.flatten(2).sort(2).values, tokens.flatten(2))
    changed = (out != tokens)[:, 0]
    assert torch.equal(changed, (out != tokens)[:, 1])  # a position's codes move together
    touched = changed.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.25) < 0.035
    sides = (changed.flatten(1).sum(1)[touched] / 2).sqrt()
    assert torch.equal(sides, sides.round())
    assert sides.min() == 1
    assert sides.max() == 8
    twice = out.flatten(2).gather(2, out.flatten(2).long())  # swapping is its own inverse
    assert torch.equal(twice, tokens.flatten(2))


@pytest.mark.parametrize("side", [4, 5, 7, 12])
def test_swap_always_finds_room(side: int) -> None:
    tokens = torch.arange(side * side).view(1, 1, side, side).expand(500, 1, side, side)
    options = TokenAugmentOptions(synonym_p=0.0, swap_p=1.0)
    constants = TokenAugmentConstants(swap_side=1 / 3)
    book = torch.randn(1, 144, 2, generator=gen())
    out = TokenAugment(book, "sum", options, constants=constants).eda(tokens, gen())
    assert torch.equal(out.flatten(1).sort(1).values, tokens.flatten(1))
    assert bool((out != tokens).flatten(1).any(1).all())


def test_eda_is_exclusive() -> None:
    tokens = grid(2000, 1, 16)
    out = TokenAugment(codebook(), "sum", constants=TokenAugmentConstants(token_p=1.0)).eda(
        tokens, gen()
    )
    changed = (out != tokens).flatten(1).float().mean(1)
    assert abs(float((changed == 1).float().mean()) - 0.25) < 0.03
    swapped = (changed > 0) & (changed < 1)
    assert changed[swapped].max() <= 2 * 16 / 256
    assert abs(float(swapped.float().mean()) - 0.25) < 0.03
    assert torch.equal(
        tokens[swapped].flatten(1).sort(1).values, out[swapped].flatten(1).sort(1).values
    )


def test_noise_statistics() -> None:
    module = TokenAugment(
        codebook(),
        "sum",
        constants=TokenAugmentConstants(noise_channel_std=0.3, noise_element_std=0.2),
    )
    zeros = torch.zeros(2000, 8, 10, 10)
    out = module.noise(zeros, gen())
    touched = out.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.5) < 0.04
    noisy = out[touched]
    assert abs(float(noisy.mean())) < 0.02
    assert abs(float(noisy.mean((2, 3)).std()) - (0.3**2 + 0.2**2 / 100) ** 0.5) < 0.01
    assert abs(float((noisy - noisy.mean((2, 3), keepdim=True)).std()) - 0.2) < 0.005
    assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_shapes_dtypes_seeds(dtype: torch.dtype, combine: Combine) -> None:
    module = TokenAugment(codebook(2), combine)
    tokens = grid(6, 2, 32, dtype)
    eda = module.eda(tokens, gen())
    y = module(tokens, gen())
    assert eda.shape == tokens.shape
    assert eda.dtype == dtype
    assert y.shape == (6, module.dim, 28, 28)
    assert y.dtype == torch.float32
    assert y.is_contiguous()
    assert torch.equal(y, module(tokens, gen()))
    assert not torch.equal(y, module(tokens, gen(1)))


def test_off_is_identity_and_eval_the_centre() -> None:
    module = TokenAugment(codebook(), "concat", OFF)
    tokens = grid()
    assert torch.equal(module.eda(tokens, gen()), tokens)
    inputs = module.embed(tokens)
    assert torch.equal(module.noise(inputs, gen()), inputs)
    assert torch.equal(module(tokens, gen()), inputs[..., 2:30, 2:30])
    assert torch.equal(module(tokens, train=False), inputs[..., 2:30, 2:30])


@pytest.mark.parametrize(
    "change", [{"synonym_p": 0.0}, {"swap_p": 0.0}, {"token_rrc": 1.0}, {"noise_p": 0.0}]
)
def test_each_option_alone_can_be_off(change: dict[str, float]) -> None:
    module = TokenAugment(codebook(), "concat", TokenAugmentOptions(**change))
    assert torch.isfinite(module(grid(), gen())).all()


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
    assert torch.isfinite(module(grid(), gen())).all()


def test_tiny_grids_and_codebooks() -> None:
    module = TokenAugment(torch.ones(1, 1, 4), "sum", crop=2)
    assert torch.equal(
        module.embed(torch.zeros(3, 1, 2, 2, dtype=torch.int16)), torch.zeros(3, 4, 2, 2)
    )
    assert module(torch.zeros(3, 1, 2, 2, dtype=torch.int16), gen()).shape == (3, 4, 2, 2)
    assert module(torch.zeros(0, 1, 2, 2, dtype=torch.int16), gen()).shape == (0, 4, 2, 2)


def test_errors() -> None:
    module = TokenAugment(codebook(), "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook()[0], "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook(), "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        module(grid())
    with pytest.raises(ValueError):
        module(grid(groups=2), gen())
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
def test_cuda() -> None:
    tokens = grid(64, 2)
    on_cpu = TokenAugment(codebook(2), "concat")
    module = TokenAugment(codebook(2), "concat").cuda()
    cuda_tokens = tokens.cuda()
    torch.testing.assert_close(module(cuda_tokens, train=False).cpu(), on_cpu(tokens, train=False))
    y = module(cuda_tokens, gen(0, "cuda"))
    assert y.is_cuda
    assert torch.equal(y, module(cuda_tokens, gen(0, "cuda")))
    torch.cuda.set_sync_debug_mode("error")
    try:
        module(cuda_tokens, gen(0, "cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")


MIRROR = torch.arange(50).roll(25)[None]
FLIPS = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, token_rrc=1.0, noise_p=0.0, flip_p=0.5)


def test_a_flip_mirrors_grid_and_codes_of_about_that_share_of_images() -> None:
    tokens = grid(200)
    out = TokenAugment(codebook(), "sum", FLIPS, 28, MIRROR).flip(tokens, gen(3))
    mirrored = ((tokens + 25) % 50).flip(-1)
    flipped = (out == mirrored).flatten(1).all(1)
    assert torch.equal(flipped, ~(out == tokens).flatten(1).all(1))
    assert 70 < int(flipped.sum()) < 130
    assert out.dtype == tokens.dtype


def test_every_group_has_its_own_mirror_images() -> None:
    tokens = grid(20, 2)
    mirrors = torch.stack([torch.arange(50).roll(25), torch.arange(49, -1, -1)])
    options = TokenAugmentOptions(flip_p=1.0)
    out = TokenAugment(codebook(2), "concat", options, 28, mirrors).flip(tokens, gen(3))
    assert torch.equal(out[:, 0], ((tokens[:, 0] + 25) % 50).flip(-1))
    assert torch.equal(out[:, 1], (49 - tokens[:, 1]).flip(-1))


@pytest.mark.parametrize(("mirror", "options"), [(None, FLIPS), (MIRROR, OFF)])
def test_without_mirror_images_or_at_probability_0_nothing_flips(
    mirror: torch.Tensor | None, options: TokenAugmentOptions
) -> None:
    module = TokenAugment(codebook(), "sum", options, 28, mirror)
    draws = gen(3)
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
    got = module(tokens, gen(1))
    boxes = random_resized_boxes(6, gen_after_choice(6), (0.08, 1.0))
    maps = F.one_hot(tokens.long(), 50).permute(1, 0, 4, 2, 3).float()  # (G, B, K, H, W)
    books = module.table.view(2, 50, 8)
    parts = [
        torch.einsum("bkhw,kd->bdhw", crop_resize(maps[g], boxes, 28), books[g]) for g in range(2)
    ]
    want = parts[0] + parts[1] if combine == "sum" else torch.cat(parts, 1)
    assert got.shape == (6, dim, 28, 28)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


def test_residual_codes_of_falling_size_keep_their_proportions_and_unit_variance() -> None:
    book = codebook(3) * torch.tensor([1.0, 0.3, 0.1])[:, None, None]
    module = TokenAugment(book, "sum", OFF)
    got = module.embed(grid(60, 3))
    assert abs(float(got.mean())) < 0.05
    assert abs(float(got.var()) - 1.0) < 0.05
    sizes = module.table.view(3, 50, 8).var(1).mean(1).sqrt()
    torch.testing.assert_close(
        sizes / sizes[0], book.var(1).mean(1).sqrt() / book[0].var(0).mean().sqrt()
    )
