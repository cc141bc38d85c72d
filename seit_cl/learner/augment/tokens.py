"""Augmentation of token grids (SeiT, Park et al., ICCV 2023): Token-EDA, Token-RRC and Emb-Noise; and mirroring (ours).

Token-EDA carries the text augmentations of EDA (Wei & Zou, EMNLP 2019) over to codes. SeiT's Token-RRC interpolates
one-hot maps and multiplies by the codebook; interpolation being linear, interpolating the embeddings gives the same
and is far cheaper. Token-CutMix is :func:`seit_cl.learner.augment.cutmix.cutmix` on the embeddings. Letters are DESIGN.md's:
B, G, K, D, H, W.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seit_cl.learner.augment.crops import (
    blocks,
    center_crop,
    check_generator,
    crop_resize_from,
    random_resized_boxes,
)

__all__ = ["Combine", "TokenAugment", "TokenAugmentConfig", "nearest_codes"]

Combine = Literal["sum", "concat"]


@dataclass(frozen=True)
class TokenAugmentConfig:
    """Token augmentation; a probability of 0 switches its part off. Defaults are SeiT's unless marked as ours.

    Args:
        eda_synonym_p: probability that an image has tokens replaced by synonyms (exclusive with the swap).
        eda_token_p: probability that a token of such an image is replaced; with G > 1 each of a position's codes alone
            (ours).
        eda_synonyms: number of nearest codes a replacement is drawn from.
        eda_swap_p: probability that two squares of an image are swapped.
        eda_swap_side: largest side of these squares as a fraction of the grid, at most 1/3. The side is uniform over 1
            to that, and the squares are disjoint, so that a swap keeps every code (ours).
        flip_p: probability that an image is mirrored, where the tokenizer has codes for that (ours).
        rrc: Token-RRC; False takes the centre crop.
        rrc_scale: smallest and largest area of the crop as fractions of the grid.
        noise_p: probability that an image's embeddings get noise.
        noise_channel_std: deviation of the noise shared by a channel's positions, relative to unit-variance embeddings
            (ours).
        noise_element_std: deviation of the noise of every element alone, relative likewise (ours).

    Raises:
        ValueError: if a value is out of range.
    """

    eda_synonym_p: float = 0.25
    eda_token_p: float = 0.25
    eda_synonyms: int = 5
    eda_swap_p: float = 0.25
    eda_swap_side: float = 0.25
    flip_p: float = 0.5
    rrc: bool = True
    rrc_scale: tuple[float, float] = (0.08, 1.0)
    noise_p: float = 0.5
    noise_channel_std: float = 0.1
    noise_element_std: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.endswith("_p") and not 0.0 <= getattr(self, field.name) <= 1.0:
                raise ValueError(
                    f"{field.name} must lie in [0, 1], got {getattr(self, field.name)}"
                )
        if self.eda_synonym_p + self.eda_swap_p > 1.0:
            raise ValueError(
                "eda_synonym_p + eda_swap_p must not exceed 1: an image gets one of the two or neither"
            )
        if self.eda_synonyms < 0 or not 0.0 <= self.eda_swap_side <= 1 / 3:
            raise ValueError(
                "eda_synonyms must not be negative and eda_swap_side must lie in [0, 1/3]"
            )
        if not 0.0 < self.rrc_scale[0] <= self.rrc_scale[1] <= 1.0:
            raise ValueError(f"rrc_scale must satisfy 0 < low <= high <= 1, got {self.rrc_scale}")
        if min(self.noise_channel_std, self.noise_element_std) < 0.0:
            raise ValueError("noise deviations must not be negative")


def nearest_codes(codebook: Tensor, count: int, chunk: int = 1024) -> Tensor:
    """Table of every code's nearest other codes, by Euclidean distance, within its own codebook.

    Args:
        codebook: (G, K, D) float32.
        count: number of neighbours; K - 1 where that is fewer.
        chunk: rows of the distance matrix held at once.

    Returns:
        (G, K, min(count, K - 1)) int64, nearest first.
    """
    groups, codes, _ = codebook.shape
    count = min(count, codes - 1)
    table = torch.empty(groups, codes, count, dtype=torch.int64, device=codebook.device)
    for start in range(0, codes, chunk):
        rows = torch.arange(start, min(start + chunk, codes), device=codebook.device)
        distance = torch.cdist(codebook[:, rows], codebook)
        distance[:, rows - start, rows] = torch.inf
        table[:, rows] = distance.topk(count, dim=2, largest=False).indices
    return table


class TokenAugment(nn.Module):
    """Turns token grids into the learner's input: augmented, standardised embeddings.

    Embeddings are standardised by one scalar mean and deviation, those of a position whose codes are uniform and
    independent, so that inputs have about unit variance. Tables are buffers: move the module to the device of the
    data. They follow from the codebook and stay out of the state dict.

    Args:
        codebook: (G, K, D) float32.
        combine: "sum" or "concat": how a position's G vectors become its embedding of D or G * D dimensions.
        config: what to apply when training.
        crop: side of the output grid (28 for a 32 x 32 grid in SeiT).
        mirror: (G, K) int64, the mirror image of each code; None: tokens cannot be mirrored, whatever flip_p says.

    Raises:
        ValueError: if the codebook's shape or values, ``combine``, ``crop`` or the shape of ``mirror`` is wrong.
    """

    mean: Tensor
    std: Tensor
    table: Tensor
    offsets: Tensor
    synonyms: Tensor
    mirror: Tensor | None

    def __init__(
        self,
        codebook: Tensor,
        combine: Combine,
        config: TokenAugmentConfig | None = None,
        crop: int = 28,
        mirror: Tensor | None = None,
    ) -> None:
        super().__init__()
        if codebook.ndim != 3 or codebook.numel() == 0 or not bool(torch.isfinite(codebook).all()):
            raise ValueError(
                f"codebook must be finite and of shape (G, K, D), got {tuple(codebook.shape)}"
            )
        if combine not in ("sum", "concat") or crop < 1:
            raise ValueError(
                f"combine must be 'sum' or 'concat' and crop positive, got {combine!r} and {crop}"
            )
        if mirror is not None and mirror.shape != codebook.shape[:2]:
            raise ValueError(
                f"mirror must have the shape (G, K) of the codebook, got {tuple(mirror.shape)}"
            )
        self.config, self.combine, self.crop = config or TokenAugmentConfig(), combine, crop
        codebook = codebook.detach().float()
        self.groups, self.codes, dim = codebook.shape
        self.dim = dim if combine == "sum" else self.groups * dim
        mean, std = self._moments(codebook, combine)
        centres = codebook.mean(dim=(1, 2), keepdim=True) if combine == "sum" else mean
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer(
            "table", ((codebook - centres) / std).reshape(-1, dim), persistent=False
        )
        offsets = torch.arange(self.groups, device=codebook.device) * self.codes
        self.register_buffer("offsets", offsets[:, None, None], persistent=False)
        self.register_buffer("mirror", mirror, persistent=False)
        self.register_buffer(
            "synonyms", nearest_codes(codebook, self.config.eda_synonyms), persistent=False
        )

    @staticmethod
    def _moments(codebook: Tensor, combine: Combine) -> tuple[Tensor, Tensor]:
        """Scalar mean and deviation of the embeddings of uniform, independent codes; 1 for a deviation of 0."""
        if combine == "concat":
            mean, variance = codebook.mean(), codebook.var(unbiased=False)
        else:
            centre = codebook.mean(dim=1).sum(dim=0)  # (D,)
            mean = centre.mean()
            variance = codebook.var(dim=1, unbiased=False).sum(dim=0).mean() + centre.var(
                unbiased=False
            )
        return mean, torch.where(variance > 0.0, variance.sqrt(), torch.ones_like(variance))

    def _check(self, tokens: Tensor) -> None:
        if tokens.ndim != 4 or tokens.shape[1] != self.groups or tokens.is_floating_point():
            raise ValueError(
                f"tokens must be integers of shape (B, {self.groups}, H, W), got {tuple(tokens.shape)}"
            )

    def eda(self, tokens: Tensor, gen: torch.Generator) -> Tensor:
        """Token-EDA: every image gets synonyms, a swap of two squares, or nothing.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            gen: generator on the device of ``tokens``.

        Returns:
            the shape, dtype and device of ``tokens``.

        Raises:
            ValueError: if the shape or the generator's device is wrong.
        """
        self._check(tokens)
        check_generator(gen, tokens.device)
        config = self.config
        choice = torch.rand(tokens.shape[0], generator=gen, device=tokens.device)[
            :, None, None, None
        ]
        chosen = choice < config.eda_synonym_p
        swapped = (choice >= config.eda_synonym_p) & (
            choice < config.eda_synonym_p + config.eda_swap_p
        )
        out = tokens
        if config.eda_synonym_p > 0.0 and config.eda_token_p > 0.0 and self.synonyms.shape[2] > 0:
            out = self._replace(out, chosen, gen)
        largest = int(config.eda_swap_side * min(tokens.shape[2:]))
        if config.eda_swap_p > 0.0 and largest > 0:
            out = self._swap(out, swapped, largest, gen)
        return out

    def _replace(self, tokens: Tensor, chosen: Tensor, gen: torch.Generator) -> Tensor:
        """Replace codes of the chosen images, (B, 1, 1, 1) bool, by synonyms; one draw decides whether and by which."""
        count = self.synonyms.shape[2]
        draw = (
            torch.rand(tokens.shape, generator=gen, device=tokens.device) / self.config.eda_token_p
        )
        rank = (draw * count).long().clamp_max(count - 1)
        synonym = self.synonyms.view(-1)[(tokens + self.offsets) * count + rank]
        return torch.where(chosen & (draw < 1.0), synonym.to(tokens.dtype), tokens)

    def _swap(self, tokens: Tensor, chosen: Tensor, largest: int, gen: torch.Generator) -> Tensor:
        """Swap two disjoint squares, of side 1 to ``largest``, of the chosen images, (B, 1, 1, 1) bool."""
        batch, groups, height, width = tokens.shape
        side, y1, x1 = torch.rand(3, batch, 1, 1, generator=gen, device=tokens.device)
        side = (side * largest).long().clamp_max(largest - 1) + 1  # (B, 1, 1), as all that follow
        y1 = torch.minimum((y1 * (height - side + 1)).long(), height - side)
        x1 = torch.minimum((x1 * (width - side + 1)).long(), width - side)
        y = torch.arange(height, device=tokens.device)[:, None]
        x = torch.arange(width, device=tokens.device)
        apart = ((y - y1).abs() >= side) | ((x - x1).abs() >= side)
        free = (
            apart & (y <= height - side) & (x <= width - side)
        )  # never empty: side <= a third of the grid
        score = torch.rand(batch, height, width, generator=gen, device=tokens.device)
        second = torch.where(free, score, -1.0).flatten(1).argmax(dim=1)[:, None, None]
        y2, x2 = second // width, second % width
        shift = second - (y1 * width + x1)
        in_first = (y >= y1) & (y < y1 + side) & (x >= x1) & (x < x1 + side)
        in_second = (y >= y2) & (y < y2 + side) & (x >= x2) & (x < x2 + side)
        move = (in_first.long() - in_second.long()) * shift * chosen[:, 0]
        source = (y * width + x + move).view(batch, 1, -1).expand(batch, groups, -1)
        return tokens.flatten(2).gather(2, source).view(tokens.shape)

    def flip(self, tokens: Tensor, gen: torch.Generator) -> Tensor:
        """Mirror some of the images: their grid left to right, every code becoming its mirror image.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            gen: generator on the device of ``tokens``.

        Returns:
            the shape, dtype and device of ``tokens``.
        """
        if self.mirror is None or self.config.flip_p == 0.0:
            return tokens
        chosen = (
            torch.rand(tokens.shape[0], generator=gen, device=tokens.device) < self.config.flip_p
        )
        mirrored = self.mirror.view(-1)[tokens + self.offsets].flip(-1).to(tokens.dtype)
        return torch.where(chosen[:, None, None, None], mirrored, tokens)

    def embed(self, tokens: Tensor) -> Tensor:
        """Standardised embeddings of tokens.

        Args:
            tokens: (B, G, H, W) integers in [0, K).

        Returns:
            (B, D, H, W) float32, D standing for G * D when concatenated; channels last in memory.

        Raises:
            ValueError: if the shape is wrong.
        """
        self._check(tokens)
        vectors = F.embedding(
            (tokens + self.offsets).permute(0, 2, 3, 1), self.table
        )  # (B, H, W, G, D)
        joined = (
            vectors.sum(dim=3) if self.combine == "sum" and self.groups > 1 else vectors.flatten(3)
        )
        return joined.permute(0, 3, 1, 2)

    def noise(self, inputs: Tensor, gen: torch.Generator) -> Tensor:
        """Emb-Noise: Gaussian noise per channel plus per element on some of the images.

        Args:
            inputs: (B, D, H, W) float, about unit variance.
            gen: generator on the device of ``inputs``.

        Returns:
            the shape, dtype and device of ``inputs``.
        """
        return self._add_noise(inputs.clone(), gen)

    def _add_noise(self, inputs: Tensor, gen: torch.Generator) -> Tensor:
        """Add the noise in place. A CPU draws it for chosen images alone; elsewhere picking them synchronises."""
        config = self.config
        if config.noise_p == 0.0 or config.noise_channel_std == config.noise_element_std == 0.0:
            return inputs
        chosen = torch.rand(inputs.shape[0], generator=gen, device=inputs.device) < config.noise_p
        if inputs.device.type != "cpu":
            return inputs.add_(self._draw_noise(inputs, gen) * chosen[:, None, None, None])
        rows = chosen.nonzero().flatten()
        for part in blocks(len(rows), inputs[0].numel() if len(rows) else 1, inputs.device):
            inputs.index_add_(
                0, rows[part], self._draw_noise(inputs[: len(rows[part])], gen).to(inputs.dtype)
            )
        return inputs

    def _draw_noise(self, like: Tensor, gen: torch.Generator) -> Tensor:
        """Channel plus element noise of the shape of ``like``, float32."""
        channel = (
            torch.randn(*like.shape[:2], 1, 1, generator=gen, device=like.device)
            * self.config.noise_channel_std
        )
        if self.config.noise_element_std == 0.0:
            return channel.expand(like.shape)
        element = torch.randn(like.shape, generator=gen, device=like.device)
        return element.mul_(self.config.noise_element_std).add_(channel)

    def forward(
        self, tokens: Tensor, gen: torch.Generator | None = None, train: bool = True
    ) -> Tensor:
        """Augment (train) or centre-crop (test) a batch.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            gen: generator on the device of ``tokens``; needed when training only.
            train: whether to augment: flip, EDA, embedding, Token-RRC, Emb-Noise, in this order.

        Returns:
            (B, D, crop, crop) float32, D standing for G * D when concatenated.

        Raises:
            ValueError: if the shape or the generator is wrong, or a centre crop is larger than the grid.
        """
        self._check(tokens)
        if not train:
            return self.embed(center_crop(tokens, self.crop)).contiguous()
        if gen is None:
            raise ValueError("training needs a generator")
        check_generator(gen, tokens.device)
        tokens = self.eda(self.flip(tokens, gen), gen)
        batch, _, height, width = tokens.shape
        if self.config.rrc:
            boxes = random_resized_boxes(batch, gen, self.config.rrc_scale)
            shape = (batch, self.dim, height, width)
            inputs = crop_resize_from(
                lambda part: self.embed(tokens[part]), shape, boxes, self.crop
            )
        else:
            inputs = self.embed(center_crop(tokens, self.crop)).contiguous()
        return self._add_noise(inputs, gen)
