"""Ways to train a tokenizer, each different from the package's recipe in one respect.

Variants that helped became part of seit_cl/tokenizers. Those that did not, or that gained too
little for their complexity, stay here, so that they can be tried again.

Symbols: B batch, C image side in pixels, D code dimension, H x W grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.class_head import classification_loss
from seit_cl.tokenizers.training.codebook import CodebookAverages
from seit_cl.tokenizers.training.contrastive import TeacherSettings, TeacherTraining
from seit_cl.tokenizers.training.distilled import DistilledTrainer
from seit_cl.tokenizers.training.trainer import Trainer, TrainingSettings
from studies.ablation.models import FSQ, Mixed, Product, ViT

VISIBLE = 0.7  # fraction of the positions that the class head of Masked sees
TEMPERATURE = 0.2  # of the contrastive loss
CONTRASTIVE_WEIGHT = 0.3
FEATURE_WEIGHT = 0.3
TEACHER_STEPS = 1500  # of 192 images
CLUSTERS = 500


class Rotated(Trainer):
    """Gradients rotated by the rotation from latent to code (Fifty et al., ICLR 2025)."""

    def straight_through(self, latents: Tensor, codes: Tensor) -> Tensor:
        """The codes (B, D, H, W), as rotations of the latents; both are unit vectors."""
        fixed = latents.detach()
        middle = F.normalize(fixed + codes, dim=1)
        along_middle = (latents * middle).sum(1, keepdim=True)
        along_fixed = (latents * fixed).sum(1, keepdim=True)
        return latents - 2 * along_middle * middle + 2 * along_fixed * codes


class PixelsAlone(Trainer):
    """Reconstruction of pixels only, without the 4 x 4 means."""

    def reconstruction_loss(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """Mean squared error between images (B, 3, C, C)."""
        return (restored - images).square().mean()


class Features(Trainer):
    """Reconstruction in feature space too: restored images must have the latents of the images."""

    def reconstruction_loss(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """The recipe's loss plus the squared distance of the latents (B, D, H, W).

        The encoder is frozen for this distance: neither its weights nor its statistics learn
        from it.
        """
        frozen = {}
        for name, tensor in self.model.encoder.state_dict().items():
            frozen[name] = tensor.detach().clone()
        with self.autocast():
            encoded = torch.func.functional_call(self.model.encoder, frozen, (restored,))
        difference = self.model.project(encoded.float()) - latents.detach()
        distance = difference.square().sum(1).mean()
        pixels = super().reconstruction_loss(restored, images, latents)
        return pixels + FEATURE_WEIGHT * distance


class Masked(Trainer):
    """A class head that sees 70 % of the positions, so that each code must be informative."""

    def class_loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Classification loss of codes (B, D, H, W) of which some positions are zeroed."""
        positions = (codes.shape[0], 1, *codes.shape[2:])
        visible = torch.rand(positions, generator=self.generator) < VISIBLE
        return super().class_loss(codes * visible.to(codes) / VISIBLE, labels)


class Jittered(Trainer):
    """Random brightness, contrast and saturation of every image."""

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, C, C) with jittered colours, and labels (B,)."""
        images, labels = super().draw_batch()
        factors = 0.6 + 0.8 * torch.rand(3, len(images), 1, 1, 1, generator=self.generator)
        brightness, contrast, saturation = factors.to(images.device)
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * saturation
        mean = images.mean((1, 2, 3), keepdim=True)
        images = mean + (images - mean) * contrast
        images = ((images + 1) * brightness - 1).clamp(-1, 1)
        return images.contiguous(memory_format=torch.channels_last), labels


class CutMixed(Trainer):
    """CutMix (Yun et al., ICCV 2019) of half of the batches, for both losses.

    Attributes:
        share: fraction of the area that an image keeps in the current batch.
        other_labels: labels (B,) of the images in the boxes.
    """

    def draw_batch(self) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, C, C), each with a box of the next one, and labels (B,)."""
        images, labels = super().draw_batch()
        self.share = 1.0
        self.other_labels = labels
        if torch.rand((), generator=self.generator) < 0.5:
            side = images.shape[-1]
            edge = int(side * math.sqrt(float(torch.rand((), generator=self.generator))))
            top, left = torch.randint(side - edge + 1, (2,), generator=self.generator).tolist()
            box = (..., slice(top, top + edge), slice(left, left + edge))
            images[box] = images.roll(1, 0)[box]
            self.share = 1 - edge**2 / side**2
            self.other_labels = labels.roll(1)
        return images, labels

    def class_loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Classification loss of codes (B, D, H, W) with both labels, weighted by area."""
        loss = super().class_loss(codes, labels)
        if self.share == 1:
            return loss
        other = super().class_loss(codes, self.other_labels)
        return self.share * loss + (1 - self.share) * other


class Contrastive(Trainer):
    """A contrastive loss in addition to the classes (SimCLR: Chen et al., ICML 2020).

    The features of two crops of an image must be more similar to each other than to others.

    Attributes:
        classes: add the classification loss.
    """

    classes = True

    def draw_indices(self) -> Tensor:
        """Indices (B,) of half as many images, each twice."""
        return super().draw_indices()[: self.settings.batch // 2].repeat(2)

    def class_loss(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Contrastive loss of codes (B, D, H, W), with the classification loss if asked for."""
        with self.autocast():
            pooled = self.head.pooled(codes)
            logits = self.head.classify(pooled)
        features = F.normalize(pooled.float(), dim=1)
        similarity = features @ features.T / TEMPERATURE
        count = len(similarity)
        itself = torch.eye(count, dtype=torch.bool, device=similarity.device)
        similarity = similarity.masked_fill(itself, -1e4)
        partner = torch.arange(count, device=similarity.device).roll(count // 2)
        loss = CONTRASTIVE_WEIGHT * F.cross_entropy(similarity, partner)
        if self.classes:
            loss = loss + classification_loss(logits, labels)
        return loss


class ContrastiveAlone(Contrastive):
    """The contrastive loss without classes."""

    classes = False


def learn_features(images: Tensor, settings: TrainingSettings) -> Tensor:
    """Features (N, W) that a teacher learns from images (N, 3, S, S) uint8 without labels."""
    options = TeacherSettings(
        settings.minutes, TEACHER_STEPS, seed=settings.seed, precision=settings.precision
    )
    training = TeacherTraining(images, options)
    training.run()
    return training.features()


class Taught(DistilledTrainer):
    """Features of a teacher in place of classes, as `tokenize train --targets features`."""

    def __init__(
        self, model: VQAutoencoder, images: Tensor, labels: Tensor, settings: TrainingSettings
    ) -> None:
        super().__init__(model, images, learn_features(images, settings), settings)


class Clustered(Trainer):
    """Clusters of a teacher's features in place of classes (Caron et al., ECCV 2018)."""

    def __init__(
        self, model: VQAutoencoder, images: Tensor, labels: Tensor, settings: TrainingSettings
    ) -> None:
        features = F.normalize(learn_features(images, settings), dim=1)
        count = min(CLUSTERS, len(images))
        found = KMeans(count, random_state=settings.seed).fit_predict(features.numpy())
        super().__init__(model, images, torch.from_numpy(found).long(), settings)


class FixedCodebook(Trainer):
    """A codebook that training does not change."""

    def update_codebooks(self, latents: Tensor, detailed: Tensor, indices: Tensor) -> None:
        """Leave the codebook as it is; latents (B, D, H, W), indices (B, 1, H, W)."""


class ProductTrainer(Trainer):
    """A Product model, each of whose two codebooks has averages of its own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.product: Product = self.model  # type: ignore[assignment]
        self.half_averages = []
        for half in self.product.halves:
            half.signs = half.signs.to(self.device)
            half.codebook = half.codebook.to(self.device)
            averages = CodebookAverages(half.codebook, half.signs, self.generator)
            self.half_averages.append(averages)

    def update_codebooks(self, latents: Tensor, detailed: Tensor, indices: Tensor) -> None:
        """Move both codebooks towards their parts of the latents (B, D, H, W)."""
        both_indices = self.product.split(indices[:, 0])
        parts = zip(self.half_averages, self.product.place, both_indices, strict=True)
        for averages, dimensions, half_indices in parts:
            averages.update(latents[:, dimensions] * math.sqrt(2), half_indices, self.step)
        self.product.compose()


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        description: difference from the recipe, for the table.
        options: of the autoencoder.
        settings: fields of seit_cl.tokenizers.training.trainer.TrainingSettings.
        model: class of the autoencoder.
        trainer: class of the trainer.
        minutes: factor of the training time.
    """

    description: str
    options: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: Callable[..., VQAutoencoder] = VQAutoencoder
    trainer: Callable[..., Trainer] = Trainer
    minutes: float = 1.0


VARIANTS = {
    "recipe": Variant("the package's recipe: class loss of weight 1"),
    "unsupervised": Variant("no class head", settings={"supervision": 0.0}),
    "weight-3": Variant("class loss of weight 3", settings={"supervision": 3.0}),
    "weight-10": Variant("class loss of weight 10", settings={"supervision": 10.0}),
    "masked-weight-3": Variant(
        "weight 3, head sees 70 % of the positions", settings={"supervision": 3.0}, trainer=Masked
    ),
    "long": Variant("three times as long", minutes=3.0),
    "masked": Variant("class head sees 70 % of the positions", trainer=Masked),
    "jitter": Variant("brightness, contrast, saturation drawn", trainer=Jittered),
    "cutmix": Variant("CutMix of half of the batches", trainer=CutMixed),
    "contrastive": Variant("contrastive loss beside the classes", trainer=Contrastive),
    "contrastive-alone": Variant("contrastive loss, no classes", trainer=ContrastiveAlone),
    "features-teacher": Variant("features of a teacher, no classes", trainer=Taught),
    "features-teacher-4096": Variant(
        "features of a teacher, no classes; 4,096 codes", options={"codes": 4096}, trainer=Taught
    ),
    "clusters-teacher": Variant("clusters of a teacher's features, no classes", trainer=Clustered),
    "pixels-alone": Variant("reconstruction in pixels, not in 4 x 4 means", trainer=PixelsAlone),
    "features": Variant("reconstruction of the latents too, weight 0.3", trainer=Features),
    "rotation": Variant("rotation trick", trainer=Rotated),
    "fsq": Variant(
        "FSQ, 4 levels in 5 dimensions (commitment loss kept)", model=FSQ, trainer=FixedCodebook
    ),
    "product": Variant("product codes, 32 x 32", model=Product, trainer=ProductTrainer),
    "dim-64": Variant("codes of 64 dimensions", options={"dim": 64}),
    "codes-512": Variant("512 codes", options={"codes": 512}),
    "codes-4096": Variant("4,096 codes", options={"codes": 4096}),
    "deep": Variant("six blocks in the encoder instead of three", options={"depth": 6}),
    "wide": Variant("192 channels instead of 128", options={"width": 192}),
    "mixed": Variant("attention in place of the last two blocks", model=Mixed),
    "vit": Variant("8 px patches, four blocks of attention", model=ViT),
    "crop-24": Variant("crops of 24 px", settings={"crop": 24}),
    "crop-64": Variant("whole sizes throughout", settings={"crop": 64}),
    "batch-128": Variant("128 images a step", settings={"batch": 128}),
    "rate-4e-3": Variant("learning rate 4e-3", settings={"learning_rate": 4e-3}),
}
