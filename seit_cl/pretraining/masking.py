"""Masks over the patches of a ViT, and a ViT that predicts what they hide.

The design is SimMIM's (Xie et al., CVPR 2022): one learnt vector takes the place of masked patches,
the encoder sees all positions, and a linear layer predicts each masked patch. Windows of a token
learner's stem overlap, so masked positions are set to zero in front of it, too: nothing of a masked
patch reaches the network.

Shapes: B batch, N patches, h x w inputs of a grid of rows x columns patches, s the stem's stride.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seit_cl.models._vit import StemAdapter, ViT

__all__ = ["MaskedViT", "draw_masks", "hide", "patchify"]


def draw_masks(batch: int, patches: int, masked: int, generator: torch.Generator) -> Tensor:
    """Draw masks (B, N) bool with the same number of masked patches each.

    Args:
        batch: B.
        patches: N.
        masked: patches of an image that are masked.
        generator: the masks are made on its device.
    """
    scores = torch.rand(batch, patches, generator=generator, device=generator.device)
    return scores.argsort(dim=1).argsort(dim=1) < masked


def patchify(values: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Cut values (B, C, h, w) into patches (B, N, s * s * C).

    Args:
        values: those beyond the last whole patch are left out.
        grid: rows and columns of patches.
        side: s of a patch.
    """
    rows, columns = grid
    batch, channels = values.shape[:2]
    whole = values[:, :, : rows * side, : columns * side]
    cells = whole.reshape(batch, channels, rows, side, columns, side)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, -1)


def hide(inputs: Tensor, masks: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    """Set the positions of masked patches to zero.

    Args:
        inputs: (B, D, h, w).
        masks: (B, N) bool.
        grid: rows and columns of patches.
        side: s of a patch.
    """
    cells = masks.view(-1, 1, *grid)
    positions = cells.repeat_interleave(side, 2).repeat_interleave(side, 3)
    below = inputs.shape[2] - positions.shape[2]
    right = inputs.shape[3] - positions.shape[3]
    return inputs.masked_fill(F.pad(positions, [0, right, 0, below]), 0.0)


class MaskedViT(nn.Module):
    """A ViT whose masked patches are predicted by a linear layer, both of which are trained.

    Args:
        vit: the network that is pre-trained.
        outputs: values predicted for a patch.
        generator: draws the weights of the mask's vector and of the linear layer.
    """

    def __init__(self, vit: ViT, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.vit = vit
        width = vit.embed_dim
        self.mask_token = nn.Parameter(torch.empty(width))
        with torch.random.fork_rng(devices=[]):
            self.prediction = nn.Linear(width, outputs)
        nn.init.trunc_normal_(self.mask_token, std=0.02, generator=generator)
        nn.init.trunc_normal_(self.prediction.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.prediction.bias)

    @property
    def stem(self) -> StemAdapter:
        """The stem, which knows the grid of patches."""
        stem = self.vit.patch_embed
        assert isinstance(stem, StemAdapter)
        return stem

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay."""
        return {"mask_token"} | {f"vit.{name}" for name in self.vit.no_weight_decay()}

    def forward(self, inputs: Tensor, masks: Tensor) -> Tensor:
        """Predict the masked patches.

        Args:
            inputs: (B, D, h, w).
            masks: (B, N) bool, True where a patch is masked.

        Returns:
            (M, outputs) for the M masked patches of the batch, in the order of `targets[masks]`.
        """
        stem = self.stem
        patches = stem(hide(inputs, masks, stem.grid_size, stem.patch_size[0]))
        mask_token = self.mask_token.to(patches.dtype)
        patches = torch.where(masks[:, :, None], mask_token, patches)
        assert self.vit.pos_embed is not None
        features = self.vit.blocks(patches + self.vit.pos_embed)
        # The norm that the learner has behind its average over patches.
        features = self.vit.fc_norm(self.vit.norm(features[masks]))
        predicted: Tensor = self.prediction(features)
        return predicted
