"""Small memories: samples that are recognised by their content, and fields with the sample's id."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.random_entropy import random_model
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext, build_format
from seit_cl.formats._image_file import write_image
from seit_cl.memory import ByteBudgetBuffer, TensorSpec

ENTROPY_MODEL = random_model(200, tokenizer="test")
CONTEXT = FormatContext(
    resolution=16,
    classes=5,
    codes=200,
    grid=(1, 4, 4),
    tokenizer="test",
    entropy_model=lambda: ENTROPY_MODEL,
)
FIELDS = {"logits": TensorSpec("float16", (5,)), "step": TensorSpec("int32", ())}
# Bytes of an exemplar of tokens in a memory: 16 codes, the label, and FIELDS.
RECORD = 16
LABEL = 1
FIELD_BYTES = 5 * 2 + 4


class TinySource:
    """Token grids that spell their sample's id, and images whose JPEG length varies with it."""

    def tokens(self, ids: Tensor) -> Tensor:
        digits = torch.stack([ids // 200**k % 200 for k in range(4)], -1)
        return digits.repeat(1, 4).view(-1, 1, 4, 4).to(torch.int16)

    def pixels(self, ids: Tensor) -> Tensor:
        images = []
        for i in ids.tolist():
            random = torch.Generator().manual_seed(i)
            image = torch.randint(256, (3, 16, 16), generator=random)
            image[:, i * 7 % 17 :] = 128
            images.append(image)
        return torch.stack(images).to(torch.uint8)

    def files(self, ids: Tensor) -> list[bytes]:
        return [write_image(image.permute(1, 2, 0), "PNG") for image in self.pixels(ids)]


def samples(start: int, labels: list[int]) -> Samples:
    """Samples with ids from `start` on."""
    ids = torch.arange(start, start + len(labels))
    return Samples(ids, torch.tensor(labels, dtype=torch.int64), TinySource())


def extras(start: int, count: int) -> dict[str, Tensor]:
    """Values of FIELDS that depend on the sample's id."""
    ids = torch.arange(start, start + count)
    return {"logits": (ids[:, None] % 100 + torch.arange(5)).half(), "step": ids.int()}


def memory(
    budget: int,
    spec: str = "tokens",
    policy: str = "class-balanced",
    exemplar_fields: dict[str, TensorSpec] | None = None,
    **rest: Any,
) -> ByteBudgetBuffer:
    """An empty memory for the samples above."""
    fmt = build_format(spec, CONTEXT)
    return ByteBudgetBuffer(budget, fmt, CONTEXT, policy, exemplar_fields=exemplar_fields, **rest)


def load(path: Path, **rest: Any) -> ByteBudgetBuffer:
    """The memory of a file that one of the memories above wrote."""
    return ByteBudgetBuffer.load(path, entropy_model=CONTEXT.entropy_model, **rest)


def ids_of(tokens: Tensor) -> list[int]:
    """The sample ids that token grids (B, 1, 4, 4) spell."""
    digits = tokens.reshape(len(tokens), 16)[:, :4].long()
    return (digits * torch.tensor([200**k for k in range(4)])).sum(-1).tolist()


def stored_ids(buffer: ByteBudgetBuffer) -> list[int]:
    """The sample ids in a memory of tokens, in the order of the file."""
    return ids_of(buffer.by_ids(torch.arange(len(buffer))).inputs)


def budget_for(count: int, policy: str = "class-balanced") -> int:
    """A budget for exactly `count` exemplars of tokens without fields."""
    return memory(10_000, policy=policy).used_bytes + count * (RECORD + LABEL)
