"""Token augmentation: equivalences, rates, switches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from helpers.generators import generator
from helpers.numbers import drawn, drawn_boxes
from helpers.token_grids import codebook, codes_of, grid
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.crops import crop_resize
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.token_tables import Combine
from seit_cl.learner.augment.tokens import TokenAugment, TokenAugmentConstants

OFF = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, flip_p=0.0, token_rrc=1.0, noise_p=0.0)
MIRROR = torch.arange(50).roll(25)[None]
FLIPS = TokenAugmentOptions(synonym_p=0.0, swap_p=0.0, token_rrc=1.0, noise_p=0.0, flip_p=0.5)


def test_a_random_resized_crop_of_tokens_equals_interpolation_of_one_hot_maps() -> None:
    tokens = grid()
    options = TokenAugmentOptions(synonym_p=0, swap_p=0, noise_p=0, token_rrc=0.08)
    module = TokenAugment(codebook(), "concat", options)
    numbers = drawn(module, tokens, generator(1))
    inputs = module(tokens, numbers)
    boxes = drawn_boxes(numbers, 0.08)
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


def test_noise_has_its_share_of_images_and_its_two_standard_deviations() -> None:
    constants = TokenAugmentConstants(noise_channel_std=0.3, noise_element_std=0.2)
    module = TokenAugment(codebook(), "sum", crop=10, constants=constants)
    zeros = torch.zeros(2000, 10, 10, 8)
    augmented = module.noise(zeros, drawn(module, grid(2000, 1, 10), generator()))
    touched = augmented.flatten(1).any(1)
    assert abs(float(touched.float().mean()) - 0.5) < 0.04
    noisy = augmented[touched]
    assert abs(float(noisy.mean())) < 0.02
    assert abs(float(noisy.mean((1, 2)).std()) - (0.3**2 + 0.2**2 / 100) ** 0.5) < 0.01
    assert abs(float((noisy - noisy.mean((1, 2), keepdim=True)).std()) - 0.2) < 0.005
    assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize("dtype", [torch.int16, torch.int32, torch.int64])
@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_shapes_and_dtypes_are_as_declared_and_the_seed_decides(
    dtype: torch.dtype, combine: Combine
) -> None:
    module = TokenAugment(codebook(2), combine)
    tokens = grid(6, 2, 32, dtype)
    rows = module.rows(tokens)
    numbers = drawn(module, tokens, generator())
    augmented_rows = module.eda(rows, numbers)
    y = module(tokens, numbers)
    assert rows.shape == tokens.shape
    assert rows.dtype == torch.int64
    assert augmented_rows.shape == tokens.shape
    assert augmented_rows.dtype == torch.int64
    assert torch.equal(codes_of(module, rows), tokens.long())
    assert y.shape == (6, module.dim, 28, 28)
    assert y.dtype == torch.float32
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert module(tokens).is_contiguous()
    assert torch.equal(y, module(tokens, drawn(module, tokens, generator())))
    assert not torch.equal(y, module(tokens, drawn(module, tokens, generator(1))))


def test_training_with_every_augmentation_off_is_the_centre_like_evaluation() -> None:
    module = TokenAugment(codebook(), "concat", OFF)
    tokens = grid()
    numbers = drawn(module, tokens, generator())
    rows = module.rows(tokens)
    assert torch.equal(module.eda(rows, numbers), rows)
    inputs = module.embed(tokens)
    by_position = inputs.permute(0, 2, 3, 1)
    assert torch.equal(module.noise(by_position, numbers), by_position)
    assert torch.equal(module(tokens, numbers), inputs[..., 2:30, 2:30])
    assert torch.equal(module(tokens), inputs[..., 2:30, 2:30])


@pytest.mark.parametrize(
    "change", [{"synonym_p": 0.0}, {"swap_p": 0.0}, {"token_rrc": 1.0}, {"noise_p": 0.0}]
)
def test_each_option_alone_can_be_off(change: dict[str, float]) -> None:
    module = TokenAugment(codebook(), "concat", TokenAugmentOptions(**change))
    assert torch.isfinite(module(grid(), drawn(module, grid(), generator()))).all()


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
    assert torch.isfinite(module(grid(), drawn(module, grid(), generator()))).all()


def test_tiny_grids_codebooks_and_empty_batches_are_augmented() -> None:
    module = TokenAugment(torch.ones(1, 1, 4), "sum", crop=2)
    tiny = torch.zeros(3, 1, 2, 2, dtype=torch.int16)
    assert torch.equal(module.embed(tiny), torch.zeros(3, 4, 2, 2))
    assert module(tiny, drawn(module, tiny, generator())).shape == (3, 4, 2, 2)
    empty = tiny[:0]
    assert module(empty, drawn(module, empty, generator())).shape == (0, 4, 2, 2)


def test_an_empty_batch_gets_every_augmentation() -> None:
    module = TokenAugment(codebook(2), "sum", mirror=MIRROR.expand(2, 50))
    empty = grid(0, 2)
    assert module(empty).shape == (0, 8, 28, 28)
    assert module(empty, drawn(module, empty, generator())).shape == (0, 8, 28, 28)


def test_invalid_arguments_are_refused() -> None:
    module = TokenAugment(codebook(), "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook()[0], "sum")
    with pytest.raises(ValueError):
        TokenAugment(codebook(), "mean")  # type: ignore[arg-type]
    numbers = drawn(module, grid(), generator())
    wrong = [grid(groups=2), grid()[..., :30], grid()[:, 0], grid(side=257), grid().float()]
    for tokens in wrong:
        with pytest.raises(ValueError):
            module(tokens, numbers)
        with pytest.raises(ValueError):
            module(tokens)
        with pytest.raises(ValueError):
            module.embed(tokens)
    with pytest.raises(ValueError):
        module(grid(side=16))
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
    mirror = MIRROR.expand(2, 50)
    on_cpu = TokenAugment(codebook(2), "concat", mirror=mirror)
    module = TokenAugment(codebook(2), "concat", mirror=mirror).cuda()
    cuda_tokens = tokens.cuda()
    torch.testing.assert_close(module(cuda_tokens).cpu(), on_cpu(tokens))
    numbers = drawn(module, cuda_tokens, generator(0, "cuda"))
    y = module(cuda_tokens, numbers)
    assert y.is_cuda
    assert torch.equal(y, module(cuda_tokens, drawn(module, cuda_tokens, generator(0, "cuda"))))
    copied = {name: values.cpu() for name, values in numbers.items()}
    torch.testing.assert_close(y.cpu(), on_cpu(tokens, copied), atol=1e-3, rtol=1e-3)
    draws_from = generator(0, "cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        module(cuda_tokens, drawn(module, cuda_tokens, draws_from))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def flip(module: TokenAugment, tokens: torch.Tensor) -> torch.Tensor:
    """Codes (B, G, S, S) after flips with numbers drawn from seed 3."""
    numbers = drawn(module, tokens, generator(3))
    return codes_of(module, module.flip(module.rows(tokens), numbers))


def test_a_flip_mirrors_grid_and_codes_of_about_that_share_of_images() -> None:
    tokens = grid(200)
    augmented = flip(TokenAugment(codebook(), "sum", FLIPS, 28, MIRROR), tokens)
    mirrored = ((tokens + 25) % 50).flip(-1)
    flipped = (augmented == mirrored).flatten(1).all(1)
    assert torch.equal(flipped, ~(augmented == tokens).flatten(1).all(1))
    assert 70 < int(flipped.sum()) < 130


def test_every_group_has_its_own_mirror_images() -> None:
    tokens = grid(20, 2, dtype=torch.int64)
    mirrors = torch.stack([torch.arange(50).roll(25), torch.arange(49, -1, -1)])
    options = TokenAugmentOptions(flip_p=1.0)
    augmented = flip(TokenAugment(codebook(2), "concat", options, 28, mirrors), tokens)
    assert torch.equal(augmented[:, 0], ((tokens[:, 0] + 25) % 50).flip(-1))
    assert torch.equal(augmented[:, 1], (49 - tokens[:, 1]).flip(-1))


@pytest.mark.parametrize("groups", [1, 2])
def test_token_grids_are_mirrored_on_request_as_a_flip_mirrors_them(groups: int) -> None:
    tokens = grid(groups=groups)
    mirror = torch.stack([torch.arange(50).roll(1 + g) for g in range(groups)])
    always = replace(FLIPS, flip_p=1.0)
    module = TokenAugment(codebook(groups), "sum", always, crop=32, mirror=mirror)
    mirrored = module.mirrored(tokens)
    assert mirrored is not None
    assert mirrored.dtype == tokens.dtype
    flipped = module(tokens, drawn(module, tokens, generator(1)))
    torch.testing.assert_close(module(mirrored), flipped)


def test_no_token_grid_is_mirrored_where_training_mirrors_none() -> None:
    assert TokenAugment(codebook(), "sum", OFF, mirror=MIRROR).mirrored(grid()) is None
    assert TokenAugment(codebook(), "sum", FLIPS).mirrored(grid()) is None


@pytest.mark.parametrize(("mirror", "options"), [(None, FLIPS), (MIRROR, OFF)])
def test_without_mirror_images_or_at_probability_0_nothing_flips_and_no_number_is_drawn(
    mirror: torch.Tensor | None, options: TokenAugmentOptions
) -> None:
    module = TokenAugment(codebook(), "sum", options, 28, mirror)
    tokens = grid(dtype=torch.int64)
    assert torch.equal(flip(module, tokens), tokens)
    assert "flip" not in module.layout(tokens.shape[1:]).uniform


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
    numbers = drawn(module, tokens, generator(1))
    inputs = module(tokens, numbers)
    boxes = drawn_boxes(numbers, 0.08)
    maps = F.one_hot(tokens.long(), 50).permute(1, 0, 4, 2, 3).float()  # (G, B, K, H, W)
    books = module.table[: module.missing_row].view(2, 50, 8)
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
    sizes = module.table[:-1].view(3, 50, 8).var(1).mean(1).sqrt()
    expected = book.var(1).mean(1).sqrt() / book[0].var(0).mean().sqrt()
    torch.testing.assert_close(sizes / sizes[0], expected)


def test_a_sequence_keeps_its_order_and_has_synonyms_and_noise_alone() -> None:
    options = TokenAugmentOptions(synonym_p=0.5, swap_p=0.5, token_rrc=0.5, noise_p=1.0)
    module = TokenAugment(codebook(), "concat", options, crop=12, sequence=True)
    layout = module.layout(torch.Size((1, 1, 12)))
    assert set(layout.uniform) == {"eda", "synonyms", "noise"}
    assert layout.normal == {"channels": (1, 1, 8), "elements": (1, 12, 8)}
    tokens = torch.randint(0, 50, (40, 1, 1, 12), generator=generator(0))
    inputs = module(tokens, drawn(module, tokens, generator(1)))
    assert inputs.shape == (40, 8, 1, 12)
    quiet = TokenAugment(codebook(), "concat", replace(options, noise_p=0.0), 12, sequence=True)
    changed = (quiet(tokens, drawn(quiet, tokens, generator(1))) != quiet.embed(tokens)).any(1)
    assert 0.05 < changed.float().mean() < 0.25  # half of the images, a quarter of their tokens
    assert torch.equal(quiet(tokens), quiet.embed(tokens))


def test_a_grid_is_no_sequence_and_a_sequence_no_grid() -> None:
    with pytest.raises(ValueError, match=r"\(B, 1, 1, S\)"):
        TokenAugment(codebook(), "sum", crop=32, sequence=True)(grid())
    with pytest.raises(ValueError, match=r"\(B, 1, S, S\)"):
        TokenAugment(codebook(), "sum", crop=12)(torch.zeros(2, 1, 1, 12, dtype=torch.int16))
