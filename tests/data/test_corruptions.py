"""Corruptions grow with severity, depend on their seed alone, and use the published constants."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seit_cl.data.corrupted import deal
from seit_cl.data.corruptions import CORRUPTIONS, corrupt
from seit_cl.data.fractals import render


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    images, _ = render(1, 1, 64, 0, "train")
    return images[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("side", [64, 224])
@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_more_severe_corruption_changes_more(name: str, side: int, picture: np.ndarray) -> None:
    image = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
    outputs = [corrupt(image, name, severity, 1) for severity in range(1, 6)]
    errors = [float(np.abs(out.astype(float) - image).mean()) for out in outputs]
    assert outputs[0].shape == image.shape
    assert outputs[0].dtype == np.uint8
    assert errors[0] > 0
    assert errors == sorted(errors)
    assert errors[4] > errors[0]


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_corruption_depends_on_its_seed_alone(name: str, picture: np.ndarray) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    once = corrupt(picture, name, 3, 11)
    np.random.random_sample(5)
    assert (corrupt(picture, name, 3, 11) == once).all()
    np.random.seed(3)
    assert (np.random.get_state()[1] == before).all()
    random = name.endswith("noise") or name == "motion_blur"
    assert bool((corrupt(picture, name, 3, 12) != once).any()) == random


def test_noise_and_contrast_are_those_of_the_published_constants() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    noise = corrupt(grey, "gaussian_noise", 1, 0).astype(float) / 255
    assert noise.std() == pytest.approx(0.04, rel=0.03)
    salt = corrupt(grey, "impulse_noise", 5, 0)
    assert (np.isin(salt, (0, 255))).mean() == pytest.approx(0.14, rel=0.1)
    halves = np.repeat(np.array([0, 200], np.uint8), 32)[None, :, None].repeat(64, 0).repeat(3, 2)
    assert set(np.unique(corrupt(halves, "contrast", 1, 0))) == {60, 140}


def test_blurs_leave_a_plain_image_and_its_edges_unchanged() -> None:
    grey = np.full((64, 64, 3), 77, np.uint8)
    for name in ("defocus_blur", "motion_blur", "zoom_blur", "pixelate"):
        assert (corrupt(grey, name, 5, 2) == 77).all()


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_train_images_are_dealt_evenly_in_every_class(
    labels: list[int], domains: int, seed: int
) -> None:
    where = deal(torch.tensor(labels), domains, seed)
    for label in set(labels):
        counts = np.bincount(where[np.array(labels) == label], minlength=domains)
        assert counts.max() - counts.min() <= 1
