"""Folders in the SeiT release's format, written here code by code, independently of the package."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

NAME = "tiny"


def spell(code: int) -> bytes:
    """One code in the release's bytes."""
    return bytes([255, code - 255]) if code >= 255 else bytes([code])


def packed(data: bytes) -> bytes:
    """A gzip as Python's gzip.open writes it, but without name and time in its header."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def write_split(
    folder: Path, split: str, tokens: Tensor, labels: list[int], dtype: str = "<i8"
) -> None:
    """Write data, index and labels of grids (N, 1, H, W)."""
    images = [b"".join(map(spell, image)) for image in tokens.flatten(1).tolist()]
    offsets = np.cumsum([0, *map(len, images)]).astype(dtype)
    index = io.BytesIO()
    np.save(index, offsets)
    (folder / f"{NAME}-{split}-token.data.bin.gz").write_bytes(packed(b"".join(images)))
    (folder / f"{NAME}-{split}-token.index.npy.gz").write_bytes(packed(index.getvalue()))
    (folder / f"{NAME}-{split}-label.txt").write_text("".join(f"{label}\n" for label in labels))


def write_release(
    folder: Path,
    codes: int = 391,
    grid: tuple[int, int] = (4, 4),
    each: int = 3,
    classes: int = 4,
    dtype: str = "<i8",
) -> dict[str, Tensor]:
    """Write a release of random codes and return the tokens (N, 1, H, W) of both splits."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(codes)
    tokens = {}
    for split in ("train", "val"):
        labels = torch.arange(classes).repeat(each)
        tokens[split] = torch.randint(
            0, codes, (len(labels), 1, *grid), generator=generator, dtype=torch.int16
        )
        write_split(folder, split, tokens[split], labels.tolist(), dtype)
    codebook = torch.randn(codes, 8, generator=generator)
    torch.save(codebook, folder / "codebook.ckpt")
    nearest = torch.cdist(codebook, codebook).argsort(1)[:, 1:6]
    synonyms = {str(code): row for code, row in enumerate(nearest.tolist())}
    (folder / "synonyms.json").write_text(json.dumps(synonyms))
    return tokens
