"""Augmentation of token grids (SeiT, Park et al., ICCV 2023): Token-EDA, Token-RRC and Emb-Noise.

Token-EDA carries the text augmentations of EDA (Wei and Zou, EMNLP 2019) over to codes. SeiT's
Token-RRC interpolates one-hot maps and multiplies by the codebook; interpolation is linear, so
interpolating the embeddings gives the same and is far cheaper. Mirroring of token grids is ours.
Token-CutMix is `seit_cl.learner.augment.cutmix.cutmix` on the embeddings.

Shapes: B batch, G codes per position, K codebook size, D code dimension, H x W token grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seit_cl.core.errors import UserError
from seit_cl.core.options import AREA, PROBABILITY, option
from seit_cl.learner.augment.crops import (
    FlipOptions,
    blocks,
    center_crop,
    check_generator,
    crop_resize_from,
    random_resized_boxes,
)

__all__ = ["Combine", "TokenAugment", "TokenAugmentConstants", "TokenAugmentOptions"]

Combine = Literal["sum", "concat"]


@dataclass(frozen=True)
class TokenAugmentOptions(FlipOptions):
    """Options of token augmentation; a probability of 0 switches its part off."""

    token_rrc: float = option(0.3, "smallest area of Token-RRC's crop; 1: no crop", AREA)
    synonym_p: float = option(
        0.25, "probability that an image gets synonym tokens (Token-EDA)", PROBABILITY
    )
    swap_p: float = option(
        0.25, "probability that two squares of an image swap (Token-EDA)", PROBABILITY
    )
    noise_p: float = option(0.5, "probability that an image gets Emb-Noise", PROBABILITY)

    def __post_init__(self) -> None:
        """Check the ranges, and that an image gets synonyms or a swap but not both.

        Raises:
            UserError: a value outside its range, or probabilities whose sum exceeds 1.
        """
        super().__post_init__()
        if self.synonym_p + self.swap_p > 1:
            raise UserError(
                f"--synonym-p {self.synonym_p:g} and --swap-p {self.swap_p:g}: an image gets one "
                "or the other; their sum must be at most 1"
            )


@dataclass(frozen=True)
class TokenAugmentConstants:
    """Strengths of token augmentation that no run changes; SeiT's unless marked as ours.

    Args:
        token_p: probability that a token is replaced, in an image that gets synonyms; with G > 1
            each code of a position is drawn alone (ours).
        synonyms: number of nearest codes that a replacement is drawn from.
        swap_side: largest side of swapped squares as a fraction of the grid, at most 1/3. The side
            is uniform from 1 to that, and the squares are disjoint, so every code stays (ours).
        noise_channel_std: deviation of the noise that all positions of a channel share, for
            embeddings of unit variance (ours).
        noise_element_std: deviation of each element's own noise, likewise (ours).

    Raises:
        ValueError: a value is out of range.
    """

    token_p: float = 0.25
    synonyms: int = 5
    swap_side: float = 0.25
    noise_channel_std: float = 0.1
    noise_element_std: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.token_p <= 1.0:
            raise ValueError(f"token_p must lie in [0, 1], got {self.token_p}")
        if self.synonyms < 0:
            raise ValueError(f"synonyms must not be negative, got {self.synonyms}")
        if not 0.0 <= self.swap_side <= 1 / 3:
            raise ValueError(f"swap_side must lie in [0, 1/3], got {self.swap_side}")
        if min(self.noise_channel_std, self.noise_element_std) < 0.0:
            raise ValueError("noise deviations must not be negative")


def nearest_codes(codebook: Tensor, count: int, chunk: int = 1024) -> Tensor:
    """Find every code's nearest other codes, by Euclidean distance within its own codebook.

    Args:
        codebook: (G, K, D) float32.
        count: number of neighbours; K - 1 where that is fewer.
        chunk: rows of the distance matrix computed at a time.

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


def embedding_moments(codebook: Tensor, combine: Combine) -> tuple[Tensor, Tensor]:
    """Scalar mean and deviation of the embeddings of uniform and independent codes.

    Args:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding.

    Returns:
        Two scalars; the deviation is 1 where it would be 0.
    """
    if combine == "concat":
        mean = codebook.mean()
        variance = codebook.var(unbiased=False)
    else:
        centre = codebook.mean(dim=1).sum(dim=0)  # (D,)
        mean = centre.mean()
        within_codebooks = codebook.var(dim=1, unbiased=False).sum(dim=0).mean()
        variance = within_codebooks + centre.var(unbiased=False)
    return mean, torch.where(variance > 0.0, variance.sqrt(), torch.ones_like(variance))


class TokenAugment(nn.Module):
    """Turn token grids into the learner's input: augmented, standardised embeddings.

    Embeddings are standardised by one scalar mean and deviation, those of a position whose codes
    are uniform and independent, so that inputs have about unit variance. Tables are buffers: move
    the module to the device of the data. They follow from the codebook and are no part of the
    state dict.

    Args:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding: "sum" gives D dimensions,
            "concat" G * D.
        options: what to apply when training.
        crop: side of the output grid (28 for a 32 x 32 grid in SeiT).
        mirror: (G, K) int64, the mirror image of each code; None where tokens cannot be mirrored.
        constants: strengths of the augmentations.

    Raises:
        ValueError: codebook, `combine`, `crop` or the shape of the mirror is wrong.
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
        options: TokenAugmentOptions | None = None,
        crop: int = 28,
        mirror: Tensor | None = None,
        constants: TokenAugmentConstants | None = None,
    ) -> None:
        super().__init__()
        if codebook.ndim != 3 or codebook.numel() == 0 or not bool(torch.isfinite(codebook).all()):
            shape = tuple(codebook.shape)
            raise ValueError(f"codebook must be finite and of shape (G, K, D), got {shape}")
        if combine not in ("sum", "concat"):
            raise ValueError(f"combine must be 'sum' or 'concat', got {combine!r}")
        if crop < 1:
            raise ValueError(f"crop must be positive, got {crop}")
        if mirror is not None and mirror.shape != codebook.shape[:2]:
            shape = tuple(mirror.shape)
            raise ValueError(f"mirror must have the shape (G, K) of the codebook, got {shape}")
        self.options = options or TokenAugmentOptions()
        self.constants = constants or TokenAugmentConstants()
        self.combine = combine
        self.crop = crop
        codebook = codebook.detach().float()
        self.groups, self.codes, dim = codebook.shape
        self.dim = dim if combine == "sum" else self.groups * dim
        mean, std = embedding_moments(codebook, combine)
        # Sums are centred codebook by codebook: a position's vectors then add up to mean 0.
        centres = codebook.mean(dim=(1, 2), keepdim=True) if combine == "sum" else mean
        table = ((codebook - centres) / std).reshape(-1, dim)  # (G * K, D)
        offsets = torch.arange(self.groups, device=codebook.device) * self.codes
        synonyms = nearest_codes(codebook, self.constants.synonyms)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("offsets", offsets[:, None, None], persistent=False)
        self.register_buffer("mirror", mirror, persistent=False)
        self.register_buffer("synonyms", synonyms, persistent=False)

    def forward(
        self, tokens: Tensor, generator: torch.Generator | None = None, train: bool = True
    ) -> Tensor:
        """Augment (train) or centre-crop (test) a batch.

        The order of the augmentations is flip, EDA, embedding, Token-RRC, Emb-Noise.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            generator: on the device of `tokens`; needed for training only.
            train: whether to augment.

        Returns:
            (B, D, crop, crop) float32, with G * D in the place of D where codes are concatenated.

        Raises:
            ValueError: the shape or the generator is wrong, or a centre crop exceeds the grid.
        """
        self._check(tokens)
        if not train:
            return self.embed(center_crop(tokens, self.crop)).contiguous()
        if generator is None:
            raise ValueError("training needs a generator")
        check_generator(generator, tokens.device)
        tokens = self.flip(tokens, generator)
        tokens = self.eda(tokens, generator)
        inputs = self._random_crop(tokens, generator)
        return self._add_noise(inputs, generator)

    def flip(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Mirror some images: their grid left to right, and every code to its mirror image.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            generator: on the device of `tokens`.

        Returns:
            Tokens of the same shape, dtype and device.
        """
        flip_p = self.options.flip_p
        if self.mirror is None or flip_p == 0.0:
            return tokens
        chosen = torch.rand(len(tokens), generator=generator, device=tokens.device) < flip_p
        mirrored = self.mirror.view(-1)[tokens + self.offsets].flip(-1).to(tokens.dtype)
        return torch.where(chosen[:, None, None, None], mirrored, tokens)

    def eda(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Token-EDA: give every image synonyms, a swap of two squares, or neither.

        Args:
            tokens: (B, G, H, W) integers in [0, K).
            generator: on the device of `tokens`.

        Returns:
            Tokens of the same shape, dtype and device.

        Raises:
            ValueError: the shape or the generator's device is wrong.
        """
        self._check(tokens)
        check_generator(generator, tokens.device)
        synonym_p = self.options.synonym_p
        swap_p = self.options.swap_p
        choice = torch.rand(len(tokens), generator=generator, device=tokens.device)
        choice = choice[:, None, None, None]
        gets_synonyms = choice < synonym_p
        gets_swap = (choice >= synonym_p) & (choice < synonym_p + swap_p)
        if synonym_p > 0.0 and self.constants.token_p > 0.0 and self.synonyms.shape[2] > 0:
            replaced = self._replace(tokens, gets_synonyms, generator)
        else:
            replaced = tokens
        largest_side = int(self.constants.swap_side * min(tokens.shape[2:]))
        if swap_p > 0.0 and largest_side > 0:
            return self._swap(replaced, gets_swap, largest_side, generator)
        return replaced

    def embed(self, tokens: Tensor) -> Tensor:
        """Look up the standardised embeddings of tokens.

        Args:
            tokens: (B, G, H, W) integers in [0, K).

        Returns:
            (B, D, H, W) float32, channels last in memory, with G * D in the place of D where codes
            are concatenated.

        Raises:
            ValueError: the shape is wrong.
        """
        self._check(tokens)
        rows = (tokens + self.offsets).permute(0, 2, 3, 1)
        vectors = F.embedding(rows, self.table)  # (B, H, W, G, D)
        if self.combine == "sum" and self.groups > 1:
            embedded = vectors.sum(dim=3)
        else:
            embedded = vectors.flatten(3)
        return embedded.permute(0, 3, 1, 2)

    def noise(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Emb-Noise: add Gaussian noise per channel and per element to some of the images.

        Args:
            inputs: (B, D, H, W) float, of about unit variance.
            generator: on the device of `inputs`.

        Returns:
            A new tensor of the same shape, dtype and device.
        """
        return self._add_noise(inputs.clone(), generator)

    def _check(self, tokens: Tensor) -> None:
        """Refuse tensors that are no token grids of this codebook."""
        if tokens.ndim != 4 or tokens.shape[1] != self.groups or tokens.is_floating_point():
            expected = f"(B, {self.groups}, H, W)"
            raise ValueError(
                f"tokens must be integers of shape {expected}, got {tuple(tokens.shape)}"
            )

    def _replace(self, tokens: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Replace codes of the chosen images, (B, 1, 1, 1) bool, by synonyms.

        One uniform draw per code decides both: below `token_p` the code is replaced, and the draw's
        place within [0, token_p) picks the synonym.
        """
        count = self.synonyms.shape[2]
        draw = torch.rand(tokens.shape, generator=generator, device=tokens.device)
        draw = draw / self.constants.token_p
        rank = (draw * count).long().clamp_max(count - 1)
        synonym = self.synonyms.view(-1)[(tokens + self.offsets) * count + rank]
        return torch.where(chosen & (draw < 1.0), synonym.to(tokens.dtype), tokens)

    def _swap(
        self, tokens: Tensor, chosen: Tensor, largest_side: int, generator: torch.Generator
    ) -> Tensor:
        """Swap two disjoint squares of the chosen images, (B, 1, 1, 1) bool.

        The squares of an image have one side, from 1 to `largest_side`, which is at most a third of
        the grid, so there is always a place for the second square.
        """
        batch, groups, height, width = tokens.shape
        # Sides and corners are (B, 1, 1), masks over the grid (B, H, W).
        side, top_1, left_1 = torch.rand(3, batch, 1, 1, generator=generator, device=tokens.device)
        side = (side * largest_side).long().clamp_max(largest_side - 1) + 1
        top_1 = torch.minimum((top_1 * (height - side + 1)).long(), height - side)
        left_1 = torch.minimum((left_1 * (width - side + 1)).long(), width - side)
        y = torch.arange(height, device=tokens.device)[:, None]
        x = torch.arange(width, device=tokens.device)

        is_disjoint = ((y - top_1).abs() >= side) | ((x - left_1).abs() >= side)
        is_inside = (y <= height - side) & (x <= width - side)
        score = torch.rand(batch, height, width, generator=generator, device=tokens.device)
        score = torch.where(is_disjoint & is_inside, score, -1.0)
        corner_1 = top_1 * width + left_1
        corner_2 = score.flatten(1).argmax(dim=1)[:, None, None]
        top_2 = corner_2 // width
        left_2 = corner_2 % width

        in_1 = (y >= top_1) & (y < top_1 + side) & (x >= left_1) & (x < left_1 + side)
        in_2 = (y >= top_2) & (y < top_2 + side) & (x >= left_2) & (x < left_2 + side)
        offset = (in_1.long() - in_2.long()) * (corner_2 - corner_1) * chosen[:, 0]
        source = (y * width + x + offset).view(batch, 1, -1).expand(batch, groups, -1)
        return tokens.flatten(2).gather(2, source).view(tokens.shape)

    def _random_crop(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Token-RRC: embeddings of a random crop, or of the centre where Token-RRC is off."""
        smallest_area = self.options.token_rrc
        if smallest_area == 1:
            return self.embed(center_crop(tokens, self.crop)).contiguous()
        batch, _, height, width = tokens.shape
        boxes = random_resized_boxes(batch, generator, (smallest_area, 1.0))
        shape = (batch, self.dim, height, width)
        return crop_resize_from(lambda part: self.embed(tokens[part]), shape, boxes, self.crop)

    def _add_noise(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Add Emb-Noise in place.

        A CPU draws noise for the chosen images alone; elsewhere picking them would synchronise.
        """
        noise_p = self.options.noise_p
        strengths = (self.constants.noise_channel_std, self.constants.noise_element_std)
        if noise_p == 0.0 or strengths == (0.0, 0.0):
            return inputs
        chosen = torch.rand(len(inputs), generator=generator, device=inputs.device) < noise_p
        if inputs.device.type != "cpu":
            return inputs.add_(self._draw_noise(inputs, generator) * chosen[:, None, None, None])
        rows = chosen.nonzero().flatten()
        elements = inputs[0].numel() if len(rows) else 1
        for part in blocks(len(rows), elements, inputs.device):
            noise = self._draw_noise(inputs[: len(rows[part])], generator)
            inputs.index_add_(0, rows[part], noise.to(inputs.dtype))
        return inputs

    def _draw_noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw channel plus element noise of the shape of `like`, float32."""
        channel = torch.randn(*like.shape[:2], 1, 1, generator=generator, device=like.device)
        channel = channel * self.constants.noise_channel_std
        if self.constants.noise_element_std == 0.0:
            return channel.expand(like.shape)
        element = torch.randn(like.shape, generator=generator, device=like.device)
        return element.mul_(self.constants.noise_element_std).add_(channel)
