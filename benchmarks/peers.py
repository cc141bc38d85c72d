"""Counterparts of seit_cl's own code from other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets.folder import default_loader
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize
from torchvision.transforms.v2 import functional as F

from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.settings import PixelAugmentOptions


class TorchvisionAugment:
    """Random resized crop, flip and normalisation by torchvision's functions, image by image.

    It does what PixelAugment does, with torchvision's default antialiasing and with boxes rounded
    to whole pixels, as a torchvision training transform.

    Args:
        augment: gives the crop's side, the options and the normalisation.
    """

    def __init__(self, augment: PixelAugment) -> None:
        self.augment = augment
        self.crop = augment.crop
        self.options: PixelAugmentOptions = augment.options
        self.mean = augment.mean.flatten().tolist()
        self.std = augment.std.flatten().tolist()

    def layout(self, shape: torch.Size) -> Layout:
        """Return the random numbers that an image (3, S, S) needs."""
        return self.augment.layout(shape)

    def mirrored(self, raw: Tensor) -> Tensor | None:
        """Mirror images (B, 3, S, S) left to right; None where training mirrors none."""
        return self.augment.mirrored(raw)

    def __call__(self, raw: Tensor, numbers: Numbers | None = None) -> Tensor:
        """Augment a batch.

        Args:
            raw: (B, 3, S, S) uint8.
            numbers: those of `layout`.

        Returns:
            (B, 3, crop, crop) float32.

        Raises:
            ValueError: no numbers.
        """
        if numbers is None:
            raise ValueError("TorchvisionAugment only trains; it needs random numbers")
        boxes = torch.cat(self.augment.boxes(numbers["boxes"]), dim=1) * raw.shape[-1]
        flips = numbers["flip"] < self.options.flip_p
        images = []
        rows = zip(raw, boxes.round().int().tolist(), flips.tolist(), strict=True)
        for image, (left, top, width, height), flip in rows:
            crop = F.resized_crop(
                image,
                top,
                left,
                max(1, height),
                max(1, width),
                [self.crop, self.crop],
                interpolation=InterpolationMode.BICUBIC,
            )
            images.append(F.horizontal_flip(crop) if flip else crop)
        return F.normalize(torch.stack(images).float(), self.mean, self.std, inplace=True)


def resize_and_crop(side: int, interpolation: str) -> Compose:
    """Resize the shorter side to `side` pixels and crop the centre, as torchvision's users do.

    Args:
        side: in pixels.
        interpolation: bilinear, torchvision's default, or bicubic.
    """
    resize = Resize(side, interpolation=InterpolationMode(interpolation), antialias=True)
    return Compose([resize, CenterCrop(side)])


class ReadByTorchvision:
    """Files to images by torchvision's decoder and transforms on tensors, file by file.

    Args:
        side: of the images S in pixels.
        interpolation: bilinear or bicubic.
    """

    def __init__(self, side: int, interpolation: str) -> None:
        self.transform = resize_and_crop(side, interpolation)

    def __call__(self, paths: Sequence[Path]) -> Tensor:
        """Read N files: (N, 3, S, S) uint8."""
        images = []
        for path in paths:
            pixels = decode_jpeg(read_file(str(path)), mode=ImageReadMode.RGB)
            images.append(self.transform(pixels))
        return torch.stack(images)


class ReadByPil:
    """Files to images as torchvision's ImageFolder reads them: by PIL, file by file.

    Args:
        side: of the images S in pixels.
        interpolation: bilinear or bicubic.
    """

    def __init__(self, side: int, interpolation: str) -> None:
        self.transform = Compose([resize_and_crop(side, interpolation), PILToTensor()])

    def __call__(self, paths: Sequence[Path]) -> Tensor:
        """Read N files: (N, 3, S, S) uint8."""
        return torch.stack([self.transform(default_loader(str(path))) for path in paths])


class ReadOnGpu:
    """Files to images by torchvision's decoder on a GPU (nvJPEG), a few files at a time.

    The pixels differ slightly from those that libjpeg decodes on a CPU.

    Args:
        side: of the images S in pixels.
        device: a CUDA device.
    """

    AT_ONCE = 128  # files

    def __init__(self, side: int, device: torch.device) -> None:
        self.transform = resize_and_crop(side, "bicubic")
        self.device = device

    def __call__(self, paths: Sequence[Path]) -> Tensor:
        """Read N files: (N, 3, S, S) uint8 on the device."""
        images = []
        for start in range(0, len(paths), self.AT_ONCE):
            data = [read_file(str(path)) for path in paths[start : start + self.AT_ONCE]]
            decoded = decode_jpeg(data, mode=ImageReadMode.RGB, device=self.device)
            images += [self.transform(pixels) for pixels in decoded]
        return torch.stack(images)
