"""An image folder whose images have all been through one codec.

A memory of compressed images replays others than the fresh ones and the test images. On such a
folder all of them have the same losses, so that what is left of the difference between tokens and
images is not due to a gap between the memory's images and the others.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seit_cl import FormatContext, Samples, build_format
from seit_cl.core.files import write_atomic
from seit_cl.data.images import load_images
from seit_cl.datasets import open_data

CHUNK = 500  # images that are encoded at a time


def write_through_codec(source: Path, target: Path, spec: str, resolution: int) -> None:
    """Write the images of a folder as PNG files, after a format has stored them.

    Args:
        source: image folder with train/<class>/* and val/<class>/*.
        target: new folder of the same classes; an existing one is left as it is.
        spec: a format such as "jpeg_scan:quality=25".
        resolution: side of the images in pixels.

    Raises:
        UserError: a folder or an image that cannot be read.
    """
    done = target / "done.txt"
    if done.exists():
        return
    data = open_data(source)
    for name, split in (("train", data.train), ("val", data.val)):
        images = load_images(split.images, resolution)
        restored = through_format(images, spec)
        for number, image in enumerate(restored):
            label = int(split.labels[number])
            path = target / name / data.classes[label] / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, _png(image.permute(1, 2, 0).numpy()))
    write_atomic(done, spec + "\n")


def through_format(images: Tensor, spec: str) -> Tensor:
    """Images (N, 3, S, S) uint8 as a format stores them and gives them back."""
    context = FormatContext.of(classes=1, resolution=images.shape[-1])
    fmt = build_format(spec, context)
    restored = []
    for chunk in images.split(CHUNK):
        samples = Samples.of_images(chunk, torch.zeros(len(chunk), dtype=torch.long))
        restored.append(fmt.decode(fmt.encode(samples)))
    return torch.cat(restored)


def _png(image: np.ndarray) -> bytes:
    """Encode an image (S, S, 3) as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()
