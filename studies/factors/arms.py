"""Arms of the study: what a learner sees, what its memory stores, and what it learnt before.

All arms are experience replay with the micro learner, or a convolutional network as small, on the
same streams. An arm differs from another in one respect where that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Data = Literal["plain", "same-jpeg"]
Pretraining = Literal["none", "labels", "features"]
UNSUPERVISED = "bundled-unsupervised"
BUNDLED = "bundled"
CNN = "timm:test_resnet"  # 0.37 M weights; a step takes as long as the micro ViT's
BUDGETS = (0.02, 0.1, 0.5)  # MB
# The JPEG that ends highest at each budget in the sweep of docs/results/bench-mini.md.
BEST_JPEG = {
    0.02: "jpeg_scan:quality=10,size=64",
    0.1: "jpeg_scan:quality=25,size=64",
    0.5: "jpeg_scan:quality=25,size=64",
}


@dataclass(frozen=True)
class Arm:
    """One way to learn from a memory.

    Args:
        description: for tables.
        format: of the memory; "best-jpeg" for that of BEST_JPEG.
        options: of `seit_cl.config.RunConfig`, besides those that all arms share.
        pretraining: what the learner was trained to predict from the images that the tokenizers
            were trained on: their labels, or features of the teacher of the tokenizer without
            labels.
        data: images as they are, or all of them (training and test) through the JPEG of the budget.
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
    "jpeg-tokens-labels": Arm("JPEG through the same token learner", "best-jpeg", _TOKENS),
    "tokens": Arm("tokens, tokenizer trained without labels", "tokens", _UNLABELLED),
    "jpeg-tokens": Arm("JPEG through the same token learner", "best-jpeg", _UNLABELLED),
    "tokens-vit": Arm(
        "tokens without labels, ViT pre-trained with labels", "tokens", _UNLABELLED, "labels"
    ),
    "pixels": Arm("JPEG, ViT on pixels", "best-jpeg", _PIXELS),
    "pixels-features": Arm(
        "JPEG, ViT on pixels, pre-trained without labels", "best-jpeg", _PIXELS, "features"
    ),
    "pixels-vit": Arm(
        "JPEG, ViT on pixels, pre-trained with labels", "best-jpeg", _PIXELS, "labels"
    ),
    "cnn": Arm("JPEG, small CNN", "best-jpeg", _CNN),
    "cnn-labels": Arm("JPEG, small CNN, pre-trained with labels", "best-jpeg", _CNN, "labels"),
    "latents": Arm("JPEG, ViT on the labelled encoder's latents", "best-jpeg", _LATENTS),
    "tokens-same-jpeg": Arm(
        "tokens, all images through the JPEG", "tokens", _TOKENS, data="same-jpeg"
    ),
    "jpeg-same-jpeg": Arm(
        "JPEG through the token learner, all images through it",
        "best-jpeg",
        _TOKENS,
        data="same-jpeg",
    ),
}


def format_at(arm: Arm, budget: float) -> str:
    """Format of an arm's memory at a budget in MB."""
    return BEST_JPEG[budget] if arm.format == "best-jpeg" else arm.format
