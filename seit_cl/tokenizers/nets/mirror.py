"""Convolutions that know what a mirror image is: group convolutions over {as is, mirrored} (Cohen & Welling, ICML 2016).

Mirroring an image left to right mirrors every feature map and acts on its channels in a fixed way:

- image: channels stay;
- pairs: the first half of the channels and the second half change places;
- code: the first half of the channels stays (even), the second changes its sign (odd).

Every layer here commutes with that, whatever its weights, and needs half the weights of an ordinary one. Sides must be
such that a stride fits them evenly, or the two borders would differ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.1  # of the running statistics
EPS = 1e-5


def signs(dim: int) -> Tensor:
    """How mirroring acts on codes: (D,) of 1 for the even half, -1 for the odd half."""
    return torch.cat([torch.ones(dim - dim // 2), -torch.ones(dim // 2)])


def _image(weight: Tensor) -> Tensor:
    return weight


def _pairs(weight: Tensor) -> Tensor:
    return weight.roll(weight.shape[1] // 2, 1)


def _code(weight: Tensor) -> Tensor:
    return weight * signs(weight.shape[1]).to(weight)[:, None, None]


ACTIONS = {"image": _image, "pairs": _pairs, "code": _code}


class PairNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy, ICML 2015) of pairs (B, C, H, W): both of a pair share mean, variance and scale."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = (
            nn.Parameter(torch.ones(channels // 2)),
            nn.Parameter(torch.zeros(channels // 2)),
        )
        self.register_buffer("running_mean", torch.zeros(channels // 2))
        self.register_buffer("running_var", torch.ones(channels // 2))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,) that it comes to outside training."""
        scale = self.weight * (self.running_var + EPS).rsqrt()
        return scale.repeat(2), (self.bias - self.running_mean * scale).repeat(2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same, by the statistics of the batch, which the running ones follow."""
        batch, channels, height, width = x.shape
        # Channels last, so that the halves become columns without a copy.
        beside = (
            x.permute(0, 2, 3, 1)
            .reshape(batch, height, 2 * width, channels // 2)
            .permute(0, 3, 1, 2)
        )
        normed = F.batch_norm(
            beside, self.running_mean, self.running_var, self.weight, self.bias, True, MOMENTUM, EPS
        ).permute(0, 2, 3, 1)
        return normed.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


class ToPairs(nn.Conv2d):
    """A normalised convolution from images, pairs or codes (B, C, H, W) to pairs (B, C', H / stride, W / stride).

    Args:
        source: what the input is, a key of ACTIONS.
        inputs: channels C.
        outputs: channels C', even.
        kernel: side of the kernel; kernel - stride must be even, so that the padding is the same on all borders.
        stride: of the convolution.
    """

    def __init__(
        self, source: str, inputs: int, outputs: int, kernel: int, stride: int = 1
    ) -> None:
        super().__init__(inputs, outputs // 2, kernel, stride, (kernel - stride) // 2, bias=False)
        self.action, self.norm = ACTIONS[source], PairNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        weight = torch.cat([self.weight, self.action(self.weight.flip(-1))])
        if self.training:
            return self.norm(F.conv2d(x, weight, None, self.stride, self.padding))  # type: ignore[no-any-return]
        scale, shift = self.norm.affine()
        return F.conv2d(x, weight * scale[:, None, None, None], shift, self.stride, self.padding)


class PairsToCode(nn.Conv2d):
    """A 1 x 1 convolution from pairs (B, C, H, W) to codes (B, D, H, W): sums of pairs are even, differences odd."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__(inputs // 2, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W)."""
        return F.conv2d(
            x,
            torch.cat(
                [
                    self.weight,
                    self.weight * signs(len(self.weight)).to(x.device)[:, None, None, None],
                ],
                1,
            ),
        )


class PairsToImage(nn.ConvTranspose2d):
    """A transposed convolution from pairs (B, C, H, W) to images (B, 3, stride * H, stride * W); kernel and stride even."""

    def __init__(self, inputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs // 2, 3, kernel, stride, (kernel - stride) // 2)
        self.margin = (kernel - stride) // 2

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, 3, stride * H, stride * W)."""
        weight = torch.cat([self.weight, self.weight.flip(-1)])
        return F.conv_transpose2d(x, weight, self.bias, self.stride, self.margin)
