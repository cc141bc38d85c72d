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
# The image codec that ends highest at each budget on validation images (docs/results/factors.md).
RIVALS = {
    0.02: "webp_scan:quality=5",
    0.1: "webp_scan:quality=25",
    0.5: "webp_scan:quality=25",
}


@dataclass(frozen=True)
class Arm:
    """One way to learn from a memory.

    Args:
        description: for tables.
        format: of the memory; "rival" for that of RIVALS.
        options: of `seit_cl.config.RunConfig`, besides those that all arms share.
        pretraining: what the learner was trained to predict from the images that the tokenizers
            were trained on: their labels, or features of the teacher of the tokenizer without
            labels.
        data: images as they are, or all of them (training and test) through the codec of the
            budget.
    """

    description: str
    format: str
    options: Mapping[str, Any] = field(default_factory=dict)
    pretraining: Pretraining = "none"
    data: Data = "plain"

    @property
    def own_learner(self) -> bool:
        """False where another arm has the same learner and differs only in the memory's format."""
        learns_tokens = self.options.get("learner", "tokens") == "tokens"
        return self.data == "plain" and (self.format == "tokens" or not learns_tokens)


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
    "images-tokens-labels": Arm("images through the same token learner", "rival", _TOKENS),
    "tokens": Arm("tokens, tokenizer trained without labels", "tokens", _UNLABELLED),
    "images-tokens": Arm("images through the same token learner", "rival", _UNLABELLED),
    "tokens-vit": Arm(
        "tokens without labels, ViT pre-trained with labels", "tokens", _UNLABELLED, "labels"
    ),
    "pixels": Arm("images, ViT on pixels", "rival", _PIXELS),
    "pixels-features": Arm(
        "images, ViT on pixels, pre-trained without labels", "rival", _PIXELS, "features"
    ),
    "pixels-vit": Arm("images, ViT on pixels, pre-trained with labels", "rival", _PIXELS, "labels"),
    "cnn": Arm("images, small CNN", "rival", _CNN),
    "cnn-labels": Arm("images, small CNN, pre-trained with labels", "rival", _CNN, "labels"),
    "latents": Arm("images, ViT on the labelled encoder's latents", "rival", _LATENTS),
    "tokens-same-codec": Arm(
        "tokens, all images through the codec", "tokens", _TOKENS, data="same-codec"
    ),
    "images-same-codec": Arm(
        "images through the token learner, all images through it",
        "rival",
        _TOKENS,
        data="same-codec",
    ),
}


def format_at(arm: Arm, budget: float) -> str:
    """Format of an arm's memory at a budget in MB."""
    return RIVALS[budget] if arm.format == "rival" else arm.format
