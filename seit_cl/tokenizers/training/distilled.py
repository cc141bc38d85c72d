"""Training of a tokenizer on features of its images that a teacher learnt without labels.

In place of classes, a network on the quantised codes predicts the teacher's features of the whole
image, well enough to tell them from those of the other images of the batch (a contrastive form of
distillation: Tian et al., ICLR 2020).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.tokenizers.training.class_head import ClassHead
from seit_cl.tokenizers.training.coding import Trainable
from seit_cl.tokenizers.training.trainer import Trainer, TrainingSettings

TEMPERATURE = 0.1


class DistilledTrainer(Trainer):
    """Train an autoencoder whose codes predict given features of the images.

    Args:
        model: on its device.
        images: (N, 3, S, S) uint8.
        features: (N, W) of the images.
        settings: see TrainingSettings; `supervision` is the weight of the features' loss.
    """

    def __init__(
        self, model: Trainable, images: Tensor, features: Tensor, settings: TrainingSettings
    ) -> None:
        self.features = F.normalize(features, dim=1).to(next(model.parameters()).device)
        super().__init__(model, images, torch.arange(len(images)), settings)

    def _class_head(self) -> ClassHead:
        """A new head that predicts features."""
        return self.new_head(self.features.shape[1])

    def class_loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Contrastive loss of the features predicted from codes (B, D, H, W).

        Args:
            codes: quantised.
            labels: (B,) indices of the images.
        """
        with self.autocast():
            predicted = self.head(codes)
        return distillation_loss(predicted.float(), self.features[labels])


def distillation_loss(predicted: Tensor, features: Tensor) -> Tensor:
    """Cross-entropy of finding each image's features among those of the batch.

    Args:
        predicted: (B, W).
        features: unit vectors (B, W).
    """
    similarity = F.normalize(predicted, dim=1) @ features.T / TEMPERATURE
    own = torch.arange(len(features), device=features.device)
    return F.cross_entropy(similarity, own)
