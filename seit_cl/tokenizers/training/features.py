"""Fitting a quantiser to the features of a backbone: options, images, card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import timm
import torch
from rich.console import Console
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.progress import track
from seit_cl.data.fractals import VERSION, render
from seit_cl.data.images import load_images
from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from seit_cl.tokenizers.nets.quantiser import (
    Quantiser,
    QuantiserSettings,
    fit_quantiser,
    parse_sizes,
)
from seit_cl.tokenizers.training.images import find_images

DEFAULT_CODES = "1024"  # of k-means, where no quantiser is named
FRACTAL_CLASSES = 50
FRACTAL_SEED = (
    778  # neither of the built-in data set nor of the fractals that the bundled kind is trained on
)
WORDS = ("yes", "no")


@dataclass(frozen=True)
class FitOptions:
    """How a backbone's features are quantised, and what that is fitted on.

    Args:
        km: codebook size of k-means, e.g. 1024.
        pq: product quantisation, e.g. 8x256: 8 parts of the dimensions, 256 codes each.
        rq: residual quantisation, e.g. 4x256: 4 levels of 256 codes each.
        dim: principal components kept; 0: the features as they are.
        whiten: "yes": components are brought to one variance.
        layer: which of the backbone's blocks or stages gives the features, from 0, or from -1 backwards.
        stride: pixels of an image per token; images are resized for the backbone so that it comes out. 0: they are not.
        pretrained: "yes": timm's own weights; "no": random ones.
        weights: safetensors file of the backbone's state dict, instead.
        fit: folder of images to fit on, its train/ where it has one; "": fractals.
        images: how many of them at most.
        side: pixels that these are resized to.
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
        """Raises UserError for values out of range."""
        rules = (
            ("dim", self.dim >= 0, "must be 0 or more"),
            ("stride", self.stride >= 0, "must be 0 or more"),
            ("images", self.images >= 1, "must be at least 1"),
            ("seed", self.seed >= 0, "must be 0 or more"),
            ("side", 32 <= self.side <= 256, "must be from 32 to 256"),
            ("whiten", self.whiten in WORDS, "must be yes or no"),
            ("pretrained", self.pretrained in WORDS, "must be yes or no"),
        )
        for name, holds, words in rules:
            if not holds:
                raise UserError(f"timm: {name}={getattr(self, name)}: {words}")
        if self.whiten == "yes" and self.dim == 0:
            raise UserError("timm: whiten=yes needs principal components; choose dim= above 0")
        self.quantiser()

    def quantiser(self) -> QuantiserSettings:
        """The quantiser that is asked for.

        Raises:
            UserError: more than one is named, or its size is written otherwise.
        """
        named = {
            kind: text for kind, text in (("km", self.km), ("pq", self.pq), ("rq", self.rq)) if text
        }
        if len(named) > 1:
            raise UserError(f"timm: {' and '.join(named)} at once; choose one")
        kinds: dict[str, Literal["km", "pq", "rq"]] = {"km": "km", "pq": "pq", "rq": "rq"}
        name, text = next(iter(named.items()), ("km", DEFAULT_CODES))
        groups, codes = parse_sizes(name, text)
        return QuantiserSettings(
            kinds[name], groups, codes, self.dim, self.whiten == "yes", self.seed
        )

    def key(self, backbone: str, paths: list[Path] | None) -> str:
        """16 hexadecimal digits over everything that the fitted tokenizer depends on.

        Args:
            backbone: timm's name.
            paths: image files that it is fitted on; None: fractals.
        """
        facts = asdict(self) | {
            "backbone": backbone,
            "fractals": VERSION,
            "timm": timm.__version__,
            "torch": torch.__version__,
        }
        digest = hashlib.sha256(
            json.dumps(facts | {"quantiser": asdict(self.quantiser())}, sort_keys=True).encode()
        )
        for path in [*(paths or ()), *([Path(self.weights)] if self.weights else [])]:
            digest.update(f"{path.resolve()}\n".encode())
            if path.is_file():
                found = path.stat()
                digest.update(f"{found.st_size} {found.st_mtime_ns}\n".encode())
        return digest.hexdigest()[:16]


def fitting_images(options: FitOptions) -> list[Path] | None:
    """The image files that a quantiser is fitted on; None: fractals.

    Raises:
        UserError: no such folder, or no images in it.
    """
    if not options.fit:
        return None
    root = Path(options.fit)
    if not root.is_dir():
        raise UserError(f"timm: fit={root}: no such folder")
    found = find_images(root / "train" if (root / "train").is_dir() else root, "fit")
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(options.seed))
    return [found[place] for place in sorted(order[: options.images].tolist())]


def fit_features(name: str, options: FitOptions) -> tuple[Backbone, Quantiser, dict[str, str]]:
    """A backbone, a quantiser fitted to its features, and their card.

    Args:
        name: timm's name of the backbone.
        options: see FitOptions.

    Raises:
        UserError: weights or images that cannot be had, or options that do not fit one another.
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
        per_class = -(-options.images // FRACTAL_CLASSES)
        images = render(FRACTAL_CLASSES, per_class, options.side, FRACTAL_SEED, "train")[0]
        images = images[
            torch.randperm(len(images), generator=torch.Generator().manual_seed(options.seed))[
                : options.images
            ]
        ]
    else:
        images = load_images(paths, options.side)
    features = features_of(backbone, images)
    quantiser = fit_quantiser(features, options.quantiser())
    share = 100 * explained(quantiser, features)
    fitted_on = "fractals" if paths is None else f"images of {Path(options.fit).resolve().name}"
    card = {
        "backbone": f"timm {timm.__version__} {name}, layer {options.layer}, {backbone.width} features a position",
        "weights": weights.name
        if weights
        else "pretrained"
        if options.pretrained == "yes"
        else f"random, seed {options.seed}",
        "data": f"fitted on {len(images)} {fitted_on} at {options.side} px, {len(features):,} positions",
        "figures": f"codes keep {share:.1f} % of the variance of the {quantiser.matrix.shape[1]} dimensions that are quantised",
        "date": date.today().isoformat(),
    }
    return backbone, quantiser, card


@torch.inference_mode()
def features_of(backbone: Backbone, images: Tensor) -> Tensor:
    """Features (N * H * W, C) of images (N, 3, S, S)."""
    console = Console(stderr=True)
    shown = track(list(images), f"features of {backbone.settings.name}", console)
    return torch.cat([backbone(image).permute(1, 2, 0).flatten(0, 1) for image in shown]).clone()


def explained(quantiser: Quantiser, features: Tensor) -> float:
    """Share of the variance of features (N, C), after their reduction, that is left when codes stand for them."""
    reduced, codes = quantiser.reduce(features), quantiser.codes(features).long()
    vectors = [book[codes[:, group]] for group, book in enumerate(quantiser.codebook)]
    restored = (
        torch.cat(vectors, 1) if quantiser.settings.kind == "pq" else torch.stack(vectors).sum(0)
    )
    return 1 - float((reduced - restored).square().sum() / reduced.square().sum().clamp_min(1e-12))
