"""Samples of what is in memory already, and the mistakes that a line of text corrects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from seit_cl.core.errors import BudgetTooSmall, UserError
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext
from seit_cl.memory import ByteBudgetBuffer
from seit_cl.tokenizers import open_tokenizer

IMAGES = torch.arange(4 * 3 * 32 * 32).view(4, 3, 32, 32).to(torch.uint8)
LABELS = [0, 1, 2, 1]


def memory_of(spec: str, budget: int = 20_000, **rest: Any) -> ByteBudgetBuffer:
    return ByteBudgetBuffer.of(spec, budget, **{"classes": 3, "resolution": 32, **rest})


def all_of(memory: ByteBudgetBuffer) -> torch.Tensor:
    return memory.by_ids(torch.arange(len(memory))).inputs


@pytest.mark.parametrize("images", [IMAGES, IMAGES.numpy()], ids=["tensor", "array"])
def test_images_come_back(images: Any) -> None:
    memory = memory_of("raw")
    memory.offer(Samples.of_images(images, LABELS))
    assert sorted(map(int, all_of(memory).sum((1, 2, 3)))) == sorted(
        map(int, IMAGES.sum((1, 2, 3)))
    )
    assert memory.counts_per_class().tolist() == [1, 2, 1]


def test_grey_images_have_three_equal_channels() -> None:
    memory = memory_of("png")
    memory.offer(Samples.of_images(IMAGES[:, :1], np.array(LABELS)))
    inputs = all_of(memory)
    assert inputs.shape == (4, 3, 32, 32)
    assert torch.equal(inputs[:, 0], inputs[:, 2])


def test_tokens_and_images_fill_a_memory_of_tokens_alike() -> None:
    tokenizer = open_tokenizer()
    memories = [memory_of("tokens", tokenizer=tokenizer) for _ in range(2)]
    memories[0].offer(Samples.of_images(IMAGES, LABELS, tokenizer))
    memories[1].offer(Samples.of_tokens(tokenizer.encode(IMAGES), LABELS))
    assert torch.equal(all_of(memories[0]), all_of(memories[1]))


def test_files_are_stored_as_they_are() -> None:
    from seit_cl.formats._image_file import write_image

    files = [write_image(image.permute(1, 2, 0), "PNG") for image in IMAGES]
    memory = memory_of("jpeg:original")
    memory.offer(Samples.of_files(files, LABELS))
    assert memory.payload_bytes == sum(map(len, files))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, r"torch.float32: give uint8 .* \(images \* 255\)"),
        (IMAGES.int(), r"torch.int32: give uint8"),
        (IMAGES.permute(0, 2, 3, 1), r"images.permute\(0, 3, 1, 2\)"),
        (IMAGES[..., :20], r"\(4, 3, 32, 20\): give square ones"),
        (IMAGES[0], r"\(3, 32, 32\): give square ones"),
    ],
)
def test_other_images_are_answered_with_what_to_do(images: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Samples.of_images(images, LABELS)


def test_other_labels_are_answered_with_what_to_do() -> None:
    with pytest.raises(UserError, match="one integer for each"):
        Samples.of_images(IMAGES, [0, 1])
    with pytest.raises(UserError, match="one integer for each"):
        Samples.of_images(IMAGES, torch.zeros(4))
    with pytest.raises(UserError, match="with more classes"):
        memory_of("raw").offer(Samples.of_images(IMAGES, [0, 1, 2, 3]))


def test_other_tokens_are_answered_with_what_to_do() -> None:
    with pytest.raises(UserError, match=r"tokenizer\.encode"):
        Samples.of_tokens(IMAGES[0], LABELS)


def test_samples_of_another_kind_are_answered_with_what_to_do() -> None:
    tokenizer = open_tokenizer()
    with pytest.raises(UserError, match=r"Samples\.of_images\(images, labels, tokenizer\)"):
        memory_of("tokens", tokenizer=tokenizer).offer(Samples.of_images(IMAGES, LABELS))
    with pytest.raises(UserError, match=r"Samples\.of_files"):
        memory_of("jpeg:original").offer(Samples.of_images(IMAGES, LABELS))
    with pytest.raises(UserError, match=r"Samples\.of_images"):
        memory_of("raw").offer(Samples.of_tokens(tokenizer.encode(IMAGES), LABELS))
    with pytest.raises(UserError, match="resolution=32"):
        memory_of("raw", 40_000, resolution=64).offer(Samples.of_images(IMAGES, LABELS))


def test_memories_that_cannot_be_made_are_answered_with_what_to_do() -> None:
    with pytest.raises(BudgetTooSmall, match="give at least"):
        memory_of("raw", 100)
    with pytest.raises(UserError, match="tokenizer="):
        memory_of("tokens")
    with pytest.raises(UserError, match="resize the images to 40 px"):
        memory_of("tokens", resolution=36, tokenizer=open_tokenizer())
    with pytest.raises(UserError, match="each at least 1"):
        memory_of("raw", classes=0)


def test_a_context_for_pixels_needs_two_numbers() -> None:
    assert FormatContext(32, classes=10) == FormatContext.of(32, 10)
