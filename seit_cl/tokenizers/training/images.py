"""What a tokenizer is trained on: an image folder with its labels, fractals, and tiles of larger images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.data.folder import open_folder
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images
from seit_cl.data.listing import SUFFIXES
from seit_cl.tokenizers.training.trainer import UNLABELLED

FRACTAL_CLASSES = 50
FRACTAL_SEED = 777  # not the seed of the built-in data set
TILED = (2, 4)  # sides of larger images, in tiles of the training's size


def training_images(
    root: Path, resolution: int, fractals: int, large: Path | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Images to train on and to measure on.

    Args:
        root: image folder with train/ and val/.
        resolution: S, pixels.
        fractals: how many fractals to add; their classes count on after the folder's.
        large: folder of larger images, whose tiles have no label; or None.

    Returns:
        Images (N, 3, S, S) uint8 and labels (N,) int64 to train on, the folder's first; its val images (M, 3, S, S).

    Raises:
        UserError: a folder or an image that cannot be read.
    """
    folder = open_folder(root)
    images, labels = load_images(folder.train.paths, resolution), folder.train.labels
    if fractals:
        per_class = -(-fractals // FRACTAL_CLASSES)
        drawn, classes = render(FRACTAL_CLASSES, per_class, resolution, FRACTAL_SEED, "train")
        images = torch.cat([images, drawn[:fractals]])
        labels = torch.cat([labels, len(folder.classes) + classes[:fractals]])
    if large is not None:
        cut = cut_tiles(find_images(large), resolution)
        images, labels = (
            torch.cat([images, cut]),
            torch.cat([labels, torch.full((len(cut),), UNLABELLED)]),
        )
    return images, labels, load_images(folder.val.paths, resolution)


def find_images(folder: Path, option: str = "--photos") -> list[Path]:
    """The image files in a folder and the folders in it, which an option of the command line named.

    Raises:
        UserError: there are none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(
            f"{option} {folder}: no images there; give a folder of {', '.join(SUFFIXES)} files"
        )
    return found


def cut_tiles(paths: list[Path], resolution: int) -> Tensor:
    """Tiles (N, 3, S, S) uint8 of images resized to each of TILED times S px, so that codes know detail at every size."""
    found = []
    for scale in TILED:
        whole = load_images(paths, scale * resolution)
        cut = whole.unfold(2, resolution, resolution).unfold(
            3, resolution, resolution
        )  # (N, 3, scale, scale, S, S)
        found.append(cut.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, resolution, resolution))
    return torch.cat(found)
