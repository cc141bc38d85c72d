"""TokenAdapt and ColorAdapt (SeiT++, Lee et al., ECCV 2024): geometry and colour for token grids.

Codes cannot be rotated: each depends on what its place looked like. A small network maps embeddings
to features that can be rotated, sheared and recoloured, and back to codes. It has learnt the codes
that the tokenizer gives to the image that was changed so (`seit_cl.tokenizers.training.adapting`).
Colour is changed as in AdaIN (Huang and Belongie, ICCV 2017): the features get the mean and
deviation of another image's, channel by channel. SeiT++ does so with embeddings and gives the
learner embeddings; that colours are learnt with the map, and that its results are codes, is ours.

Shapes: B batch, G codes per position, K codebook size, D embedding, W features, S x S token grid.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seit_cl.learner.augment.draws import Numbers

__all__ = ["TokenAdapter", "affine_matrices", "channel_statistics", "restyle", "warp"]

WIDTH = 96  # W of a map that we train
STYLES = 256  # images whose statistics a map keeps
LARGEST_ANGLE = 30.0  # degrees, as the strongest rotation of RandAugment (Cubuk et al., 2020)
LARGEST_SHEAR = 0.3  # likewise
SMALLEST_DEVIATION = 1e-4


class TokenAdapter(nn.Module):
    """A learnt map from token grids to those of rotated, sheared and recoloured images.

    Args:
        dim: D of the learner's standardised embeddings.
        groups: G.
        codes: K.
        width: W.
        styles: number of images whose statistics are kept.
    """

    styles: Tensor

    def __init__(
        self, dim: int, groups: int, codes: int, width: int = WIDTH, styles: int = STYLES
    ) -> None:
        super().__init__()
        self.groups = groups
        self.codes = codes
        self.encoder = nn.Sequential(
            nn.Conv2d(dim, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, groups * codes, 1),
        )
        self.register_buffer("styles", torch.zeros(styles, 2, width))

    def layout(self, warp_p: float, recolour_p: float) -> dict[str, tuple[int, ...]]:
        """The uniform numbers that an image needs.

        Args:
            warp_p: probability that an image is rotated and sheared.
            recolour_p: probability that it gets other colours.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        if warp_p > 0.0:
            shapes["warp"] = (4,)  # the choice, the angle, two shears
        if recolour_p > 0.0:
            shapes["recolour"] = (3,)  # the choice, the style, its strength
        return shapes

    def forward(
        self, embeddings: Tensor, numbers: Numbers, warp_p: float, recolour_p: float
    ) -> tuple[Tensor, Tensor]:
        """Compute the codes of changed images.

        Args:
            embeddings: (B, D, S, S) float32, standardised.
            numbers: those of `layout`.
            warp_p: as for `layout`.
            recolour_p: likewise.

        Returns:
            Codes (B, G, S, S) int64, and (B,) bool, True for an image that is changed.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            features = self.encoder(embeddings)
            changed = torch.zeros(len(features), dtype=torch.bool, device=features.device)
            if "warp" in numbers:
                chosen = numbers["warp"][:, 0] < warp_p
                warped = warp(features, affine_matrices(numbers["warp"][:, 1:]))
                features = torch.where(chosen[:, None, None, None], warped, features)
                changed = changed | chosen
            if "recolour" in numbers:
                choice, style, strength = numbers["recolour"].unbind(1)
                chosen = choice < recolour_p
                rows = (style * len(self.styles)).long()
                restyled = restyle(features, self.styles[rows], strength)
                features = torch.where(chosen[:, None, None, None], restyled, features)
                changed = changed | chosen
            return self.logits(features).argmax(dim=2), changed

    def logits(self, features: Tensor) -> Tensor:
        """Scores (B, G, K, S, S) of all codes for features (B, W, S, S)."""
        scores: Tensor = self.decoder(features)
        return scores.unflatten(1, (self.groups, self.codes))

    def keep_styles(self, embeddings: Tensor) -> None:
        """Keep the statistics of images, embeddings (M, D, S, S), M being the number of styles."""
        self.styles.copy_(channel_statistics(self.encoder(embeddings)))

    def shapes(self) -> dict[str, Any]:
        """Numbers that a map of equal tensors is built from."""
        width = self.styles.shape[2]
        return {"width": width, "styles": len(self.styles)}


def affine_matrices(numbers: Tensor) -> Tensor:
    """Rotations and shears (B, 2, 3) for `warp`, from uniform numbers (B, 3)."""
    angle, first, second = (2.0 * numbers - 1.0).unbind(1)
    angle = angle * math.radians(LARGEST_ANGLE)
    first, second = first * LARGEST_SHEAR, second * LARGEST_SHEAR
    cosine, sine = angle.cos(), angle.sin()
    zero = torch.zeros_like(angle)
    top = torch.stack([cosine - sine * second, cosine * first - sine, zero], dim=1)
    bottom = torch.stack([sine + cosine * second, sine * first + cosine, zero], dim=1)
    return torch.stack([top, bottom], dim=1)


def warp(values: Tensor, matrices: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample values (B, C, S, S) at places that matrices (B, 2, 3) map; edges are mirrored.

    The same matrices do the same to an image and to its token grid, whatever their sides.
    """
    places = F.affine_grid(matrices, list(values.shape), align_corners=False)
    return F.grid_sample(values, places, mode, padding_mode="reflection", align_corners=False)


def channel_statistics(features: Tensor) -> Tensor:
    """Mean and deviation (B, 2, W) of every channel of features (B, W, S, S)."""
    mean = features.mean(dim=(2, 3))
    deviation = features.std(dim=(2, 3), unbiased=False)
    return torch.stack([mean, deviation], dim=1)


def restyle(features: Tensor, style: Tensor, strength: Tensor) -> Tensor:
    """Move mean and deviation of every channel towards those of a style.

    Args:
        features: (B, W, S, S).
        style: (B, 2, W), from `channel_statistics`.
        strength: (B,), from 0, which changes nothing, to 1.
    """
    own = channel_statistics(features)
    mean, deviation = own.unbind(1)
    aim_mean, aim_deviation = own.lerp(style, strength[:, None, None]).unbind(1)
    scale = aim_deviation / deviation.clamp(min=SMALLEST_DEVIATION)
    shift = aim_mean - scale * mean
    return features * scale[:, :, None, None] + shift[:, :, None, None]
