"""CutMix: pasted areas and label masses agree."""

from __future__ import annotations

import pytest
import torch

from helpers.generators import generator
from seit_cl.learner.augment.cutmix import cutmix


def marked(batch: int, side: int = 16, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs whose every value is the sample's own label, all labels distinct."""
    labels = torch.arange(batch, device=device)
    inputs = labels.float()[:, None, None, None].expand(batch, 3, side, side)
    return inputs.contiguous(), labels


def areas_of_labels(mixed: torch.Tensor, labels: int) -> torch.Tensor:
    """The share (B, K) of each image's pixels that has each label as its value."""
    shares = [(mixed[:, 0] == label).float().mean((1, 2)) for label in range(labels)]
    return torch.stack(shares, dim=1)


@pytest.mark.parametrize("alpha", [1.0, 0.3, 2.0])
def test_the_target_of_a_label_is_the_area_of_its_pixels(alpha: float) -> None:
    inputs, labels = marked(64)
    mixed, targets = cutmix(inputs, labels, 64, alpha, generator())
    torch.testing.assert_close(targets, areas_of_labels(mixed, 64), atol=1e-6, rtol=0)
    torch.testing.assert_close(targets.sum(1), torch.ones(64))
    assert mixed.shape == inputs.shape
    assert mixed.dtype == inputs.dtype
    assert targets.dtype == torch.float32


def test_the_pasted_region_is_one_box_of_the_partner_at_the_same_place() -> None:
    inputs = torch.randn(32, 2, 12, 10, generator=generator(5))
    mixed, targets = cutmix(inputs, torch.arange(32), 32, 1.0, generator(1))
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
    _, targets = cutmix(inputs, labels, 4000, 1.0, generator())
    pasted = 1 - targets.diagonal()
    # E[cut area] for a uniform lambda is 1/2, less a part that is clipped at the edges. With
    # s = sqrt(1 - lambda) of a side, a clipped side is s - s * s / 4 on average, so
    # E = E[(s - s^2 / 4)^2] = 1/2 - 1/5 + 1/48.
    assert abs(float(pasted.mean()) - (1 / 2 - 1 / 5 + 1 / 48)) < 0.02


def test_a_single_sample_has_no_partner_and_stays_as_it_is() -> None:
    inputs, labels = marked(1)
    mixed, targets = cutmix(inputs, labels, 1, 1.0, generator())
    assert torch.equal(mixed, inputs)
    assert targets.item() == 1.0


def test_a_tiny_alpha_gives_finite_targets() -> None:
    inputs, labels = marked(256)
    _, targets = cutmix(inputs, labels, 256, 1e-3, generator())
    assert torch.isfinite(targets).all()


def test_the_same_seed_mixes_the_same() -> None:
    inputs, labels = marked(256)
    first = cutmix(inputs, labels, 256, 0.5, generator(7))
    second = cutmix(inputs, labels, 256, 0.5, generator(7))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_invalid_arguments_are_refused() -> None:
    inputs, labels = marked(4)
    with pytest.raises(ValueError):
        cutmix(inputs, labels[:3], 4, 1.0, generator())
    with pytest.raises(ValueError):
        cutmix(inputs, labels, 3, 1.0, generator())
    with pytest.raises(ValueError):
        cutmix(inputs, labels, 4, 0.0, generator())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_targets_equal_areas_and_the_seed_decides_on_the_gpu(alpha: float) -> None:
    inputs, labels = marked(64, device="cuda")
    mixed, targets = cutmix(inputs, labels, 64, alpha, generator(0, "cuda"))
    again, _ = cutmix(inputs, labels, 64, alpha, generator(0, "cuda"))
    torch.testing.assert_close(targets, areas_of_labels(mixed, 64), atol=1e-6, rtol=0)
    assert torch.equal(mixed, again)
    with pytest.raises(ValueError):
        cutmix(inputs, labels, 64, 1.0, generator())
