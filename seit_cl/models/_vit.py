"""The learner's network: a timm VisionTransformer behind a stem for tokens or for pixels.

SeiT (Park et al., ICCV 2023) puts a 4 x 4 convolution of stride 2 in front of ViT blocks, with
global average pooling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from seit_cl.core.specs import NoOptions
from seit_cl.models import ModelContext

# Width, depth, heads; tiny, small and base are DeiT's (Touvron et al., ICML 2021), micro is ours.
SIZES = {
    "micro": (128, 4, 4),
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
}


@dataclass(frozen=True)
class StemSettings:
    """Crop and convolution in front of the ViT's blocks.

    Args:
        crop: side of the crop that the learner sees, in token positions or pixels.
        kernel: side of the stem's convolution.
        stride: its stride.
        padding: its padding.
        sequence: True for inputs of one row, whose length is the crop.
    """

    crop: int
    kernel: int
    stride: int
    padding: int
    sequence: bool = False

    @property
    def patches(self) -> int:
        """Patches along one side."""
        return (self.crop + 2 * self.padding - self.kernel) // self.stride + 1


def token_stem(grid: int) -> StemSettings:
    """Choose the stem for a token grid of side `grid`.

    At 32 it is SeiT's: a 28 x 28 crop gives 14 x 14 patches. Grids of 16 x 16 and 8 x 8 give 8 x 8
    patches, as many as the pixel learner has.
    """
    if grid >= 28:
        return StemSettings(crop=grid * 7 // 8, kernel=4, stride=2, padding=1)
    if grid >= 12:
        return StemSettings(crop=grid, kernel=4, stride=2, padding=1)
    return StemSettings(crop=grid, kernel=3, stride=1, padding=1)


def sequence_stem(length: int) -> StemSettings:
    """Make the stem for a sequence of tokens: a linear map of each, since neighbours mean nothing.

    Args:
        length: of the sequence.
    """
    return StemSettings(crop=length, kernel=1, stride=1, padding=0, sequence=True)


def pixel_stem(resolution: int) -> StemSettings:
    """Choose the stem for images of side `resolution` in pixels.

    There are as many patches as `token_stem` gives for the token grid at stride 8.
    """
    if resolution >= 224:
        return StemSettings(crop=resolution * 7 // 8, kernel=16, stride=16, padding=0)
    patch = 16 if resolution >= 96 else 8
    return StemSettings(crop=resolution // patch * patch, kernel=patch, stride=patch, padding=0)


class StemAdapter(nn.Module):
    """Convolution from inputs (B, D, H, W) to a sequence (B, N, width), as timm's patch embeddings.

    Args:
        img_size: side of the input.
        patch_size: stride of the convolution.
        in_chans: channels D.
        embed_dim: width of the blocks.
        kernel: side of the convolution.
        padding: its padding.
        sequence: True for inputs (B, D, 1, img_size).
    """

    def __init__(
        self,
        img_size: int,
        patch_size: int,
        in_chans: int,
        embed_dim: int,
        kernel: int,
        padding: int,
        sequence: bool,
        **_: Any,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel, stride=patch_size, padding=padding)
        side = (img_size + 2 * padding - kernel) // patch_size + 1
        self.img_size = (1 if sequence else img_size, img_size)
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (1 if sequence else side, side)
        self.num_patches = self.grid_size[0] * side

    def forward(self, x: Tensor) -> Tensor:
        """Embed inputs (B, D, H, W) as a sequence (B, N, width)."""
        # The residual stream has the layout of this tensor, and norms copy a transposed one.
        return self.proj(x).flatten(2).transpose(1, 2).contiguous()


class ViT(VisionTransformer):
    """timm's VisionTransformer, as a `seit_cl.models.Network`."""

    def features(self, inputs: Tensor) -> Tensor:
        """Features (B, width) of inputs (B, D, h, w): the average over patches after the norm."""
        features: Tensor = self.forward_head(self.forward_features(inputs), pre_logits=True)
        return features


def build_vit(
    size: str, stem: StemSettings, channels: int, classes: int, drop_path: float = 0.0
) -> ViT:
    """A ViT of one of SIZES behind a stem; the same blocks for tokens and pixels.

    Args:
        size: key of SIZES.
        stem: from token_stem or pixel_stem.
        channels: D of the embeddings, 3 for pixels.
        classes: width of the head, which starts at zero: rows of unseen classes have no effect.
        drop_path: stochastic depth rate.
    """
    width, depth, heads = SIZES[size]

    def embed(**options: Any) -> StemAdapter:
        options.update(kernel=stem.kernel, padding=stem.padding, sequence=stem.sequence)
        return StemAdapter(**options)

    model = ViT(
        img_size=stem.crop,
        patch_size=stem.stride,
        in_chans=channels,
        num_classes=classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        embed_layer=embed,
        class_token=False,
        global_pool="avg",
        drop_path_rate=drop_path,
    )
    for parameter in model.head.parameters():
        nn.init.zeros_(parameter)
    return model


def initialise(model: ViT, generator: torch.Generator) -> ViT:
    """Draw every weight anew, as timm initialises a ViT.

    Blocks get a truncated normal of deviation 0.02, the stem LeCun's initialisation.

    Args:
        model: from build_vit; its head stays zero.
        generator: on the CPU; the only source of randomness.
    """
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("head"):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            elif isinstance(module, nn.Conv2d) and module.bias is not None:
                fan_in = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                nn.init.trunc_normal_(module.weight, std=1 / math.sqrt(fan_in), generator=generator)
                nn.init.zeros_(module.bias)
        assert model.pos_embed is not None
        nn.init.trunc_normal_(model.pos_embed, std=0.02, generator=generator)
    return model


class StemViT:
    """Base of the plugins of the ViT's sizes (`seit_cl.models.Model`).

    Attributes:
        size: key of SIZES.
    """

    source: ClassVar[str]
    size: ClassVar[str]
    takes_sequences: ClassVar[bool] = True
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, context: ModelContext) -> None:
        if context.sequence:
            self.stem = sequence_stem(context.side)
        elif context.modality == "tokens":
            self.stem = token_stem(context.side)
        else:
            self.stem = pixel_stem(context.side)
        self.channels = context.channels
        self.crop = self.stem.crop

    @classmethod
    def build(cls, options: NoOptions, context: ModelContext) -> Self:
        """Build the model for the data of a run."""
        return cls(context)

    def new_network(self, classes: int, generator: torch.Generator) -> ViT:
        """Make a ViT whose head is zero: rows of unseen classes have no effect."""
        # timm draws from the global generator before `initialise` draws from ours.
        with torch.random.fork_rng():
            network = build_vit(self.size, self.stem, self.channels, classes)
        return initialise(network, generator)


def _token_vit(
    size: str,
    pretrained: bool = False,
    grid: int = 32,
    channels: int = 32,
    num_classes: int = 1000,
    drop_path_rate: float = 0.0,
    **_timm: Any,
) -> VisionTransformer:
    if pretrained:
        raise ValueError("there are no pretrained stem-adapter weights; call with pretrained=False")
    return build_vit(size, token_stem(grid), channels, num_classes, drop_path_rate)


@register_model
def stem_adapter_vit_micro(**options: Any) -> VisionTransformer:
    """Token learner for CPUs; options grid, channels, num_classes, drop_path_rate."""
    return _token_vit("micro", **options)


@register_model
def stem_adapter_vit_tiny(**options: Any) -> VisionTransformer:
    """Token learner as wide as DeiT-Ti."""
    return _token_vit("tiny", **options)


@register_model
def stem_adapter_vit_small(**options: Any) -> VisionTransformer:
    """Token learner as wide as DeiT-S."""
    return _token_vit("small", **options)


@register_model
def stem_adapter_vit_base(**options: Any) -> VisionTransformer:
    """Token learner as wide as DeiT-B."""
    return _token_vit("base", **options)
