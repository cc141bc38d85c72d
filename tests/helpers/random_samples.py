"""Samples made from their ids: the same id always gives the same random tokens and pixels."""

import io

import torch
from PIL import Image
from torch import Tensor

from helpers.random_entropy import random_model
from seit_cl.data.samples import Samples
from seit_cl.formats import FormatContext

CONTEXT = FormatContext(resolution=32, classes=10, codes=1000, grid=(2, 4, 4), tokenizer="test")
ENTROPY_MODEL = random_model(100, tokenizer="random")
CODED = FormatContext(  # for entropy coders
    resolution=32,
    classes=10,
    codes=100,
    grid=(1, 4, 4),
    tokenizer="random",
    entropy_model=lambda: ENTROPY_MODEL,
)


class RandomSource:
    """A SampleSource of independent uniform codes and smooth random images."""

    def __init__(self, context: FormatContext = CONTEXT) -> None:
        self.context = context

    def draw(self, ids: Tensor, shape: tuple[int, ...], high: int) -> Tensor:
        generators = [torch.Generator().manual_seed(int(i)) for i in ids]
        rows = [torch.randint(high, shape, generator=g) for g in generators]
        return torch.stack(rows) if rows else torch.zeros((0, *shape), dtype=torch.int64)

    def tokens(self, ids: Tensor) -> Tensor:
        return self.draw(ids, self.context.grid, self.context.codes).to(torch.int16)

    def pixels(self, ids: Tensor) -> Tensor:
        side = self.context.resolution
        coarse = self.draw(ids, (3, 4, 4), 256).float()
        if len(ids) == 0:
            return torch.zeros((0, 3, side, side), dtype=torch.uint8)
        return torch.nn.functional.interpolate(coarse, side, mode="bilinear").to(torch.uint8)

    def files(self, ids: Tensor) -> list[bytes]:
        files = []
        for image in self.pixels(ids):
            out = io.BytesIO()
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(out, "PNG")
            files.append(out.getvalue())
        return files


def samples(count: int, context: FormatContext = CONTEXT) -> Samples:
    """`count` samples of consecutive classes."""
    ids = torch.arange(count)
    return Samples(ids, ids % context.classes, RandomSource(context))
