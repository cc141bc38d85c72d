"""Classification loss on the quantised codes of a tokenizer in training."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.nets.mirror import ToPairs
from seit_cl.tokenizers.nets.vqae import Block

UNLABELLED = -100  # label of images that are reconstructed but not classified
LABEL_SMOOTHING = 0.1


class ClassHead(nn.Module):
    """A network from quantised codes (B, D, H, W) to class logits (B, C), deep on purpose.

    A shallow head would make every position encode the class of the whole image, which serves the
    training classes alone.

    Args:
        dim: D.
        classes: C.
        source: kind of the codes, a key of seit_cl.tokenizers.nets.mirror.ACTIONS.
        width: features W that are pooled and classified.
    """

    def __init__(self, dim: int, classes: int, source: str = "code", width: int = 128) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ToPairs(source, dim, width, 3),
            nn.ReLU(),
            Block(width),
            ToPairs("pairs", width, 2 * width, 4, 2),
            nn.ReLU(),
            Block(2 * width),
        )
        self.classify = nn.Linear(width, classes)

    def pooled(self, codes: Tensor) -> Tensor:
        """Features (B, W) of codes (B, D, H, W), the same for an image and its mirror image."""
        first, second = self.features(codes).mean((2, 3)).chunk(2, 1)
        return first + second  # type: ignore[no-any-return]

    def forward(self, codes: Tensor) -> Tensor:
        """(B, D, H, W) -> (B, C)."""
        logits: Tensor = self.classify(self.pooled(codes))
        return logits


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the labelled samples; 0 if there are none.

    Args:
        logits: (B, C).
        labels: (B,) int64, UNLABELLED for samples without a class.
    """
    losses = F.cross_entropy(
        logits.float(),
        labels,
        label_smoothing=LABEL_SMOOTHING,
        ignore_index=UNLABELLED,
        reduction="sum",
    )
    labelled = (labels != UNLABELLED).sum().clamp(min=1)
    return losses / labelled
