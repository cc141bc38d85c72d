"""Augmentation is a pure function of its random numbers, and does with them what it did before."""

import shutil
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers import earlier_augment
from helpers.generators import generator
from helpers.numbers import drawn
from seit_cl.core.rng import Generators
from seit_cl.learner.augment.cutmix import CUTMIX_LAYOUT, cutmix, finish_draws
from seit_cl.learner.augment.draws import BELOW_ONE, Layout
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.learner.batches import BatchMaker, RawStep, Rows
from seit_cl.memory import Exemplars

CPU = torch.device("cpu")
BATCH = 48
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")


def token_parts(groups: int, grid: int) -> tuple[TokenAugment, Tensor, Tensor, Tensor]:
    """An augmentation, its codebook (G, K, D), its mirror (G, K) and tokens (B, G, S, S)."""
    codebook = torch.randn(groups, 40, 6, generator=generator(0))
    mirror = torch.stack([torch.randperm(40, generator=generator(g)) for g in range(groups)])
    crop = grid if grid < 28 else grid * 7 // 8
    module = TokenAugment(codebook, "sum", crop=crop, mirror=mirror)
    tokens = torch.randint(40, (BATCH, groups, grid, grid), generator=generator(1))
    return module, codebook, mirror, tokens


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("groups", "grid"), [(1, 8), (2, 8), (1, 32)])
def test_token_augmentation_does_with_the_same_numbers_what_it_did_before(
    groups: int, grid: int, seed: int
) -> None:
    module, codebook, mirror, tokens = token_parts(groups, grid)
    numbers = drawn(module, tokens, generator(seed))
    expected_tokens, expected = earlier_augment.token_augment(
        module, codebook, mirror, tokens, numbers
    )
    rows = module.eda(module.flip(module.rows(tokens), numbers), numbers)
    assert torch.equal(rows, module.rows(expected_tokens))
    torch.testing.assert_close(module(tokens, numbers), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_pixel_augmentation_does_with_the_same_numbers_what_it_did_before(seed: int) -> None:
    module = PixelAugment(56)
    pixels = torch.randint(256, (BATCH, 3, 64, 64), generator=generator(1)).to(torch.uint8)
    numbers = drawn(module, pixels, generator(seed))
    expected = earlier_augment.pixel_augment(module, pixels, numbers)
    torch.testing.assert_close(module(pixels, numbers), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("alpha", [1.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_cutmix_does_with_the_same_numbers_what_it_did_before(seed: int, alpha: float) -> None:
    inputs = torch.randn(BATCH, 4, 9, 9, generator=generator(2))
    labels = torch.randint(7, (BATCH,), generator=generator(3))
    parts = [(BATCH, generator(seed))]
    draws = CUTMIX_LAYOUT.draw(parts)
    finish_draws(draws, alpha, parts)
    numbers = CUTMIX_LAYOUT.numbers(draws)
    order = numbers["partner"].argsort()
    expected = earlier_augment.cutmix(inputs, labels, 7, order, numbers)
    mixed = cutmix(inputs, labels, 7, 1.0, numbers, [BATCH])
    assert torch.equal(mixed[0], expected[0])
    torch.testing.assert_close(mixed[1], expected[1])


def maker(augment: Any, cutmix_p: float = 0.5) -> BatchMaker:
    return BatchMaker(augment, 10, cutmix_p, 1.0, CPU, Generators(0))


def rows_of(raw: Tensor) -> Rows:
    count = len(raw)
    return Rows(Exemplars(raw, torch.arange(count) % 10, torch.arange(count), {}))


def token_rows() -> tuple[TokenAugment, Rows, Rows]:
    module, _, _, tokens = token_parts(1, 8)
    return module, rows_of(tokens[:20]), rows_of(tokens[20:])


def test_fresh_samples_and_exemplars_are_augmented_together_as_they_are_apart() -> None:
    module, fresh, replay = token_rows()
    make = maker(module)
    draws = make.draws(fresh.inputs.shape[1:], [(len(fresh), False), (len(replay), True)])
    together = make.prepare(RawStep(fresh, replay, draws))
    alone = make.prepare(RawStep(fresh, None, draws.first(len(fresh))))
    assert torch.allclose(together.fresh.inputs, alone.fresh.inputs, atol=1e-6)
    assert together.fresh.targets is not None
    assert alone.fresh.targets is not None
    assert torch.allclose(together.fresh.targets, alone.fresh.targets)


def test_fresh_samples_and_exemplars_have_generators_of_their_own() -> None:
    module, fresh, _ = token_rows()
    shape = fresh.inputs.shape[1:]
    few = maker(module).draws(shape, [(20, False), (4, True)])
    many = maker(module).draws(shape, [(20, False), (28, True)])
    assert torch.equal(few.first(20).uniform, many.first(20).uniform)
    assert torch.equal(few.first(20).normal, many.first(20).normal)
    assert torch.equal(few.uniform[20:], many.uniform[20:24])


def test_the_strategy_s_need_of_unmixed_batches_changes_no_other_number() -> None:
    module, fresh, _ = token_rows()
    shape = fresh.inputs.shape[1:]
    mixed = maker(module, 0.5).draws(shape, [(20, False)])
    unmixed = maker(module, 0.0).draws(shape, [(20, False)])
    assert torch.equal(mixed.uniform, unmixed.uniform)
    assert torch.equal(mixed.normal, unmixed.normal)


@pytest.mark.parametrize(
    ("pixels", "backend", "tolerance"),
    [
        (False, "aot_eager", 1e-5),
        (True, "aot_eager", 1e-5),
        pytest.param(False, "inductor", 1e-4, marks=needs_compiler),
    ],
)
def test_the_pure_part_compiles_without_a_break_and_gives_the_same(
    pixels: bool, backend: str, tolerance: float
) -> None:
    module: Any
    if pixels:
        module = PixelAugment(56)
        raw = torch.randint(256, (48, 3, 64, 64), generator=generator(1)).to(torch.uint8)
        fresh, replay = rows_of(raw[:20]), rows_of(raw[20:])
    else:
        module, fresh, replay = token_rows()
    make = maker(module)
    draws = make.draws(fresh.inputs.shape[1:], [(20, False), (28, True)])
    raw = torch.cat([fresh.inputs, replay.inputs])
    labels = torch.cat([fresh.labels, replay.labels])
    compiled = torch.compile(make.augmented, fullgraph=True, dynamic=False, backend=backend)
    for result, expected in zip(
        compiled(raw, labels, draws, [20, 28], [True, True]),
        make.augmented(raw, labels, draws, [20, 28], [True, True]),
        strict=True,
    ):
        assert result is not None
        torch.testing.assert_close(result, expected, rtol=tolerance, atol=tolerance)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4096), st.integers(0, 2**31))
def test_a_uniform_number_times_n_rounded_down_is_below_n(n: int, seed: int) -> None:
    largest = torch.nextafter(torch.tensor(BELOW_ONE), torch.tensor(0.0))
    assert (largest * n).floor() == n - 1
    draws = Layout({"a": ()}).draw([(64, generator(seed))])
    assert draws.uniform.min() >= 0
    assert draws.uniform.max() < BELOW_ONE


def test_a_layout_s_views_are_parts_of_the_drawn_numbers() -> None:
    layout = Layout({"a": (), "b": (2, 3)}, {"c": (4,)})
    draws = layout.draw([(3, generator(0)), (2, generator(1))])
    numbers = layout.numbers(draws)
    assert {name: tuple(value.shape) for name, value in numbers.items()} == {
        "a": (5,),
        "b": (5, 2, 3),
        "c": (5, 4),
    }
    joined = torch.cat([numbers["a"][:, None], numbers["b"].flatten(1)], dim=1)
    assert torch.equal(joined, draws.uniform)
    assert torch.equal(numbers["c"], draws.normal)
