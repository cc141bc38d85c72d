"""A ViT on the latents of the bundled tokenizer, in front of its quantiser.

It sees what the tokenizer's encoder has learnt from labels, without the codes: whatever a token
learner gains over it on the same JPEGs is not due to the encoder's weights.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from seit_cl.core.specs import NoOptions
from seit_cl.learner.augment.pixels import IMAGENET_MEAN, IMAGENET_STD
from seit_cl.models import ModelContext
from seit_cl.models._split import SplitNetwork
from seit_cl.models._vit import ViT, build_vit, initialise, token_stem
from seit_cl.tokenizers import open_tokenizer
from seit_cl.tokenizers._vqae_tokenizer import VQAETokenizer
from seit_cl.tokenizers.nets.vqae import STRIDE, VQAutoencoder


class FrozenLatents(nn.Module):
    """Features of a ViT on the latents of a tokenizer that is not trained.

    Args:
        autoencoder: of the tokenizer.
        vit: on its latents (B, D, S / 8, S / 8).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, autoencoder: VQAutoencoder, vit: ViT) -> None:
        super().__init__()
        self.vit = vit
        # A bound method is no submodule: the encoder is not trained, not put into training mode,
        # and not among the model's bytes.
        self.latents = autoencoder.latents
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def no_weight_decay(self) -> set[str]:
        """Names of the ViT's parameters without weight decay."""
        return {f"vit.{name}" for name in self.vit.no_weight_decay()}

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, width) of images (B, 3, S, S), normalised by ImageNet's moments."""
        with torch.no_grad():
            pixels = images * self.std + self.mean
            latents = self.latents(2 * pixels - 1)
        return self.vit.features(latents.float())


class LatentViT:
    """The micro ViT on the bundled tokenizer's continuous latents (`seit_cl.models.Model`)."""

    source = "ours"
    Options = NoOptions

    def __init__(self, context: ModelContext) -> None:
        self.crop = context.side

    @classmethod
    def build(cls, options: NoOptions, context: ModelContext) -> Self:
        """Build the model for images of a run."""
        return cls(context)

    def new_network(self, classes: int, generator: torch.Generator) -> SplitNetwork:
        """Make a network with a new ViT, whose head starts at zero."""
        tokenizer = open_tokenizer("bundled")
        assert isinstance(tokenizer, VQAETokenizer)
        autoencoder = tokenizer.model
        assert isinstance(autoencoder, VQAutoencoder)
        dim = autoencoder.codebook.shape[1]
        with torch.random.fork_rng():
            vit = build_vit("micro", token_stem(self.crop // STRIDE), dim, classes)
        initialise(vit, generator)
        head = vit.head
        assert isinstance(head, nn.Linear)
        vit.reset_classifier(0)
        return SplitNetwork(FrozenLatents(autoencoder, vit), head)
