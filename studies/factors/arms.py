"""Arms of the study: what a learner sees, what its memory stores, and what it learnt before.

All arms are experience replay with the micro learner, or a convolutional network as small, on the
same streams. An arm differs from another in one respect where that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Data = Literal["plain", "same-codec"]
Pretraining = Literal["none", "labels", "features"]
UNSUPERVISED = "bundled-unsupervised"
BUNDLED = "bundled"
CNN = "timm:test_resnet"  # 0.37 M weights; a step takes as long as the micro ViT's
BUDGETS = (0.02, 0.1, 0.5)  # MB
# The image codec that ends highest on validation images, by learner and budget
# (docs/results/factors.md).
RIVALS: Mapping[str, Mapping[float, str]] = {
    "labelled tokens": {
        0.02: "webp_scan:quality=5",
        0.1: "webp_scan:quality=25",
        0.5: "webp_scan:quality=25",
    },
    "unlabelled tokens": {
        0.02: "webp_scan:quality=5",
        0.1: "avif_scan:quality=75",
        0.5: "avif_scan:quality=75",
    },
    "pixels": {
        0.02: "webp_scan:quality=25",
        0.1: "jpeg_scan:quality=25",
        0.5: "webp_scan:quality=60",
    },
    "pre-trained pixels": {
        0.02: "webp_scan:quality=5",
        0.1: "avif_scan:quality=60",
        0.5: "avif_scan:quality=60",
    },
}


@dataclass(frozen=True)
class Arm:
    """One way to learn from a memory.

    Args:
        description: for tables.
        format: of the memory, or formats by budget in MB.
        options: of `seit_cl.config.RunConfig`, besides those that all arms share.
        pretraining: what the learner was trained to predict from the images that the tokenizers
            were trained on: their labels, or features of the teacher of the tokenizer without
            labels.
        data: images as they are, or all of them (training and test) through the codec of the
            budget.
    """

    description: str
    format: str | Mapping[float, str]
    options: Mapping[str, Any] = field(default_factory=dict)
    pretraining: Pretraining = "none"
    data: Data = "plain"

    @property
    def own_learner(self) -> bool:
        """False where another arm has the same learner and differs only in the memory's format."""
        learns_tokens = self.options.get("learner", "tokens") == "tokens"
        return self.data == "plain" and (self.format == "tokens" or not learns_tokens)


_LABELLED_RIVAL = RIVALS["labelled tokens"]
_UNLABELLED_RIVAL = RIVALS["unlabelled tokens"]
_PIXELS_RIVAL = RIVALS["pixels"]
_TRAINED_RIVAL = RIVALS["pre-trained pixels"]
_TOKENS = {"tokenizer": BUNDLED}
_UNLABELLED = {"tokenizer": UNSUPERVISED}
_PIXELS = {"learner": "pixels", "tokenizer": None}
_CNN = {**_PIXELS, "model": CNN}
_LATENTS = {
    **_PIXELS,
    "model": "studies.factors.latents.LatentViT",
    "pixel_rrc": 0.6,  # as the token learner's crop
}

ARMS: Mapping[str, Arm] = {
    "tokens-labels": Arm("tokens, tokenizer trained with labels", "tokens", _TOKENS),
    "images-tokens-labels": Arm("images through the same token learner", _LABELLED_RIVAL, _TOKENS),
    "tokens": Arm("tokens, tokenizer trained without labels", "tokens", _UNLABELLED),
    "images-tokens": Arm("images through the same token learner", _UNLABELLED_RIVAL, _UNLABELLED),
    "tokens-vit": Arm(
        "tokens without labels, ViT pre-trained with labels", "tokens", _UNLABELLED, "labels"
    ),
    "pixels": Arm("images, ViT on pixels", _PIXELS_RIVAL, _PIXELS),
    "pixels-features": Arm(
        "images, ViT on pixels, pre-trained without labels", _TRAINED_RIVAL, _PIXELS, "features"
    ),
    "pixels-vit": Arm(
        "images, ViT on pixels, pre-trained with labels", _TRAINED_RIVAL, _PIXELS, "labels"
    ),
    "cnn": Arm("images, small CNN", _PIXELS_RIVAL, _CNN),
    "cnn-labels": Arm("images, small CNN, pre-trained with labels", _TRAINED_RIVAL, _CNN, "labels"),
    "latents": Arm("images, ViT on the labelled encoder's latents", _LABELLED_RIVAL, _LATENTS),
    "tokens-same-codec": Arm(
        "tokens, all images through the codec", "tokens", _TOKENS, data="same-codec"
    ),
    "images-same-codec": Arm(
        "images through the token learner, all images through it",
        _LABELLED_RIVAL,
        _TOKENS,
        data="same-codec",
    ),
}


def format_at(arm: Arm, budget: float) -> str:
    """Format of an arm's memory at a budget in MB."""
    return arm.format if isinstance(arm.format, str) else arm.format[budget]
