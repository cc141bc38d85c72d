"""CutMix: pasted areas and label masses agree, and parts stay apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.generators import generator
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.cutmix import CUTMIX_LAYOUT, cutmix, finish_draws
from seit_cl.learner.augment.settings import CutMixOptions


def marked(batch: int, side: int = 16, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Inputs whose every value is the sample's own label, all labels distinct."""
    labels = torch.arange(batch, device=device)
    inputs = labels.float()[:, None, None, None].expand(batch, 3, side, side)
    return inputs.contiguous(), labels


def cutmix_numbers(
    parts: list[int], alpha: float, draws_from: torch.Generator
) -> dict[str, Tensor]:
    """CutMix's random numbers for parts of these numbers of samples, all from one generator."""
    with_generators = [(count, draws_from) for count in parts]
    draws = CUTMIX_LAYOUT.draw(with_generators)
    finish_draws(draws, alpha, with_generators)
    return CUTMIX_LAYOUT.numbers(draws)


def mix(
    inputs: Tensor, labels: Tensor, alpha: float, draws_from: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix a single part for certain, with as many classes as samples."""
    count = len(inputs)
    numbers = cutmix_numbers([count], alpha, draws_from)
    return cutmix(inputs, labels, count, 1.0, numbers, [count])


def areas_of_labels(mixed: Tensor, labels: int) -> Tensor:
    """The share (B, K) of each image's pixels that has each label as its value."""
    shares = [(mixed[:, 0] == label).float().mean((1, 2)) for label in range(labels)]
    return torch.stack(shares, dim=1)


@pytest.mark.parametrize("alpha", [1.0, 0.3, 2.0])
def test_the_target_of_a_label_is_the_area_of_its_pixels(alpha: float) -> None:
    inputs, labels = marked(64)
    mixed, targets = mix(inputs, labels, alpha, generator())
    torch.testing.assert_close(targets, areas_of_labels(mixed, 64), atol=1e-6, rtol=0)
    torch.testing.assert_close(targets.sum(1), torch.ones(64))
    assert mixed.shape == inputs.shape
    assert mixed.dtype == inputs.dtype
    assert targets.dtype == torch.float32


@pytest.mark.parametrize("side", [12, 11])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_pasted_region_is_one_box_of_the_partner_at_the_same_place(
    side: int, memory_format: torch.memory_format
) -> None:
    inputs = torch.randn(32, 2, side, side, generator=generator(5))
    inputs = inputs.contiguous(memory_format=memory_format)
    mixed, targets = mix(inputs, torch.arange(32), 1.0, generator(1))
    for i in range(32):
        changed = (mixed[i] != inputs[i]).all(0)
        rows = changed.any(1)
        columns = changed.any(0)
        assert int(changed.sum()) == int(rows.sum()) * int(columns.sum())
        if changed.any():
            partner = int(targets[i].masked_fill(torch.arange(32) == i, 0).argmax())
            assert torch.equal(mixed[i][:, changed], inputs[partner][:, changed])


def test_the_mean_pasted_area_is_that_of_a_uniform_lambda() -> None:
    inputs, labels = marked(1, 64)
    inputs = inputs.expand(4000, 3, 64, 64)[:, :1]
    labels = torch.arange(4000)
    _, targets = mix(inputs, labels, 1.0, generator())
    pasted = 1 - targets.diagonal()
    # E[cut area] for a uniform lambda is 1/2, less a part that is clipped at the edges. With
    # s = sqrt(1 - lambda) of a side, a clipped side is s - s * s / 4 on average, so
    # E = E[(s - s^2 / 4)^2] = 1/2 - 1/5 + 1/48.
    assert abs(float(pasted.mean()) - (1 / 2 - 1 / 5 + 1 / 48)) < 0.02


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_lambda_has_the_moments_of_its_beta_distribution(alpha: float) -> None:
    share = cutmix_numbers([20_000], alpha, generator())["share"]
    assert bool((share >= 0).all())
    assert bool((share <= 1).all())
    assert abs(float(share.mean()) - 0.5) < 0.01
    assert abs(float(share.var()) - 1 / (4 * (2 * alpha + 1))) < 0.005


def test_alpha_changes_lambda_and_no_other_number() -> None:
    uniform = cutmix_numbers([64], 1.0, generator())
    beta = cutmix_numbers([64], 0.5, generator())
    assert not torch.equal(uniform.pop("share"), beta.pop("share"))
    for name, values in uniform.items():
        assert torch.equal(values, beta[name])


def test_lambdas_of_a_part_come_from_its_own_generator() -> None:
    shares = []
    for others in (8, 40):
        parts = [(16, generator(1)), (others, generator(2))]
        draws = CUTMIX_LAYOUT.draw(parts)
        finish_draws(draws, 0.5, parts)
        shares.append(CUTMIX_LAYOUT.numbers(draws)["share"])
    few, many = shares
    assert torch.equal(few[:16], many[:16])


def test_a_single_sample_has_no_partner_and_stays_as_it_is() -> None:
    inputs, labels = marked(1)
    mixed, targets = mix(inputs, labels, 1.0, generator())
    assert torch.equal(mixed, inputs)
    assert targets.item() == 1.0


def test_a_tiny_alpha_gives_finite_targets() -> None:
    inputs, labels = marked(256)
    _, targets = mix(inputs, labels, 1e-3, generator())
    assert torch.isfinite(targets).all()


def test_the_same_seed_mixes_the_same() -> None:
    inputs, labels = marked(256)
    first = mix(inputs, labels, 0.5, generator(7))
    second = mix(inputs, labels, 0.5, generator(7))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_two_parts_never_mix_with_one_another(alpha: float) -> None:
    inputs, labels = marked(64)
    in_first = labels < 20
    is_foreign = in_first[:, None] != in_first
    for seed in range(20):
        numbers = cutmix_numbers([20, 44], alpha, generator(seed))
        mixed, targets = cutmix(inputs, labels, 64, 1.0, numbers, [20, 44])
        assert not areas_of_labels(mixed, 64)[is_foreign].any()
        assert not targets[is_foreign].any()
        is_changed = (mixed != inputs).flatten(1).any(1)
        assert bool(is_changed[in_first].any())
        assert bool(is_changed[~in_first].any())


def test_a_part_is_mixed_as_a_whole_with_the_given_probability_and_apart_from_the_other() -> None:
    inputs, labels = marked(14, 8)
    one_hot = torch.eye(14)
    parts = [6, 8]
    draws_from = generator()
    was_mixed = []
    for _ in range(2000):
        numbers = cutmix_numbers(parts, 1.0, draws_from)
        mixed, targets = cutmix(inputs, labels, 14, 0.3, numbers, parts)
        certainly_mixed, certain_targets = cutmix(inputs, labels, 14, 1.0, numbers, parts)
        for rows in (slice(0, 6), slice(6, 14)):
            is_mixed = not torch.equal(mixed[rows], inputs[rows])
            was_mixed.append(is_mixed)
            expected = certainly_mixed if is_mixed else inputs
            expected_targets = certain_targets if is_mixed else one_hot
            assert torch.equal(mixed[rows], expected[rows])
            assert torch.equal(targets[rows], expected_targets[rows])
    first, second = torch.tensor(was_mixed).view(2000, 2).unbind(1)
    assert abs(float(first.float().mean()) - 0.3) < 0.04
    assert abs(float(second.float().mean()) - 0.3) < 0.04
    assert abs(float((first & second).float().mean()) - 0.09) < 0.03


def test_at_probability_0_inputs_stay_as_they_are_and_targets_are_one_hot() -> None:
    inputs, labels = marked(64)
    numbers = cutmix_numbers([64], 1.0, generator())
    mixed, targets = cutmix(inputs, labels, 64, 0.0, numbers, [64])
    assert torch.equal(mixed, inputs)
    assert torch.equal(targets, torch.eye(64))


@pytest.mark.parametrize("is_mixed", [[True, False], [False, True], [False, False]])
def test_parts_marked_as_unmixed_stay_untouched_and_the_others_mix_as_if_all_were_marked(
    is_mixed: list[bool],
) -> None:
    inputs, labels = marked(64)
    parts = [20, 44]
    numbers = cutmix_numbers(parts, 0.5, generator())
    all_mixed, all_targets = cutmix(inputs, labels, 64, 1.0, numbers, parts, [True, True])
    mixed, targets = cutmix(inputs.clone(), labels, 64, 1.0, numbers, parts, is_mixed)
    for rows, part_is_mixed in zip((slice(0, 20), slice(20, 64)), is_mixed, strict=True):
        expected = all_mixed if part_is_mixed else inputs
        expected_targets = all_targets if part_is_mixed else torch.eye(64)
        assert torch.equal(mixed[rows], expected[rows])
        assert torch.equal(targets[rows], expected_targets[rows])


@pytest.mark.parametrize("is_mixed", [[True, False, True], [True, True, False]])
def test_marks_hold_for_each_of_three_parts(is_mixed: list[bool]) -> None:
    inputs, labels = marked(30)
    parts = [10, 10, 10]
    numbers = cutmix_numbers(parts, 1.0, generator())
    mixed, _ = cutmix(inputs.clone(), labels, 30, 1.0, numbers, parts, is_mixed)
    is_changed = (mixed != inputs).flatten(1).any(1)
    assert is_changed.view(3, 10).any(1).tolist() == is_mixed


def test_the_inputs_given_stay_as_they_are_where_a_part_is_marked_as_unmixed() -> None:
    inputs, labels = marked(30)
    numbers = cutmix_numbers([10, 20], 1.0, generator())
    cutmix(inputs, labels, 30, 1.0, numbers, [10, 20], [False, True])
    assert torch.equal(inputs, marked(30)[0])


def test_invalid_arguments_are_refused() -> None:
    inputs, labels = marked(4)
    with pytest.raises(ValueError):
        mix(inputs, labels[:3], 1.0, generator())
    with pytest.raises(ValueError):
        mix(inputs[0], labels, 1.0, generator())
    with pytest.raises(ValueError):
        mix(inputs[..., :12], labels, 1.0, generator())
    for bad in ({"cutmix_alpha": 0.0}, {"cutmix_p": 1.5}):
        with pytest.raises(UserError):
            CutMixOptions(**bad)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_targets_equal_areas_and_the_seed_decides_on_the_gpu(alpha: float) -> None:
    inputs, labels = marked(64, device="cuda")
    mixed, targets = mix(inputs, labels, alpha, generator(0, "cuda"))
    again, _ = mix(inputs, labels, alpha, generator(0, "cuda"))
    torch.testing.assert_close(targets, areas_of_labels(mixed, 64), atol=1e-6, rtol=0)
    assert torch.equal(mixed, again)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixing_on_the_gpu_equals_the_cpu_and_never_waits() -> None:
    inputs, labels = marked(64)
    numbers = cutmix_numbers([20, 44], 1.0, generator())
    expected = cutmix(inputs, labels, 64, 1.0, numbers, [20, 44])
    on_gpu = {name: values.cuda() for name, values in numbers.items()}
    gpu_inputs, gpu_labels = inputs.cuda(), labels.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        mixed, targets = cutmix(gpu_inputs, gpu_labels, 64, 1.0, on_gpu, [20, 44])
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(mixed.cpu(), expected[0])
    torch.testing.assert_close(targets.cpu(), expected[1])
