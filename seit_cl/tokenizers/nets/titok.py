"""TiTok (Yu et al., NeurIPS 2024, arXiv:2406.07550), compatible with checkpoints.

Tensor names are those of the checkpoints of github.com/bytedance/1d-tokenizer; the code was written
for this package. Sizes are read from the names and shapes of the tensors.

Symbols: B batch, S image side in pixels, P x P patches, W width, N latent tokens, D code dimension,
K codes.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError
from seit_cl.tokenizers.nets.maskgit import PixelDecoder
from seit_cl.tokenizers.nets.vqgan_blocks import count_of, under
from seit_cl.tokenizers.nets.vqgan_codes import (
    CosineQuantizer,
    NearestQuantizer,
    OneCode,
    Quantizer,
    Shapes,
)

HEAD_DIM = 64  # of every attention head in the checkpoints: 512 / 8, 768 / 12 and 1024 / 16
COLOURS = 3


class Block(nn.Module):
    """Attention and a perceptron, each after a norm and with a residual connection.

    Args:
        width: W.
        hidden: features of the perceptron.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, width // HEAD_DIM, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = [
            ("c_fc", nn.Linear(width, hidden)),
            ("gelu", nn.GELU()),
            ("c_proj", nn.Linear(hidden, width)),
        ]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, positions, W) -> the same."""
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Blocks over patches and latent tokens, with learnt positions; the base of both sides.

    Args:
        shapes: of its tensors, by name.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        positions, self.width = shapes["positional_embedding"]
        self.patches = positions - 1  # the first is the class embedding's
        self.length = shapes["latent_token_positional_embedding"][0]
        hidden = shapes["transformer.0.mlp.c_fc.weight"][0]
        self.class_embedding = nn.Parameter(torch.empty(1, self.width))
        self.positional_embedding = nn.Parameter(torch.empty(positions, self.width))
        self.latent_token_positional_embedding = nn.Parameter(torch.empty(self.length, self.width))
        self.ln_pre = nn.LayerNorm(self.width)
        depth = count_of(shapes, r"transformer\.(\d+)\.")
        self.transformer = nn.ModuleList(Block(self.width, hidden) for _ in range(depth))
        self.ln_post = nn.LayerNorm(self.width)

    @property
    def side(self) -> int:
        """Patches along one side of the image."""
        return round(self.patches**0.5)

    def mix(self, patches: Tensor, latents: Tensor) -> Tensor:
        """Run the blocks.

        Args:
            patches: (B, P P, W), without positions.
            latents: (B or 1, N, W), likewise.

        Returns:
            (B, 1 + P P + N, W): class embedding, patches and latent tokens.
        """
        count = len(patches)
        first = self.class_embedding.expand(count, 1, -1)
        placed = torch.cat([first, patches], 1) + self.positional_embedding
        latents = (latents + self.latent_token_positional_embedding).expand(count, -1, -1)
        x = self.ln_pre(torch.cat([placed, latents], 1))
        for block in self.transformer:
            x = block(x)
        return x  # type: ignore[no-any-return]


class Encoder(Transformer):
    """From images (B, 3, S, S) in [0, 1] to latents (B, D, 1, N).

    Args:
        shapes: of its tensors, by name.
        legacy: the first models read the latent tokens in an order of their own; see `forward`.
    """

    def __init__(self, shapes: Shapes, legacy: bool) -> None:
        super().__init__(shapes)
        self.legacy = legacy
        self.patch = shapes["patch_embed.weight"][-1]
        self.patch_embed = nn.Conv2d(COLOURS, self.width, self.patch, self.patch)
        self.conv_out = nn.Conv2d(self.width, shapes["conv_out.weight"][0], 1)

    def forward(self, pixels: Tensor, latent_tokens: Tensor) -> Tensor:
        """(B, 3, S, S) and (N, W) -> (B, D, 1, N)."""
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)
        x = self.mix(patches, latent_tokens[None])
        latents = self.ln_post(x[:, -self.length :])  # (B, N, W)
        if self.legacy:
            # The first models were trained with this reshape in the place of a transposition, so
            # that a column is no latent token but W successive values.
            columns = latents.reshape(len(latents), self.width, self.length)
        else:
            columns = latents.transpose(1, 2)
        return self.conv_out(columns[..., None]).transpose(2, 3)  # type: ignore[no-any-return]


class Decoder(Transformer):
    """From code vectors (B, D, 1, N) to a map over patches (B, C, P, P).

    Its C channels are logits of MaskGIT's codes in the first models, and pixels in later ones.

    Args:
        shapes: of its tensors, by name.
        legacy: True for the first models.
    """

    def __init__(self, shapes: Shapes, legacy: bool) -> None:
        super().__init__(shapes)
        self.legacy = legacy
        self.decoder_embed = nn.Linear(shapes["decoder_embed.weight"][1], self.width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, self.width))
        first = shapes["ffn.0.weight"][0]
        layers: list[nn.Module] = [nn.Conv2d(self.width, first, 1)]
        if legacy:
            layers += [nn.Tanh(), nn.Conv2d(first, shapes["ffn.2.weight"][0], 1)]
        else:
            self.patch = round((first / COLOURS) ** 0.5)
            self.conv_out = nn.Conv2d(COLOURS, COLOURS, 3, 1, 1)
        self.ffn = nn.Sequential(*layers)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D, 1, N) -> logits (B, codes, P, P), or images (B, 3, S, S) around [0, 1]."""
        latents = self.decoder_embed(vectors.flatten(2).transpose(1, 2))
        x = self.mix(self.mask_token.expand(len(latents), self.patches, -1), latents)
        patches = self.ln_post(x[:, 1 : 1 + self.patches])
        mapped = self.ffn(patches.transpose(1, 2).unflatten(2, (self.side, self.side)))
        if self.legacy:
            return mapped  # type: ignore[no-any-return]
        # Channels are (row, column, colour) of a patch.
        parts = mapped.unflatten(1, (self.patch, self.patch, COLOURS)).permute(0, 3, 4, 1, 5, 2)
        return self.conv_out(parts.flatten(4, 5).flatten(2, 3))  # type: ignore[no-any-return]


class TiTok(OneCode, nn.Module):
    """Encoder, codebook and decoder with the tensors of a checkpoint.

    The first models (S-128, B-64, L-32) decode to the codes of MaskGIT's VQGAN, whose decoder they
    hold, and choose codes by angle; later ones (BL-64, BL-128, SL-256) decode to pixels and choose
    the nearest code.

    Args:
        shapes: of the checkpoint's tensors, by name, among them all of ANCHORS.

    Raises:
        ValueError: encoder and decoder are of images of different sides.
    """

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        self.legacy = "decoder.ffn.2.weight" in shapes
        self.encoder = Encoder(under(shapes, "encoder."), self.legacy)
        self.decoder = Decoder(under(shapes, "decoder."), self.legacy)
        self.latent_tokens = nn.Parameter(torch.empty(self.encoder.length, self.encoder.width))
        quantizer = CosineQuantizer if self.legacy else NearestQuantizer
        self.quantize: Quantizer = quantizer(under(shapes, "quantize."))
        self.CODES = self.quantize.CODES
        self.row = self.encoder.length
        self.stride = self.encoder.side * self.encoder.patch
        if self.legacy:
            book = nn.Embedding(*shapes["pixel_quantize.embedding.weight"])
            self.pixel_quantize = nn.ModuleDict({"embedding": book})
            self.pixel_decoder = PixelDecoder(under(shapes, "pixel_decoder."))
            patch = self.pixel_decoder.stride
        else:
            patch = self.decoder.patch
        if self.decoder.side * patch != self.stride:
            raise ValueError(
                f"images of {self.stride} px are decoded to {self.decoder.side * patch} px"
            )

    @property
    def vectors(self) -> Tensor:
        """Code vectors (K, D)."""
        return self.quantize.codebook

    def check_grid(self, height: int, width: int) -> None:
        """Refuse anything but one row of N tokens: positions are learnt for one image size.

        Raises:
            UserError: naming the side in pixels that fits.
        """
        if (height, width) != (1, self.row):
            raise UserError(
                f"images of {height * self.stride} x {height * self.stride} px: this TiTok codes "
                f"images of one size; choose --resolution {self.stride}"
            )

    def latents(self, images: Tensor) -> Tensor:
        """Latents (B, D, 1, N) of images (B, 3, S, S) in [-1, 1]."""
        return self.encoder((images + 1) / 2, self.latent_tokens)  # type: ignore[no-any-return]

    def nearest(self, latents: Tensor) -> Tensor:
        """Codes (B, 1, N) int64 of latents (B, D, 1, N)."""
        return self.quantize(latents)  # type: ignore[no-any-return]

    def embed(self, indices: Tensor) -> Tensor:
        """Code vectors (B, D, 1, N) of codes (B, 1, N)."""
        return F.embedding(indices, self.vectors).permute(0, 3, 1, 2)

    def reconstruct(self, embedded: Tensor) -> Tensor:
        """Images (B, 3, S, S), roughly in [-1, 1], of code vectors (B, D, 1, N)."""
        decoded: Tensor = self.decoder(embedded)
        if self.legacy:
            book = self.pixel_quantize["embedding"].weight
            decoded = self.pixel_decoder(torch.einsum("bkhw,kd->bdhw", decoded.softmax(1), book))
        return decoded * 2 - 1


# Tensors that every checkpoint has and that fix the sizes of the model.
ANCHORS = (
    "latent_tokens",
    "quantize.embedding.weight",
    "encoder.patch_embed.weight",
    "encoder.positional_embedding",
    "encoder.latent_token_positional_embedding",
    "encoder.transformer.0.mlp.c_fc.weight",
    "encoder.conv_out.weight",
    "decoder.decoder_embed.weight",
    "decoder.positional_embedding",
    "decoder.latent_token_positional_embedding",
    "decoder.transformer.0.mlp.c_fc.weight",
    "decoder.ffn.0.weight",
)
# Tensors that the first models have besides.
LEGACY_ANCHORS = (
    "pixel_quantize.embedding.weight",
    "pixel_decoder.conv_in.weight",
    "pixel_decoder.up.0.block.0.conv1.weight",
    "pixel_decoder.conv_out.weight",
)
