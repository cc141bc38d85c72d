"""The slim ResNet-18 of online continual learning: 20 channels in the first stage.

Lopez-Paz and Ranzato ("Gradient episodic memory for continual learning", NeurIPS 2017) take it for
CIFAR-100; Avalanche's SlimResNet18 is the same network, of 1.1 million weights.
"""

from dataclasses import dataclass

from seit_cl.core.options import AT_LEAST_1, ranged
from seit_cl.models._resnet import SmallImageResNet18Model


@dataclass(frozen=True)
class Options:
    """The paper's width."""

    width: int = ranged(20, AT_LEAST_1)  # channels of the first stage


class SlimResNet18(SmallImageResNet18Model):
    """ResNet-18 with 20 channels in the first stage and a stem of stride 1, for small images."""

    source = "Lopez-Paz and Ranzato, NeurIPS 2017"
    name = "slim_resnet18"
    Options = Options


MODEL = SlimResNet18
