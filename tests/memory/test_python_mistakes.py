"""Mistakes of a program that uses the memory are refused in a line that says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers.generators import generator
from seit_cl import ByteBudgetBuffer, Samples, UserError

IMAGES = torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8, generator=generator(0))
LABELS = torch.arange(20) % 4


def memory(**options: int) -> ByteBudgetBuffer:
    made = {"budget_bytes": 20_000, "classes": 4, "resolution": 32, **options}
    return ByteBudgetBuffer.of("jpeg:quality=75", **made)


def filled() -> ByteBudgetBuffer:
    made = memory()
    made.offer(Samples.of_images(IMAGES, LABELS))
    return made


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "tensors": (lambda: memory().offer(IMAGES), r"Samples.of_images\(images, labels\)"),
    "no budget": (lambda: memory(budget_bytes=0), "budget_bytes=0: must be positive"),
    "a limit": (lambda: memory(max_exemplars=-1), "max_exemplars=-1: must be 0"),
    "nothing in it": (lambda: memory().sample(1, generator(0)), "is empty; offer it samples"),
    "too few": (lambda: filled().sample(-1, generator(0)), "-1 exemplars: give a whole number"),
    "a part": (lambda: filled().sample(3.5, generator(0)), "3.5 exemplars: give a whole number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_in_a_line(mistake: str) -> None:
    call, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_loading_into_a_memory_is_refused_since_it_would_stay_empty(tmp_path: Path) -> None:
    filled().save(tmp_path / "memory.bin")
    empty = memory()
    with pytest.raises(UserError, match=r"use what ByteBudgetBuffer.load\(...\) returns"):
        empty.load(tmp_path / "memory.bin")
    assert len(ByteBudgetBuffer.load(tmp_path / "memory.bin")) == len(filled()) > 0
