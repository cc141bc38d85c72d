"""Fitting of a quantiser to the features of a frozen backbone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import timm
import torch
from rich.console import Console
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.progress import images_bar
from seit_cl.data.fractals import VERSION, render
from seit_cl.data.images import read_chunks
from seit_cl.data.split_folders import find_splits
from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from seit_cl.tokenizers.nets.quantiser import (
    Quantiser,
    QuantiserSettings,
    fit_quantiser,
    parse_sizes,
)
from seit_cl.tokenizers.training.images import find_images

DEFAULT_CODES = "1024"  # of k-means, if no quantiser is named
FRACTAL_CLASSES = 50
FRACTAL_SEED = (
    778  # neither that of the built-in dataset nor that of the bundled tokenizer's images
)
YES_NO = ("yes", "no")
FEATURE_BYTES = 1 << 29  # of the features that a quantiser is fitted to
CODED_AT_ONCE = 1 << 16  # positions


@dataclass(frozen=True)
class FitOptions:
    """Options of the backbone, of the quantiser, and of the images that it is fitted to.

    Args:
        km: codebook size of k-means, e.g. 1024.
        pq: product quantisation, e.g. 8x256: 8 parts of the dimensions, 256 codes each.
        rq: residual quantisation, e.g. 4x256: 4 levels of 256 codes each.
        dim: number of principal components; 0 uses the features themselves.
        whiten: "yes" scales the components to the same variance.
        layer: index of the backbone's block or stage that gives the features, from 0, or from -1
            backwards.
        stride: pixels of an image per token, for which images are resized; 0 leaves them as they
            are.
        pretrained: "yes" loads timm's own weights, "no" draws random ones.
        weights: safetensors file of the backbone's state dict to load instead.
        fit: folder of images to fit to, or its train/ if it has one; "" takes fractals.
        images: largest number of images to fit to.
        side: side in pixels to which these images are resized.
        seed: of the choice of images, of k-means, and of random weights.
    """

    km: str = ""
    pq: str = ""
    rq: str = ""
    dim: int = 64
    whiten: str = "no"
    layer: int = -1
    stride: int = 8
    pretrained: str = "yes"
    weights: str = ""
    fit: str = ""
    images: int = 1000
    side: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate the values.

        Raises:
            UserError: a value is out of range.
        """
        rules = (
            ("dim", self.dim >= 0, "must be 0 or more"),
            ("stride", self.stride >= 0, "must be 0 or more"),
            ("images", self.images >= 1, "must be at least 1"),
            ("seed", self.seed >= 0, "must be 0 or more"),
            ("side", 32 <= self.side <= 256, "must be from 32 to 256"),
            ("whiten", self.whiten in YES_NO, "must be yes or no"),
            ("pretrained", self.pretrained in YES_NO, "must be yes or no"),
        )
        for name, valid, rule in rules:
            if not valid:
                raise UserError(f"timm: {name}={getattr(self, name)}: {rule}")
        if self.whiten == "yes" and self.dim == 0:
            raise UserError("timm: whiten=yes needs principal components; choose dim= above 0")
        self.quantiser()

    def quantiser(self) -> QuantiserSettings:
        """Settings of the requested quantiser.

        Raises:
            UserError: more than one is named, or its size has another syntax.
        """
        kinds: tuple[Literal["km", "pq", "rq"], ...] = ("km", "pq", "rq")
        named = [kind for kind in kinds if getattr(self, kind)]
        if len(named) > 1:
            raise UserError(f"timm: {' and '.join(named)} at once; choose one")
        kind = named[0] if named else "km"
        groups, codes = parse_sizes(kind, getattr(self, kind) or DEFAULT_CODES)
        return QuantiserSettings(kind, groups, codes, self.dim, self.whiten == "yes", self.seed)

    def key(self, backbone: str, paths: list[Path] | None) -> str:
        """16 hexadecimal digits that change with everything that the fitted tokenizer depends on.

        Args:
            backbone: timm's name.
            paths: image files to fit to; None for fractals.
        """
        inputs = asdict(self)
        inputs["backbone"] = backbone
        inputs["fractals"] = VERSION
        inputs["timm"] = timm.__version__
        inputs["torch"] = torch.__version__
        inputs["quantiser"] = asdict(self.quantiser())
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode())
        files = list(paths or ())
        if self.weights:
            files.append(Path(self.weights))
        for path in files:
            digest.update(f"{path.resolve()}\n".encode())
            if path.is_file():
                status = path.stat()
                digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def fitting_images(options: FitOptions) -> list[Path] | None:
    """Choose the image files that a quantiser is fitted to; None for fractals.

    Raises:
        UserError: the folder does not exist or holds no images.
    """
    if not options.fit:
        return None
    root = Path(options.fit)
    if not root.is_dir():
        raise UserError(f"timm: fit={root}: no such folder")
    paths = find_images(root / find_splits(root).train, "fit")
    chosen = _shuffled(len(paths), options.seed)[: options.images]
    return [paths[index] for index in sorted(chosen.tolist())]


def _shuffled(count: int, seed: int) -> Tensor:
    """The indices (N,) of `count` images in random order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def fit_features(name: str, options: FitOptions) -> tuple[Backbone, Quantiser, dict[str, str]]:
    """Create a backbone and fit a quantiser to its features.

    Args:
        name: timm's name of the backbone.
        options: see FitOptions.

    Returns:
        The backbone, the quantiser, and their card.

    Raises:
        UserError: weights or images that are not available, or options that contradict each other.
    """
    settings = BackboneSettings(name, options.layer, options.stride)
    weights = Path(options.weights) if options.weights else None
    backbone = Backbone(settings, options.pretrained == "yes", weights, options.seed)
    if options.side % backbone.stride:
        raise UserError(
            f"timm: side={options.side}: must be a multiple of the stride, {backbone.stride}"
        )
    paths = fitting_images(options)
    if paths is None:
        images = _fractals(options)
        count = len(images)
        blocks = iter([images])
        source = "fractals"
    else:
        count = len(paths)
        blocks = read_chunks(paths, options.side)
        source = f"images of {Path(options.fit).resolve().name}"
    features = features_of(backbone, blocks, count, options)
    quantiser = fit_quantiser(features, options.quantiser())
    explained = 100 * explained_variance(quantiser, features)
    card = {
        "backbone": f"timm {timm.__version__} {name}, layer {options.layer}, "
        f"{backbone.width} features a position",
        "weights": _weights_source(options),
        "data": f"fitted on {count} {source} at {options.side} px, {len(features):,} positions",
        "figures": f"codes keep {explained:.1f} % of the variance of the "
        f"{quantiser.matrix.shape[1]} dimensions that are quantised",
        "date": date.today().isoformat(),
    }
    return backbone, quantiser, card


def _fractals(options: FitOptions) -> Tensor:
    """Fractals (N, 3, S, S) uint8 to fit to, S being options.side."""
    per_class = -(-options.images // FRACTAL_CLASSES)
    images, _ = render(FRACTAL_CLASSES, per_class, options.side, FRACTAL_SEED, "train")
    return images[_shuffled(len(images), options.seed)[: options.images]]


def _weights_source(options: FitOptions) -> str:
    """Origin of the backbone's weights, for the card."""
    if options.weights:
        return Path(options.weights).name
    if options.pretrained == "yes":
        return "pretrained"
    return f"random, seed {options.seed}"


def features_of(
    backbone: Backbone, blocks: Iterable[Tensor], count: int, options: FitOptions
) -> Tensor:
    """Features of the positions of images, or of some positions of each where they are too many.

    Args:
        backbone: gives the features of an image.
        blocks: images (n, 3, S, S) uint8, S being options.side.
        count: number of images N.
        options: give the side and the seed by which positions are chosen.

    Returns:
        (N * P, C) float32, of P positions of every image.
    """
    positions = (options.side // backbone.stride) ** 2
    fitting = max(1, FEATURE_BYTES // (4 * backbone.width * count))
    chosen = torch.arange(positions)
    if positions > fitting:
        chosen = _shuffled(positions, options.seed)[:fitting].sort().values
    features = torch.empty(count, len(chosen), backbone.width)
    done = 0
    title = f"features of {backbone.settings.name}"
    with images_bar(title, count, Console(stderr=True)) as advance, torch.no_grad():
        for block in blocks:
            for image in block:
                features[done] = backbone(image).permute(1, 2, 0).flatten(0, 1)[chosen]
                done += 1
                advance(1)
    return features.flatten(0, 1)


def explained_variance(quantiser: Quantiser, features: Tensor) -> float:
    """Fraction of the variance of reduced features that their codes explain.

    Args:
        quantiser: reduces and codes the features.
        features: (N, C).
    """
    error = 0.0
    variance = 0.0
    for part in features.split(CODED_AT_ONCE):
        reduced = quantiser.reduce(part)
        codes = quantiser.codes(part).long()
        vectors = [codebook[codes[:, g]] for g, codebook in enumerate(quantiser.codebook)]
        if quantiser.settings.combine == "concat":
            restored = torch.cat(vectors, 1)
        else:
            restored = torch.stack(vectors).sum(0)
        error += float((reduced - restored).square().sum())
        variance += float(reduced.square().sum())
    return 1 - error / max(variance, 1e-12)
