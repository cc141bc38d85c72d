"""Ways to train a tokenizer that studies.ablation compares: each differs from the package's recipe in one thing.

What won lives in seit_cl/tokenizers; what lost, or gained too little for what it adds, lives here, so that it can be tried again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seit_cl.tokenizers.nets.vqae import VQAutoencoder
from seit_cl.tokenizers.training.codebook import CodebookAverages
from seit_cl.tokenizers.training.trainer import Trainer, classification
from studies.ablation.models import FSQ, Mixed, Product, ViT

KEPT = 0.7  # of the positions, by Masked
TEMPERATURE = 0.2  # of the contrastive loss


class Rotated(Trainer):
    """Gradients turned with the rotation from latent to code (Fifty et al., ICLR 2025)."""

    def through(self, latents: Tensor, codes: Tensor) -> Tensor:
        """The codes, as the rotation of the latents; both are unit vectors."""
        still = latents.detach()
        middle = F.normalize(still + codes, dim=1)
        along, onto = (
            (latents * middle).sum(1, keepdim=True),
            (latents * still).sum(1, keepdim=True),
        )
        return latents - 2 * along * middle + 2 * onto * codes


class PixelsAlone(Trainer):
    """Reconstruction in pixels only."""

    def fidelity(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """Squared error of pixels."""
        return (restored - images).square().mean()


class Features(Trainer):
    """Reconstruction in feature space as well: what came back has to have the latents of the image again, weight 0.3."""

    def fidelity(self, restored: Tensor, images: Tensor, latents: Tensor) -> Tensor:
        """The loss of the recipe and the squared distance of latents; the encoder that judges does not learn from it."""
        still = {
            name: tensor.detach().clone()
            for name, tensor in self.model.encoder.state_dict().items()
        }
        with self.autocast():
            again = torch.func.functional_call(self.model.encoder, still, (restored,))
        distance = (self.model.project(again.float()) - latents.detach()).square().sum(1).mean()
        return super().fidelity(restored, images, latents) + 0.3 * distance


class Masked(Trainer):
    """The class head sees 70 % of the positions, so that every code has to say something by itself."""

    def signal(self, codes: Tensor, labels: Tensor) -> Tensor:
        """The classification loss on what is left."""
        kept = torch.rand(codes.shape[0], 1, *codes.shape[2:], generator=self.generator) < KEPT
        return super().signal(codes * kept.to(codes) / KEPT, labels)


class Jittered(Trainer):
    """Brightness, contrast and saturation drawn for every image."""

    def batch(self) -> tuple[Tensor, Tensor]:
        """The batch, in other light."""
        images, labels = super().batch()
        light, contrast, colour = (
            0.6 + 0.8 * torch.rand(3, len(images), 1, 1, 1, generator=self.generator)
        ).to(images.device)
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * colour
        mean = images.mean((1, 2, 3), keepdim=True)
        images = ((mean + (images - mean) * contrast + 1) * light - 1).clamp(-1, 1)
        return images.contiguous(memory_format=torch.channels_last), labels


class CutMixed(Trainer):
    """Half of the batches mixed by CutMix (Yun et al., ICCV 2019): what is classified, and what is reconstructed."""

    def batch(self) -> tuple[Tensor, Tensor]:
        """The batch, with a box of every image from the next one."""
        images, labels = super().batch()
        self.share, self.others = 1.0, labels
        if torch.rand((), generator=self.generator) < 0.5:
            side = images.shape[-1]
            edge = int(side * math.sqrt(float(torch.rand((), generator=self.generator))))
            top, left = torch.randint(side - edge + 1, (2,), generator=self.generator).tolist()
            images[..., top : top + edge, left : left + edge] = images.roll(1, 0)[
                ..., top : top + edge, left : left + edge
            ]
            self.share, self.others = 1 - edge**2 / side**2, labels.roll(1)
        return images, labels

    def signal(self, codes: Tensor, labels: Tensor) -> Tensor:
        """The classification loss, by share of the area."""
        loss = super().signal(codes, labels)
        return (
            loss
            if self.share == 1
            else self.share * loss + (1 - self.share) * super().signal(codes, self.others)
        )


class Contrastive(Trainer):
    """Two crops of every image have to find one another (SimCLR: Chen et al., ICML 2020), weight 0.3, beside the classes."""

    classes = True

    def picks(self) -> Tensor:
        """Half as many images, twice."""
        return super().picks()[: self.settings.batch // 2].repeat(2)

    def signal(self, codes: Tensor, labels: Tensor) -> Tensor:
        """The classification loss, if any, and the contrastive one."""
        with self.autocast():
            pooled = self.head.pooled(codes)
            logits = self.head.classify(pooled)
        features = F.normalize(pooled.float(), dim=1)
        alike = features @ features.T / TEMPERATURE
        alike = alike.masked_fill(
            torch.eye(len(alike), dtype=torch.bool, device=alike.device), -1e4
        )
        partner = torch.arange(len(alike), device=alike.device).roll(len(alike) // 2)
        loss = 0.3 * F.cross_entropy(alike, partner)
        return loss + classification(logits, labels) if self.classes else loss


class ContrastiveAlone(Contrastive):
    """The contrastive loss without classes."""

    classes = False


class FixedCodebook(Trainer):
    """A codebook that nothing moves."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.averages[0].update = lambda latents, indices, step: None  # type: ignore[method-assign]


class ProductTrainer(Trainer):
    """Two codebooks, each by its own averages."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        model: Any = self.model
        for half in model.halves:
            half.signs, half.codebook = half.signs.to(self.device), half.codebook.to(self.device)
        books = [
            CodebookAverages(half.codebook, half.signs, self.generator) for half in model.halves
        ]

        def update(latents: Tensor, indices: Tensor, step: int) -> None:
            for book, place, codes in zip(books, model.place, model.split(indices), strict=True):
                book.update(latents[:, place] * math.sqrt(2), codes, step)
            model.compose()

        self.averages[0].update = update  # type: ignore[method-assign]


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        words: how it differs, for the table.
        options: of the autoencoder.
        settings: fields of seit_cl.tokenizers.training.trainer.TrainingSettings.
        model: the autoencoder's class.
        trainer: the trainer's class.
        minutes: how many times as long it trains.
    """

    words: str
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
