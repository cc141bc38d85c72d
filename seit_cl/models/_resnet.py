"""ResNet-18 for small images: a 3 x 3 stem of stride 1, no max-pooling, global average pooling.

The usual form on CIFAR, where ImageNet's stem of stride 4 would leave too little. He et al. ("Deep
residual learning for image recognition", CVPR 2016) give the blocks. Modules are named as
torchvision names them, except for the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.models import ModelContext, check_stride, crop_of
from seit_cl.models._drawn import drawn_from

BLOCKS = 2  # in each stage
STRIDES = (1, 2, 2, 2)  # of the first block of each stage
STRIDE = 8


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that uses its running statistics where a channel has one value.

    torch refuses such a batch, the last sample of an experience in front of a 1 x 1 map.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, width, h, w)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is projected where the shapes differ.

    Args:
        inputs: channels of the input.
        width: channels of the output.
        stride: of the first convolution.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = BatchNorm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = BatchNorm(width)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            projection = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, BatchNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, width, h / stride, w / stride)."""
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn2(self.conv2(branch))
        return F.relu(branch + self.downsample(x))


class SmallImageResNet18(nn.Module):
    """ResNet-18 with a stem of stride 1.

    Args:
        channels: D of the input.
        classes: width C of the head.
        width: channels of the first stage; later stages have 2, 4 and 8 times as many.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = BatchNorm(width)
        self.layer1 = _stage(width, width, STRIDES[0])
        self.layer2 = _stage(width, 2 * width, STRIDES[1])
        self.layer3 = _stage(2 * width, 4 * width, STRIDES[2])
        self.layer4 = _stage(4 * width, 8 * width, STRIDES[3])
        self.head = nn.Linear(8 * width, classes)

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, 8 width) of inputs (B, D, h, w): the average over all positions."""
        x = F.relu(self.bn1(self.conv1(inputs)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, D, h, w)."""
        logits: Tensor = self.head(self.features(inputs))
        return logits


def _stage(inputs: int, width: int, stride: int) -> nn.Sequential:
    def blocks() -> Iterator[BasicBlock]:
        yield BasicBlock(inputs, width, stride)
        for _ in range(BLOCKS - 1):
            yield BasicBlock(width, width, 1)

    return nn.Sequential(*blocks())


class SmallImageResNet18Model:
    """Base of the plugins of this architecture (`seit_cl.models.Model`).

    Attributes:
        name: of the plugin.
        Options: a dataclass with `width`, the channels of the first stage.
    """

    source: ClassVar[str]
    name: ClassVar[str]
    Options: ClassVar[type[Any]]

    def __init__(self, width: int, context: ModelContext) -> None:
        self.width = width
        self.channels = context.channels
        self.crop = crop_of(context)

    @classmethod
    def build(cls, options: Any, context: ModelContext) -> Self:
        """Build the model for the data of a run.

        Raises:
            UserError: a side below the network's stride.
        """
        check_stride(cls.name, STRIDE, context)
        return cls(options.width, context)

    def new_network(self, classes: int, generator: torch.Generator) -> SmallImageResNet18:
        """Make a network with torch's usual initialisation."""
        return drawn_from(generator, lambda: SmallImageResNet18(self.channels, classes, self.width))
