"""Pixel augmentation: normalisation, crops, flips, switches."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from helpers.generators import generator
from helpers.numbers import drawn, drawn_boxes
from seit_cl.core.errors import UserError
from seit_cl.learner.augment.crops import crop_resize
from seit_cl.learner.augment.pixels import IMAGENET_MEAN, IMAGENET_STD, PixelAugment
from seit_cl.learner.augment.settings import PixelAugmentOptions


def images(batch: int = 8, side: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (batch, 3, side, side), generator=generator(9), dtype=torch.uint8)


def reference(pixels: torch.Tensor) -> torch.Tensor:
    mean = torch.tensor(IMAGENET_MEAN)[:, None, None]
    std = torch.tensor(IMAGENET_STD)[:, None, None]
    return (pixels / 255 - mean) / std


def test_evaluation_gives_the_normalised_centre() -> None:
    x = images()
    torch.testing.assert_close(PixelAugment(32)(x), reference(x))
    torch.testing.assert_close(PixelAugment(24)(x), reference(x[..., 4:28, 4:28]))


def test_training_with_every_augmentation_off_equals_evaluation() -> None:
    module = PixelAugment(28, PixelAugmentOptions(pixel_rrc=1.0, flip_p=0.0))
    x = images()
    assert torch.equal(module(x, drawn(module, x, generator())), module(x))


def test_training_gives_normalised_pixels_in_range_that_the_seed_decides() -> None:
    module = PixelAugment(28)
    x = images()
    y = module(x, drawn(module, x, generator(1)))
    assert y.shape == (8, 3, 28, 28)
    assert y.dtype == torch.float32
    assert torch.equal(y, module(x, drawn(module, x, generator(1))))
    assert not torch.equal(y, module(x, drawn(module, x, generator(2))))
    low = reference(torch.zeros(1, 3, 1, 1))
    high = reference(torch.full((1, 3, 1, 1), 255.0))
    assert bool((y >= low - 1e-5).all())
    assert bool((y <= high + 1e-5).all())


def test_training_without_flips_is_a_random_resized_crop() -> None:
    x = images()
    module = PixelAugment(28, PixelAugmentOptions(flip_p=0.0))
    numbers = drawn(module, x, generator(1))
    expected = crop_resize(x.float(), drawn_boxes(numbers, 0.3), 28).clamp(0, 255)
    torch.testing.assert_close(module(x, numbers), reference(expected))


def test_a_crop_of_the_whole_image_can_be_flipped() -> None:
    x = images(1)
    whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    y = crop_resize(x.float(), whole, 32, flip=torch.tensor([True]))
    torch.testing.assert_close(y, x.flip(-1).float())


def test_images_are_mirrored_on_request_where_training_mirrors_them() -> None:
    x = images()
    assert torch.equal(PixelAugment(32).mirrored(x), x.flip(3))
    assert PixelAugment(32, PixelAugmentOptions(flip_p=0.0)).mirrored(x) is None


def test_half_of_the_images_are_flipped() -> None:
    x = images(1).expand(2000, 3, 32, 32)
    module = PixelAugment(32, PixelAugmentOptions(pixel_rrc=1.0))
    y = module(x, drawn(module, x, generator()))
    plain = module(x[:1])
    flipped = (y == plain.flip(-1)).flatten(1).all(1)
    same = (y == plain).flatten(1).all(1)
    assert bool((flipped ^ same).all())
    assert abs(float(flipped.float().mean()) - 0.5) < 0.04


def test_a_flip_probability_of_one_flips_every_crop() -> None:
    x = images()
    module = PixelAugment(28, PixelAugmentOptions(flip_p=1.0))
    numbers = drawn(module, x, generator(1))
    expected = crop_resize(x.float(), drawn_boxes(numbers, 0.3), 28).clamp(0, 255).flip(-1)
    torch.testing.assert_close(module(x, numbers), reference(expected), atol=1e-4, rtol=1e-4)


def test_a_padded_crop_shows_a_part_of_the_image_with_its_black_border() -> None:
    module = PixelAugment(32, PixelAugmentOptions(pixel_rrc=1.0, pixel_pad=4))
    x = images(64)
    numbers = drawn(module, x, generator(1))
    y = module(x, numbers)
    bordered = functional.pad(x, [4] * 4)
    corners = (9 * numbers["corner"]).long().tolist()
    for image, (row, column) in enumerate(corners):
        expected = bordered[image, :, row : row + 32, column : column + 32]
        if numbers["flip"][image] < 0.5:
            expected = expected.flip(-1)
        torch.testing.assert_close(y[image], reference(expected[None])[0])
    assert {place for corner in corners for place in corner} == set(range(9))
    torch.testing.assert_close(module(x), reference(x))


def test_a_border_and_random_resized_crops_are_refused_together() -> None:
    with pytest.raises(UserError, match=r"--pixel-pad 4 and --pixel-rrc 0\.3: .*add --pixel-rrc 1"):
        PixelAugmentOptions(pixel_pad=4)


@pytest.mark.parametrize("pixel_rrc", [0.3, 1.0])
def test_an_empty_batch_is_augmented(pixel_rrc: float) -> None:
    module = PixelAugment(28, PixelAugmentOptions(pixel_rrc=pixel_rrc))
    x = images(0)
    assert module(x).shape == (0, 3, 28, 28)
    assert module(x, drawn(module, x, generator())).shape == (0, 3, 28, 28)


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(ValueError):
        PixelAugment(0)
    module = PixelAugment(28)
    numbers = drawn(module, images(), generator())
    with pytest.raises(ValueError):
        module(images().float(), numbers)
    with pytest.raises(ValueError):
        module(images()[:, :1], numbers)
    with pytest.raises(ValueError):
        module(images()[:, :, :30], numbers)
    with pytest.raises(ValueError):
        PixelAugment(40)(images())
    for bad in ({"flip_p": 1.5}, {"pixel_rrc": 0.0}):
        with pytest.raises(UserError):
            PixelAugmentOptions(**bad)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_augmentation_on_the_gpu_equals_the_cpu_and_stays_there_and_the_seed_decides() -> None:
    on_cpu = PixelAugment(28)
    module = PixelAugment(28).cuda()
    x = images().cuda()
    torch.testing.assert_close(module(x).cpu(), on_cpu(images()))
    numbers = drawn(module, x, generator(0, "cuda"))
    y = module(x, numbers)
    assert y.is_cuda
    assert torch.equal(y, module(x, drawn(module, x, generator(0, "cuda"))))
    copied = {name: values.cpu() for name, values in numbers.items()}
    torch.testing.assert_close(y.cpu(), on_cpu(images(), copied), atol=1e-3, rtol=1e-3)
