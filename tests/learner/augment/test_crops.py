"""Crop boxes and crop_resize against torch's own interpolation."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.generators import generator
from seit_cl.learner.augment.crops import (
    CropResize,
    Mode,
    center_crop,
    crop_resize,
    random_resized_boxes,
)


def full_boxes(batch: int) -> Tensor:
    return torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(batch, 4)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("side", [20, 24])
@pytest.mark.parametrize("out", [32, 45, 28, 40, 9])
def test_a_box_of_the_whole_image_equals_torch_interpolation(
    mode: Mode, channels_last: bool, side: int, out: int
) -> None:
    x = torch.randn(3, 5, side, side, generator=generator())
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    resized = crop_resize(x, full_boxes(3), out, mode)
    torch.testing.assert_close(
        resized, F.interpolate(x, out, mode=mode, align_corners=False), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("out", [28, 24])
def test_a_box_of_whole_pixels_equals_torch_interpolation_of_the_slice(
    mode: Mode, out: int
) -> None:
    x = torch.randn(4, 3, 30, 30, generator=generator())
    corners_and_sizes = [(0, 0, 26, 30), (3, 7, 11, 13), (29, 29, 1, 1), (23, 1, 7, 28)]
    boxes = torch.tensor(corners_and_sizes) / 30
    flip = torch.tensor([False, True, False, True])
    resized = crop_resize(x, boxes, out, mode, flip)
    for i, (left, top, width, height) in enumerate(corners_and_sizes):
        region = x[i : i + 1, :, top : top + height, left : left + width]
        expected = F.interpolate(region, out, mode=mode, align_corners=False)[0]
        if flip[i]:
            expected = expected.flip(-1)
        torch.testing.assert_close(resized[i], expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("axis", [0, 1])
def test_every_whole_number_placement_on_one_axis_equals_torch_interpolation(axis: int) -> None:
    places = list(itertools.combinations(range(33), 2))
    line = torch.randn(32, generator=generator())
    ends = torch.tensor(places) / 32
    corner = torch.zeros(len(places), 2)
    size = torch.ones(len(places), 2)
    corner[:, axis] = ends[:, 0]
    size[:, axis] = ends[:, 1] - ends[:, 0]
    matrices = CropResize(28).matrices(corner, size, 32)
    resized = matrices[:, axis] @ line
    for i, (a, b) in enumerate(places[::7]):
        crop = line[a:b].expand(1, 1, 4, b - a)
        expected = F.interpolate(crop, (4, 28), mode="bicubic", align_corners=False)[0, 0, 0]
        torch.testing.assert_close(resized[7 * i], expected, atol=2e-4, rtol=1e-3)


def test_a_fractional_box_shifts_a_ramp_by_its_fraction() -> None:
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    resized = crop_resize(ramp, torch.tensor([[8.3 / 32, 0.25, 14 / 32, 14 / 32]]), 14)[0, 0, 7]
    torch.testing.assert_close(
        resized[2:-2], 8.3 + torch.arange(14.0)[2:-2], atol=0.06, rtol=0
    )  # cubic a = -0.75 is near linear


def test_resize_weights_sum_to_one_and_stay_inside_the_box() -> None:
    corner, size = random_resized_boxes(500, generator()).chunk(2, dim=1)
    matrices = CropResize(28).matrices(corner, size, 32)
    torch.testing.assert_close(matrices.sum(3), torch.ones(500, 2, 28), atol=1e-4, rtol=0)
    position = torch.arange(32)
    is_before = position < (corner * 32 - 1.0)[:, :, None]
    is_behind = position > ((corner + size) * 32 + 1.0)[:, :, None]
    assert not matrices.abs().amax(2)[is_before | is_behind].any()


def test_a_flip_reverses_the_output_positions_of_the_horizontal_axis_alone() -> None:
    corner, size = random_resized_boxes(50, generator()).chunk(2, dim=1)
    flip = torch.arange(50) % 2 == 0
    resize = CropResize(28)
    plain = resize.matrices(corner, size, 32)
    flipped = resize.matrices(corner, size, 32, flip)
    assert torch.equal(flipped[~flip], plain[~flip])
    assert torch.equal(flipped[:, 1], plain[:, 1])
    reversed_rows = plain[flip, 0].flip(1)
    torch.testing.assert_close(flipped[flip, 0], reversed_rows, atol=1e-4, rtol=0)


def test_a_crop_has_the_dtype_of_its_input_and_passes_gradients() -> None:
    x = torch.randn(2, 4, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    y = crop_resize(x, random_resized_boxes(2, generator()), 6)
    assert y.shape == (2, 4, 6, 6)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert x.grad is not None


def test_autocast_does_not_lower_the_precision_of_a_crop() -> None:
    x = torch.randn(2, 4, 8, 8)
    boxes = random_resized_boxes(2, generator())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = crop_resize(x, boxes, 6)
    assert torch.equal(inside, crop_resize(x, boxes, 6))


def test_boxes_have_uniform_areas_ratios_around_one_and_centred_positions() -> None:
    boxes = random_resized_boxes(40_000, generator())
    x0, y0, w, h = boxes.unbind(1)
    assert boxes.shape == (40_000, 4)
    assert boxes.dtype == torch.float32
    assert bool((boxes >= 0).all())
    assert bool((x0 + w <= 1 + 1e-6).all())
    assert bool((y0 + h <= 1 + 1e-6).all())
    area = w * h
    ratio = w / h
    assert area.min() >= 0.08 - 1e-5
    assert ratio.min() >= 0.75 - 1e-4
    assert ratio.max() <= 4 / 3 + 1e-4
    # areas up to 3/4 fit whatever the ratio: uniform there, and rarer above
    shares = torch.histc(area, bins=6, min=0.08, max=0.74) / 40_000
    assert shares.max() / shares.min() < 1.1
    assert (
        abs(float((area < 0.74).float().mean()) - 0.66 / 0.789) < 0.01
    )  # 0.789: 0.67 + integral of P(fits)
    assert abs(float(ratio.log().mean())) < 0.01
    assert abs(float((x0 / (1 - w).clamp_min(1e-6)).mean()) - 0.5) < 0.02


def test_a_box_that_never_fits_becomes_the_widest_centred_one() -> None:
    assert torch.equal(random_resized_boxes(5, generator(), (1.0, 1.0), (1.0, 1.0)), full_boxes(5))
    wide = random_resized_boxes(
        5, generator(), (1.0, 1.0), (2.0, 2.0)
    )  # never fits: the widest centred box
    torch.testing.assert_close(wide, torch.tensor([[0.0, 0.25, 1.0, 0.5]]).expand(5, 4))
    assert random_resized_boxes(0, generator()).shape == (0, 4)


def test_the_same_seed_draws_the_same_boxes_and_another_seed_others() -> None:
    assert torch.equal(random_resized_boxes(9, generator(3)), random_resized_boxes(9, generator(3)))
    assert not torch.equal(
        random_resized_boxes(9, generator(3)), random_resized_boxes(9, generator(4))
    )


def test_a_centre_crop_takes_the_middle() -> None:
    x = torch.arange(36).view(1, 6, 6)
    assert torch.equal(center_crop(x, 6), x)
    assert center_crop(x, 2).flatten().tolist() == [14, 15, 20, 21]


def test_invalid_arguments_are_refused() -> None:
    x = torch.zeros(2, 1, 4, 4)
    for scale, ratio in [
        ((0.0, 1.0), (1.0, 1.0)),
        ((0.5, 1.2), (1.0, 1.0)),
        ((0.1, 1.0), (2.0, 1.0)),
    ]:
        with pytest.raises(ValueError):
            random_resized_boxes(2, generator(), scale, ratio)
    with pytest.raises(ValueError):
        random_resized_boxes(-1, generator())
    with pytest.raises(ValueError):
        crop_resize(x, full_boxes(3), 4)
    with pytest.raises(ValueError):
        crop_resize(x, full_boxes(2), 4, flip=torch.tensor([True]))
    with pytest.raises(ValueError):
        crop_resize(x.long(), full_boxes(2), 4)
    with pytest.raises(ValueError):
        crop_resize(torch.zeros(2, 1, 4, 6), full_boxes(2), 4)
    with pytest.raises(ValueError):
        crop_resize(x, full_boxes(2), 4, "nearest")  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        crop_resize(x, full_boxes(2), 0)
    with pytest.raises(ValueError):
        center_crop(x, 5)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_a_crop_on_the_gpu_equals_one_on_the_cpu(mode: Mode) -> None:
    x = torch.randn(16, 32, 32, 32, generator=generator())
    boxes = random_resized_boxes(16, generator())
    flip = torch.arange(16) % 2 == 0
    resized = crop_resize(x.cuda(), boxes.cuda(), 28, mode, flip.cuda())
    torch.testing.assert_close(
        resized.cpu(), crop_resize(x, boxes, 28, mode, flip), atol=2e-4, rtol=1e-3
    )
    on_device = random_resized_boxes(16, generator(1, "cuda"))
    assert on_device.is_cuda
    assert torch.equal(on_device, random_resized_boxes(16, generator(1, "cuda")))


@pytest.mark.parametrize("channels_last", [False, True])
def test_samples_cropped_in_blocks_equal_samples_cropped_alone(channels_last: bool) -> None:
    x = torch.randn(23, 32, 32, 32, generator=generator())
    boxes = random_resized_boxes(23, generator())
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    resized = crop_resize(x, boxes, 28)
    for i in (0, 7, 8, 22):
        torch.testing.assert_close(
            resized[i : i + 1],
            crop_resize(x[i : i + 1], boxes[i : i + 1], 28),
            atol=1e-5,
            rtol=1e-5,
        )


def loaded_slices(values: int, device: str) -> list[slice]:
    """The slices of 9 samples that a crop loads, if a sample has this number of values."""
    x = torch.zeros(9, 1, 4, 4, device=device)
    corner, size = full_boxes(9).to(device).chunk(2, dim=1)
    slices = []

    def load(part: slice) -> Tensor:
        slices.append(part)
        return x[part]

    CropResize(4).to(device)(load, corner, size, 4, values)
    return slices


def test_blocks_on_the_cpu_have_as_many_samples_as_fit_in_its_cache_and_at_least_4() -> None:
    assert loaded_slices(2**30, "cpu") == [slice(0, 4), slice(4, 8), slice(8, 9)]
    assert loaded_slices(2**15, "cpu") == [slice(0, 8), slice(8, 9)]
    assert loaded_slices(1, "cpu") == [slice(0, 9)]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_batch_on_the_gpu_is_a_single_block() -> None:
    assert loaded_slices(2**30, "cuda") == [slice(0, 9)]


def test_a_crop_of_no_samples_is_empty() -> None:
    assert crop_resize(torch.zeros(0, 3, 8, 8), full_boxes(0), 6).shape == (0, 3, 6, 6)


@pytest.mark.parametrize("batch", [1, 23])
def test_a_crop_by_columns_equals_a_crop_of_channels(batch: int) -> None:
    x = torch.randn(batch, 32, 32, 32, generator=generator())
    boxes = random_resized_boxes(batch, generator())
    corner, size = boxes.chunk(2, dim=1)
    columns = x.permute(0, 3, 2, 1)
    by_columns = CropResize(28).by_columns(
        lambda part: columns[part], corner, size, 32, x[0].numel()
    )
    expected = crop_resize(x, boxes, 28).permute(0, 2, 3, 1)
    torch.testing.assert_close(by_columns, expected, atol=1e-4, rtol=1e-4)
    assert by_columns.is_contiguous()


def test_a_crop_of_bytes_equals_a_crop_of_floats() -> None:
    x = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    boxes = random_resized_boxes(5, generator())
    assert torch.equal(crop_resize(x, boxes, 8), crop_resize(x.float(), boxes, 8))
