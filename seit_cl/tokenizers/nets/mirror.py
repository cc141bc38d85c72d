"""Convolutions that are equivariant to mirroring an image left to right.

They are group convolutions over the group {identity, mirroring} (Cohen and Welling, ICML 2016).
Mirroring an image mirrors every feature map and acts on its channels in one of three ways:

- image: channels stay;
- pairs: the first and the second half of the channels change places;
- code: the first half of the channels stays (even), the second half changes its sign (odd).

Every layer here commutes with mirroring whatever its weights are, and needs half the weights of an
ordinary convolution. The stride must divide the sides evenly, or the left and the right border
would differ.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM = 0.1  # of the running statistics
EPS = 1e-5


def signs(dim: int) -> Tensor:
    """Signs (D,) that mirroring gives to the dimensions of a code: 1 if even, -1 if odd."""
    odd = dim // 2
    return torch.cat([torch.ones(dim - odd), -torch.ones(odd)])


def _image(weight: Tensor) -> Tensor:
    return weight


def _pairs(weight: Tensor) -> Tensor:
    return weight.roll(weight.shape[1] // 2, 1)


def _code(weight: Tensor) -> Tensor:
    return weight * signs(weight.shape[1]).to(weight)[:, None, None]


# Action of mirroring on the channels of (N, C, H, W), by the kind of the channels.
ACTIONS = {"image": _image, "pairs": _pairs, "code": _code}


class PairNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy, ICML 2015) of pairs (B, C, H, W).

    Both channels of a pair share mean, variance, scale and shift.

    Args:
        channels: C, even.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        pairs = channels // 2
        self.weight = nn.Parameter(torch.ones(pairs))
        self.bias = nn.Parameter(torch.zeros(pairs))
        self.register_buffer("running_mean", torch.zeros(pairs))
        self.register_buffer("running_var", torch.ones(pairs))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (C,) that replace the normalisation outside training."""
        scale = self.weight * (self.running_var + EPS).rsqrt()
        shift = self.bias - self.running_mean * scale
        return scale.repeat(2), shift.repeat(2)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W) by the statistics of the batch, and update the running ones."""
        batch, channels, height, width = x.shape
        # Both halves of the channels become columns of one image, so that they share statistics.
        # Channels come last, which makes this free of copies.
        columns = x.permute(0, 2, 3, 1).reshape(batch, height, 2 * width, channels // 2)
        normed = F.batch_norm(
            columns.permute(0, 3, 1, 2),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=True,
            momentum=MOMENTUM,
            eps=EPS,
        )
        restored = normed.permute(0, 2, 3, 1).reshape(batch, height, width, channels)
        return restored.permute(0, 3, 1, 2)


class ToPairs(nn.Conv2d):
    """Convolution and PairNorm, from (B, C, H, W) to pairs (B, C', H / stride, W / stride).

    Args:
        source: kind of the input channels, a key of ACTIONS.
        inputs: C.
        outputs: C', even.
        kernel: side of the kernel; kernel - stride must be even, so that all borders are padded
            alike.
        stride: of the convolution.
    """

    def __init__(
        self, source: str, inputs: int, outputs: int, kernel: int, stride: int = 1
    ) -> None:
        super().__init__(inputs, outputs // 2, kernel, stride, (kernel - stride) // 2, bias=False)
        self.action = ACTIONS[source]
        self.norm = PairNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        weight = torch.cat([self.weight, self.action(self.weight.flip(-1))])
        if self.training:
            convolved = F.conv2d(x, weight, None, self.stride, self.padding)
            return self.norm(convolved)  # type: ignore[no-any-return]
        scale, shift = self.norm.affine()
        return F.conv2d(x, weight * scale[:, None, None, None], shift, self.stride, self.padding)


class PairsToCode(nn.Conv2d):
    """1 x 1 convolution from pairs (B, C, H, W) to codes (B, D, H, W).

    Sums of pairs are even, differences are odd.

    Args:
        inputs: C, even.
        dim: D.
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__(inputs // 2, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, D, H, W)."""
        sign = signs(len(self.weight)).to(x.device)[:, None, None, None]
        return F.conv2d(x, torch.cat([self.weight, self.weight * sign], 1))


class PairsToImage(nn.ConvTranspose2d):
    """Transposed convolution from pairs (B, C, H, W) to images (B, 3, stride * H, stride * W).

    Args:
        inputs: C, even.
        kernel: side of the kernel, even.
        stride: of the convolution, even.
    """

    def __init__(self, inputs: int, kernel: int, stride: int) -> None:
        super().__init__(inputs // 2, 3, kernel, stride, (kernel - stride) // 2)
        self.margin = (kernel - stride) // 2

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, H, W) -> (B, 3, stride * H, stride * W)."""
        weight = torch.cat([self.weight, self.weight.flip(-1)])
        return F.conv_transpose2d(x, weight, self.bias, self.stride, self.margin)
