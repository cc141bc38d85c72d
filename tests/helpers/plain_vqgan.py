"""The arithmetic of VQGAN's blocks done plainly, on one image (C, H, W), by tensor names."""

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
MOST_BLOCKS = 8
TAMING_MIDDLE = ("block_1", "attn_1", "block_2")


def plain_norm(x: Tensor, state: State, name: str) -> Tensor:
    """Group normalisation of one image (C, H, W) with 32 groups."""
    groups = x.reshape(32, -1)
    centred = groups - groups.mean(1, keepdim=True)
    normed = (centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()).view(x.shape)
    return normed * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]


def plain_conv(
    x: Tensor, state: State, name: str, stride: int = 1, border: tuple[int, ...] = (1, 1, 1, 1)
) -> Tensor:
    """A convolution of one image (C, H, W) as a matrix product over its patches."""
    weight = state[f"{name}.weight"]
    side = weight.shape[-1]
    padded = F.pad(x, border if side > 1 else (0, 0, 0, 0))
    patches = padded.unfold(1, side, stride).unfold(2, side, stride)
    mapped = torch.einsum("chwij,ocij->ohw", patches, weight)
    if f"{name}.bias" in state:
        mapped = mapped + state[f"{name}.bias"][:, None, None]
    return mapped


def plain_resnet(x: Tensor, state: State, name: str) -> Tensor:
    """Two normalised convolutions with a residual connection."""
    y = x
    for i in (1, 2):
        y = plain_norm(y, state, f"{name}.norm{i}")
        y = plain_conv(y * torch.sigmoid(y), state, f"{name}.conv{i}")
    if f"{name}.nin_shortcut.weight" in state:
        x = plain_conv(x, state, f"{name}.nin_shortcut")
    return y + x


def plain_attention(x: Tensor, state: State, name: str) -> Tensor:
    """Attention of one head over all positions."""
    normed = plain_norm(x, state, f"{name}.norm")
    queries, keys, values = (
        plain_conv(normed, state, f"{name}.{part}").flatten(1) for part in "qkv"
    )
    scores = (queries.T @ keys / len(x) ** 0.5).exp()
    mixed = values @ (scores / scores.sum(1, keepdim=True)).T
    return x + plain_conv(mixed.view(x.shape), state, f"{name}.proj_out")


def plain_level(x: Tensor, state: State, name: str, blocks: str = "block") -> Tensor:
    """The blocks of a resolution, each with its attention."""
    for j in range(MOST_BLOCKS):
        if f"{name}.{blocks}.{j}.conv1.weight" in state:
            x = plain_resnet(x, state, f"{name}.{blocks}.{j}")
        if f"{name}.attn.{j}.q.weight" in state:
            x = plain_attention(x, state, f"{name}.attn.{j}")
    return x


def plain_middle(x: Tensor, state: State, side: str, names: tuple[str, str, str]) -> Tensor:
    """Block, attention, block at the lowest resolution."""
    first, attention, second = names
    x = plain_resnet(x, state, f"{side}.mid.{first}")
    x = plain_attention(x, state, f"{side}.mid.{attention}")
    return plain_resnet(x, state, f"{side}.mid.{second}")


def plain_downsample(x: Tensor, state: State, name: str) -> Tensor:
    """Half the sides: a convolution with zeros at the right and the bottom."""
    return plain_conv(x, state, f"{name}.downsample.conv", 2, (0, 1, 0, 1))


def plain_upsample(x: Tensor, state: State, name: str) -> Tensor:
    """Twice the sides: repeated pixels, then a convolution."""
    larger = x.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return plain_conv(larger, state, f"{name}.upsample.conv")


def plain_end(x: Tensor, state: State, side: str) -> Tensor:
    """Normalisation and last convolution of encoder or decoder."""
    x = plain_norm(x, state, f"{side}.norm_out")
    return plain_conv(x * torch.sigmoid(x), state, f"{side}.conv_out")


def taming_latents(image: Tensor, state: State, levels: int) -> Tensor:
    """Latents (D, H, W) of an image (3, S, S) uint8 by an encoder of taming-transformers."""
    x = plain_conv(image.double() / 127.5 - 1, state, "encoder.conv_in")
    for i in range(levels):
        x = plain_level(x, state, f"encoder.down.{i}")
        if i < levels - 1:
            x = plain_downsample(x, state, f"encoder.down.{i}")
    x = plain_middle(x, state, "encoder", TAMING_MIDDLE)
    return plain_conv(plain_end(x, state, "encoder"), state, "quant_conv")


def taming_image(vectors: Tensor, state: State, levels: int) -> Tensor:
    """Image (3, S, S) of code vectors (D, H, W) by a decoder of taming-transformers."""
    x = plain_conv(plain_conv(vectors, state, "post_quant_conv"), state, "decoder.conv_in")
    x = plain_middle(x, state, "decoder", TAMING_MIDDLE)
    for i in reversed(range(levels)):
        x = plain_level(x, state, f"decoder.up.{i}")
        if i:
            x = plain_upsample(x, state, f"decoder.up.{i}")
    return plain_end(x, state, "decoder")
