"""Options of the subcommands of `python -m seit_cl.tokenize`, without what runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from seit_cl.core.cli import MaxPixels, OutPath, hint
from seit_cl.core.limits import MAX_PIXELS
from seit_cl.tokenizers import DEFAULT_TOKENIZER

CODEBOOK = "codebook"  # the quantiser that has one


@dataclass(frozen=True)
class List:
    """Print every kind of tokenizer with its source, options and paper."""


@dataclass(frozen=True)
class Inspect:
    """Describe a file, folder or tokenizer.

    Takes a tokenizer, which it can measure on images, a token file, a SeiT release or a checkpoint.
    """

    what: Annotated[
        tyro.conf.Positional[str],
        hint("file, folder or kind:SOURCE; none: the tokenizer of --tokenizer"),
    ] = ""
    tokenizer: Annotated[
        str | None, hint("a tokenizer, or the one that made a token file; none: the bundled one")
    ] = None
    images: Annotated[
        Path | None, hint("folder of images to measure the tokenizer on, with its subfolders")
    ] = None
    resolution: Annotated[int, hint("side in pixels that these are resized to")] = 64
    picture: Annotated[
        Path | None, hint("PNG file for reconstructions of these images, or of fractals")
    ] = None
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Show:
    """Draw images and their reconstructions from tokens: fractals, and image files."""

    images: Annotated[tuple[Path, ...], hint("image files; their central squares are shown")] = ()
    sides: Annotated[tuple[int, ...], hint("sides in pixels that each file is shown at")] = (
        64,
        128,
        256,
    )
    fractals: Annotated[int, hint("fractals of 64 px to show")] = 4
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    out: Annotated[OutPath, hint("PNG file to write")] = Path("reconstructions.png")
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Train:
    """Train a tokenizer on an image folder and fractals, and measure it on the val images."""

    data_root: Annotated[Path, hint("images, as --data-root of seit_cl.run")]
    out: Annotated[OutPath, hint("safetensors file to write")]
    leave_out: Annotated[
        Path | None, hint("text file of images to leave out, as --leave-out of seit_cl.run")
    ] = None
    minutes: Annotated[float, hint("wall-clock minutes of training")] = 20.0
    steps: Annotated[int, hint("optimiser steps, in place of --minutes; 0: the minutes count")] = 0
    resolution: Annotated[int, hint("image side in pixels")] = 64
    fractals: Annotated[int, hint("fractal images in addition to the folder's")] = 2500
    photos: Annotated[
        Path | None, hint("folder of larger images, trained on in tiles and without classes")
    ] = None
    architecture: Annotated[
        Literal["bundled", "vit-vqgan"], hint("convolutions of stride 8, or a ViT-VQGAN")
    ] = "bundled"
    quantiser: Annotated[
        str,
        hint(
            "codebook; or without one, bundled only: fsq:8,5,5,5 (levels of each dimension) or "
            "bsq:18 (bits)"
        ),
    ] = CODEBOOK
    levels: Annotated[
        int, hint("codes per position, bundled only; FILE,levels=1 uses the first alone")
    ] = 1
    start: Annotated[
        str | None,
        hint(
            "tokenizer of this kind to add levels to, e.g. bundled: its encoder and first codes do "
            "not change, and it sets --codes, --width and --depth"
        ),
    ] = None
    codes: Annotated[int, hint("codebook size K; even for bundled")] = 1024
    width: Annotated[
        int, hint("channels at stride 8, a multiple of 4; for vit-vqgan a multiple of 64")
    ] = 128
    depth: Annotated[
        int, hint("encoder blocks at stride 8; for vit-vqgan blocks of encoder and of decoder")
    ] = 3
    patch: Annotated[int, hint("patch side in pixels of vit-vqgan, its stride")] = 8
    batch: Annotated[int, hint("images per step")] = 64
    crop: Annotated[
        int, hint("side in pixels of the random training crops; whole images at the end")
    ] = 32
    learning_rate: Annotated[float, hint("peak learning rate of AdamW")] = 2e-3
    supervision: Annotated[
        float, hint("weight of the loss on the targets that codes must predict; 0: none")
    ] = 1.0
    targets: Annotated[
        Literal["labels", "features"],
        hint(
            "what codes must predict: the images' classes, or, without labels, features that a "
            "teacher network learns from the images first"
        ),
    ] = "labels"
    teacher_steps: Annotated[
        int,
        hint(
            "optimiser steps of the teacher, of 192 images, with --targets features; 0: --minutes "
            "count for it too"
        ),
    ] = 1500
    precision: Annotated[
        Literal["fp32", "bf16"], hint("of the forward pass; codes are assigned in float32")
    ] = "fp32"
    seed: Annotated[int, hint("seed of weights, batches and fractals")] = 0
    device: Annotated[Literal["cpu", "cuda"], hint("device of the training")] = "cpu"
    note: Annotated[str, hint("for the model card: terms of the data, limits of the tokenizer")] = (
        ""
    )
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Adapt:
    """Train a map that rotates, shears and recolours token grids, for --token-adapt of runs.

    TokenAdapt and ColorAdapt (SeiT++). Labels are not used, and training images alone.
    """

    data_root: Annotated[Path, hint("images, as --data-root of seit_cl.run")]
    out: Annotated[OutPath, hint("safetensors file to write")]
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    minutes: Annotated[float, hint("wall-clock minutes of training")] = 5.0
    steps: Annotated[int, hint("optimiser steps, in place of --minutes; 0: the minutes count")] = 0
    resolution: Annotated[int, hint("image side in pixels")] = 64
    batch: Annotated[int, hint("images per step")] = 64
    learning_rate: Annotated[float, hint("peak learning rate of AdamW")] = 2e-3
    seed: Annotated[int, hint("seed of weights, batches and changes")] = 0
    device: Annotated[Literal["cpu", "cuda"], hint("device of the training")] = "cpu"
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Prune:
    """Write a tokenizer with only the codes that a data set's training images use.

    Positions whose nearest code is removed get the nearest of the remaining ones.
    """

    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")]
    data_root: Annotated[
        Path, hint("folder with train/<class>/* and val/<class>/*; the codes of train/ remain")
    ]
    out: Annotated[OutPath, hint("safetensors file to write")]
    resolution: Annotated[int, hint("side in pixels that images are resized to")] = 64
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class FitFeatures:
    """Fit a quantiser to the features of a frozen timm backbone, and write a tokenizer file."""

    tokenizer: Annotated[
        str, hint("timm:BACKBONE,option=value, e.g. timm:resnet18,pq=8x256; see tokenize list")
    ]
    out: Annotated[OutPath, hint("safetensors file to write")]
    data_root: Annotated[
        Path | None,
        hint("folder of images to fit on, or of its subfolder train/; none: fractals"),
    ] = None
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Entropy:
    """Fit the entropy model of a tokenizer's codes to images that no memory will store."""

    data_root: Annotated[
        Path,
        hint("folder with train/<class>/* to fit to and val/<class>/* to measure on"),
    ]
    out: Annotated[OutPath, hint("safetensors file to write")]
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    resolution: Annotated[int, hint("side in pixels of the folder's images")] = 64
    photos: Annotated[Path | None, hint("folder of larger images to fit to as well")] = None
    sizes: Annotated[
        tuple[int, ...], hint("sides in pixels that the larger images are resized to")
    ] = (
        96,
        128,
        192,
        256,
        320,
        384,
    )
    steps: Annotated[int, hint("steps of the fit")] = 8000
    width: Annotated[
        int, hint("units of both hidden layers of the network; fewer make a smaller model")
    ] = 128
    embedding: Annotated[int, hint("dimensions of a neighbour's embedding in the network")] = 32
    compact_width: Annotated[int, hint("units of both hidden layers of the compact network")] = 16
    seed: Annotated[int, hint("seed of weights and batches")] = 0
    max_pixels: MaxPixels = MAX_PIXELS


@dataclass(frozen=True)
class Encode:
    """Turn an image folder into a token file.

    The same command resumes after an interruption. Under torchrun, its processes share the work.
    """

    data_root: Annotated[Path, hint("images, as --data-root of seit_cl.run")]
    out: Annotated[OutPath, hint("safetensors file to write")]
    tokenizer: Annotated[str, hint("a tokenizer file, or kind:SOURCE,option=value")] = (
        DEFAULT_TOKENIZER
    )
    resolution: Annotated[int, hint("image side in pixels; 0: the dataset's own")] = 0
    workers: Annotated[int, hint("processes on a CPU, 0: one per core; always one on a GPU")] = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], hint("device of the tokenizer")] = "auto"
    skip_bad_images: Annotated[bool, hint("leave unreadable images out")] = False
    max_pixels: MaxPixels = MAX_PIXELS
    launcher: Annotated[
        Literal["local", "ray"],
        hint("where images are encoded: local, or ray (tasks of a cluster, a core each)"),
    ] = "local"
    ray_address: Annotated[str, hint("Ray cluster, as --ray-address of seit_cl.run")] = ""
    run_gpus: Annotated[float, hint("GPUs of a task on ray; 0.25: four tasks share one")] = 0


@dataclass(frozen=True)
class ImportSeit:
    """Turn the files of a SeiT release into a token file: train, val, or both."""

    release: Annotated[
        Path,
        hint("folder with NAME-train-token.data.bin.gz, its index and labels, and codebook.ckpt"),
    ]
    out: Annotated[OutPath, hint("safetensors file to write")]
    grid: Annotated[
        tuple[int, int] | None, hint("height and width of an image's tokens; none: square")
    ] = None
    classes: Annotated[
        Path | None, hint("text file of class names, one per line; none: numbers")
    ] = None


@dataclass(frozen=True)
class ExportSeit:
    """Write a token file in the format of the SeiT release."""

    tokens: Annotated[Path, hint("the token file")]
    out: Annotated[OutPath, hint("folder to make")]
    level: Annotated[int, hint("zlib compression level, 0 to 9")] = 9
