"""Ways to train a tokenizer that benchmarks.ablation compares: each differs from one recipe in one thing.

What won lives in seit_cl/tokenizers; what lost, or gained too little for what it adds, lives here, so that it can be tried again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.tokenizers.codebook import CodebookAverages
from seit_cl.tokenizers.mirror import PairsToCode, ToPairs
from seit_cl.tokenizers.training import Trainer, TrainingBatch
from seit_cl.tokenizers.vqae import VQAutoencoder

BASE = {"supervision": 1.0, "seen": 1.0}  # settings of the recipe that every variant differs from
TEMPERATURE = 0.2  # of the contrastive loss
FSQ_LEVELS = 4  # of each of five dimensions: 1,024 codes


class Rotated(Trainer):
    """Gradients turned with the rotation from latent to code (Fifty et al., ICLR 2025)."""

    def through(self, latents: Tensor, codes: Tensor) -> Tensor:
        """The codes, as the rotation of the latents; both are unit vectors."""
        still = latents.detach()
        middle = F.normalize(still + codes, dim=1)
        along, onto = (latents * middle).sum(1, keepdim=True), (latents * still).sum(1, keepdim=True)
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
        for parameter in self.model.encoder.parameters():
            parameter.requires_grad_(False)
        with self.autocast():
            again = self.model.encoder(restored)
        for parameter in self.model.encoder.parameters():
            parameter.requires_grad_(True)
        distance = (self.model.project(again.float()) - latents.detach()).square().sum(1).mean()
        return super().fidelity(restored, images, latents) + 0.3 * distance


class Jittered(Trainer):
    """Brightness, contrast and saturation drawn for every image."""

    def batch(self) -> TrainingBatch:
        """The batch, in other light."""
        batch = super().batch()
        images = batch.images
        light, contrast, colour = (
            (0.6 + 0.8 * torch.rand(3, len(images), 1, 1, 1, generator=self.generator)).to(images.device)
        )  # fmt: skip
        grey = images.mean(1, keepdim=True)
        images = grey + (images - grey) * colour
        mean = images.mean((1, 2, 3), keepdim=True)
        images = ((mean + (images - mean) * contrast + 1) * light - 1).clamp(-1, 1)
        return batch._replace(images=images.contiguous(memory_format=torch.channels_last))


class CutMixed(Trainer):
    """Half of the batches mixed by CutMix (Yun et al., ICCV 2019): what is classified, and what is reconstructed."""

    def batch(self) -> TrainingBatch:
        """The batch, with a box of every image from the next one."""
        batch = super().batch()
        images, labels = batch.images, batch.labels
        self.share, self.others = 1.0, labels
        if torch.rand((), generator=self.generator) < 0.5:
            side = images.shape[-1]
            edge = int(side * math.sqrt(float(torch.rand((), generator=self.generator))))
            top, left = torch.randint(side - edge + 1, (2,), generator=self.generator).tolist()
            images[..., top : top + edge, left : left + edge] = images.roll(1, 0)[..., top : top + edge, left : left + edge]
            self.share, self.others = 1 - edge**2 / side**2, labels.roll(1)
        return batch

    def signal(self, codes: Tensor, labels: Tensor, seen: Tensor) -> Tensor:
        """The classification loss, by share of the area."""
        loss = super().signal(codes, labels, seen)
        return loss if self.share == 1 else self.share * loss + (1 - self.share) * super().signal(codes, self.others, seen)


class Contrastive(Trainer):
    """Two crops of every image have to find one another (SimCLR: Chen et al., ICML 2020), weight 0.3, beside the classes."""

    classes = True

    def picks(self) -> Tensor:
        """Half as many images, twice."""
        return super().picks()[: self.settings.batch // 2].repeat(2)

    def signal(self, codes: Tensor, labels: Tensor, seen: Tensor) -> Tensor:
        """The classification loss, if any, and the contrastive one."""
        with self.autocast():
            features = sum(self.head.features(codes).mean((2, 3)).chunk(2, 1))
        features = F.normalize(features.float(), dim=1)  # type: ignore[arg-type]
        alike = features @ features.T / TEMPERATURE
        alike = alike.masked_fill(torch.eye(len(alike), dtype=torch.bool, device=alike.device), -1e4)
        partner = torch.arange(len(alike), device=alike.device).roll(len(alike) // 2)
        loss = 0.3 * F.cross_entropy(alike, partner)
        return loss + super().signal(codes, labels, seen) if self.classes else loss


class ContrastiveAlone(Contrastive):
    """The contrastive loss without classes."""

    classes = False


class Attention(nn.Module):
    """Self-attention and an MLP over all positions of pairs (B, C, H, W), which commute with mirroring: heads come in pairs.

    A 3 x 3 depthwise convolution tells positions (Chu et al., CPVT, ICLR 2023), so that any size works.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(torch.randn(width // 2, 1, 3, 3) / 3)
        self.qkv = nn.ModuleList([ToPairs("pairs", width, width, 1) for _ in range(3)])
        self.out, self.wide, self.narrow = (
            ToPairs("pairs", width, width, 1), ToPairs("pairs", width, 2 * width, 1), ToPairs("pairs", 2 * width, width, 1),
        )  # fmt: skip
        nn.init.zeros_(self.out.norm.weight)
        nn.init.zeros_(self.narrow.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        batch, width, height, side = x.shape
        x = x + F.conv2d(x, torch.cat([self.place, self.place.flip(-1)]), padding=1, groups=width)
        q, k, v = (layer(x).reshape(batch, self.heads, width // self.heads, -1).transpose(2, 3) for layer in self.qkv)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(batch, width, height, side)
        x = x + self.out(mixed.contiguous(memory_format=torch.channels_last))
        return x + self.narrow(F.gelu(self.wide(x)))


class Mixed(VQAutoencoder):
    """Convolutions to stride 8, then attention instead of the last two blocks."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width = self.config["width"]
        *before, _, _, to_code = self.encoder
        self.encoder = nn.Sequential(*before, Attention(width), Attention(width), to_code)


class ViT(VQAutoencoder):
    """Patches of 8 px, then four blocks of attention, as in ViT-VQGAN's encoder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        width, dim = self.config["width"], self.config["dim"]
        self.encoder = nn.Sequential(
            ToPairs("image", 3, width, 8, 8), nn.ReLU(), *[Attention(width) for _ in range(4)], PairsToCode(width, dim)
        )


class FSQ(VQAutoencoder):
    """Finite scalar quantisation (Mentzer et al., ICLR 2024): five dimensions of four levels, which only rounding assigns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "dim": 5})
        values = torch.linspace(-1, 1, FSQ_LEVELS)
        positive = values[FSQ_LEVELS // 2 :]  # the last dimension is odd: its sign tells a code from its partner
        first = torch.cartesian_prod(values, values, values, values, positive)
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def project(self, encoded: Tensor) -> Tensor:
        """Within the levels."""
        return torch.tanh(encoded)

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (B, H, W) by rounding every dimension."""
        levels = ((latents + 1) / 2 * (FSQ_LEVELS - 1)).round().long().clamp(0, FSQ_LEVELS - 1).permute(0, 2, 3, 1)
        partner = levels[..., -1] < FSQ_LEVELS // 2
        odd = self.signs < 0
        levels = torch.where(partner[..., None] & odd, FSQ_LEVELS - 1 - levels, levels)
        levels[..., -1] -= FSQ_LEVELS // 2
        places = levels.new_tensor([4**3 * 2, 4**2 * 2, 4 * 2, 2, 1])
        return (levels * places).sum(-1) + len(self.codebook) // 2 * partner


class FixedCodebook(Trainer):
    """A codebook that nothing moves."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.averages.update = lambda latents, indices, step: None  # type: ignore[method-assign]


class Product(VQAutoencoder):
    """Product codes (Jégou et al., TPAMI 2011): two codebooks of 32, each for half of the dimensions; 1,024 pairs, so 10 bits.

    Dimensions are the even ones of both halves, then the odd ones, so that a pair mirrors as any code does.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.place = torch.arange(self.config["dim"]).reshape(2, 2, -1).transpose(0, 1).reshape(2, -1)  # of each half
        self.side = math.isqrt(len(self.codebook))
        self.halves = [SimpleNamespace(signs=self.signs[place]) for place in self.place]
        for half in self.halves:
            first = F.normalize(torch.randn(self.side // 2, len(half.signs)), dim=1)
            half.codebook = torch.cat([first, first * half.signs])
        self.compose()

    def project(self, encoded: Tensor) -> Tensor:
        """Both halves on spheres of their own, together on the unit sphere."""
        parts = torch.stack([F.normalize(encoded[:, place], dim=1) for place in self.place], 1) / math.sqrt(2)
        return parts.flatten(1, 2)[:, self.place.flatten().argsort()]

    def compose(self) -> None:
        """The codebook of all pairs."""
        one, two = (half.codebook / math.sqrt(2) for half in self.halves)
        pairs = torch.cat([one[: self.side // 2].repeat_interleave(self.side, 0), two.repeat(self.side // 2, 1)], 1)
        first = pairs[:, self.place.flatten().argsort()]
        self.codebook.copy_(torch.cat([first, first * self.signs]))

    def split(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Codes of both halves that make up pairs, of any shape."""
        half, mirrored = len(self.codebook) // 2, indices >= len(self.codebook) // 2
        first, second = (indices % half) // self.side, (indices % half) % self.side
        step = self.side // 2 * mirrored
        return first + step, (second + step) % self.side


class ProductTrainer(Trainer):
    """Two codebooks, each by its own averages."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        model: Any = self.model
        for half in model.halves:
            half.signs, half.codebook = half.signs.to(self.device), half.codebook.to(self.device)
        books = [CodebookAverages(half, self.generator) for half in model.halves]

        def update(latents: Tensor, indices: Tensor, step: int) -> None:
            for book, place, codes in zip(books, model.place, model.split(indices), strict=True):
                book.update(latents[:, place] * math.sqrt(2), codes, step)
            model.compose()

        self.averages.update = update  # type: ignore[method-assign]


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        words: how it differs, for the table.
        options: of the autoencoder.
        settings: fields of seit_cl.tokenizers.training.Settings, over BASE.
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
    "recipe": Variant("class loss of weight 1, whose head sees every position"),
    "unsupervised": Variant("no class head", settings={"supervision": 0.0}),
    "weight-3": Variant("class loss of weight 3", settings={"supervision": 3.0}),
    "weight-10": Variant("class loss of weight 10", settings={"supervision": 10.0}),
    "package": Variant("class loss of weight 3, head sees 70 % of the positions", settings={"supervision": 3.0, "seen": 0.7}),
    "long": Variant("three times as long", minutes=3.0),
    "masked": Variant("class head sees 70 % of the positions", settings={"seen": 0.7}),
    "jitter": Variant("brightness, contrast, saturation drawn", trainer=Jittered),
    "cutmix": Variant("CutMix of half of the batches", trainer=CutMixed),
    "contrastive": Variant("contrastive loss beside the classes", trainer=Contrastive),
    "contrastive-alone": Variant("contrastive loss, no classes", trainer=ContrastiveAlone),
    "pixels-alone": Variant("reconstruction in pixels, not in 4 x 4 means", trainer=PixelsAlone),
    "features": Variant("reconstruction of the latents too, weight 0.3", trainer=Features),
    "rotation": Variant("rotation trick", trainer=Rotated),
    "fsq": Variant("FSQ, 4 levels in 5 dimensions", model=FSQ, trainer=FixedCodebook),
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
