"""Training images of a tokenizer: a labelled image folder, fractals, tiles of larger images."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.notes import note
from seit_cl.data.fractals import render
from seit_cl.data.images import load_images, read_chunks
from seit_cl.data.leave_out import leave_out
from seit_cl.data.listing import KINDS, LeftOut, walk
from seit_cl.data.pixel_room import room_for_images
from seit_cl.datasets import list_data
from seit_cl.tokenizers.training.class_head import UNLABELLED

FRACTAL_CLASSES = 50
FRACTAL_SEED = 777  # not the seed of the built-in dataset
TILED = (2, 4)  # sides to which larger images are resized, in tiles of the training size


def training_images(
    root: Path,
    resolution: int,
    fractals: int,
    large: Path | None,
    left_out: Path | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Load the images to train on and to measure on.

    Args:
        root: location of the data (seit_cl.datasets), such as an image folder.
        resolution: S, pixels.
        fractals: number of fractals to add; their classes follow those of the folder.
        large: folder of larger images, whose tiles have no label; or None.
        left_out: list of images that are not used (seit_cl.data.leave_out); or None.

    Returns:
        Images (N, 3, S, S) uint8 and labels (N,) int64 to train on, those of the folder first, and
        the folder's val images (M, 3, S, S) uint8.

    Raises:
        UserError: a folder or an image that cannot be read.
    """
    folder = list_data(root)
    if left_out is not None:
        folder = leave_out(folder, left_out)
    photos = [] if large is None else find_images(large)
    tiles = len(photos) * sum(scale**2 for scale in TILED)
    count = len(folder.train)
    images = room_for_images(count + fractals + tiles, resolution)
    load_images(folder.train.images, resolution, out=images[:count])
    labels = [folder.train.labels]
    if fractals:
        per_class = -(-fractals // FRACTAL_CLASSES)
        drawn, classes = render(FRACTAL_CLASSES, per_class, resolution, FRACTAL_SEED, "train")
        images[count : count + fractals] = drawn[:fractals]
        labels.append(len(folder.classes) + classes[:fractals])
    if photos:
        cut_tiles(photos, images[count + fractals :])
        labels.append(torch.full((tiles,), UNLABELLED))
    held_out = room_for_images(len(folder.val), resolution)
    load_images(folder.val.images, resolution, out=held_out)
    return images, torch.cat(labels), held_out


def find_images(folder: Path, option: str = "--photos") -> list[Path]:
    """List the image files in a folder and its subfolders, sorted, and note what is left out.

    Args:
        folder: to search.
        option: command-line option that named the folder, for the message.

    Raises:
        UserError: the folder holds no images.
    """
    left_out = LeftOut(folder)
    found = walk(folder, left_out) if folder.is_dir() else ()
    paths = sorted(path for files in found for path in files)
    if not paths:
        raise UserError(f"{option} {folder}: no images there; give a folder of {KINDS} files")
    if left_out.line():
        note(left_out.line())
    return paths


def cut_tiles(paths: list[Path], out: Tensor) -> None:
    """Resize images to each of TILED times S pixels and cut them into tiles.

    The codebook thereby learns detail at several scales.

    Args:
        paths: image files.
        out: (N, 3, S, S) uint8, which gets the tiles of the smallest scale first.
    """
    side = out.shape[-1]
    done = 0
    for scale in TILED:
        for images in read_chunks(paths, scale * side):
            cells = images.unfold(2, side, side).unfold(3, side, side)  # (n, 3, scale, scale, S, S)
            tiles = cells.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side)
            out[done : done + len(tiles)] = tiles
            done += len(tiles)
