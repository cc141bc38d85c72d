"""ResNet-18 of full width for small images, as most papers on CIFAR use it: 11.2 million weights.

He et al. ("Deep residual learning for image recognition", CVPR 2016), with a 3 x 3 stem of stride 1
and without max-pooling.
"""

from dataclasses import dataclass

from seit_cl.core.options import AT_LEAST_1, ranged
from seit_cl.models._resnet import SmallImageResNet18Model


@dataclass(frozen=True)
class Options:
    """The paper's width."""

    width: int = ranged(64, AT_LEAST_1)  # channels of the first stage


class ResNet18CIFAR(SmallImageResNet18Model):
    """ResNet-18 with 64 channels in the first stage and a stem of stride 1, for small images."""

    source = "He et al., CVPR 2016"
    name = "resnet18_cifar"
    Options = Options


MODEL = ResNet18CIFAR
