"""Augmentation as it was while it drew its own random numbers, with the numbers as arguments.

The pure functions of `seit_cl.learner.augment` do the same with fewer operations. Their tests
compare them with this code, of version 0.1.0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seit_cl.learner.augment.draws import Numbers
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.token_tables import nearest_codes
from seit_cl.learner.augment.tokens import TokenAugment

EDGE_EPS = 1e-4
CUBIC_A = -0.75


def boxes(numbers: Tensor, scale: tuple[float, float], ratio: tuple[float, float]) -> Tensor:
    """Boxes (B, 4) from numbers (B, 4, tries)."""
    draws = numbers.transpose(0, 1)
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    root = torch.exp(0.5 * (log_low + (log_high - log_low) * draws[1]))
    sides = torch.stack([area.sqrt() * root, area.sqrt() / root], dim=-1)
    fits = (sides <= 1.0).all(dim=-1)
    first = fits.to(torch.uint8).argmax(dim=1)
    chosen = sides.gather(1, first[:, None, None].expand(len(sides), 1, 2)).squeeze(1)
    aspect = min(max(1.0, ratio[0]), ratio[1])
    fallback = torch.tensor([min(1.0, aspect), min(1.0, 1.0 / aspect)]).expand_as(chosen)
    any_fits = fits.any(dim=1, keepdim=True)
    size = torch.where(any_fits, chosen, fallback)
    place = torch.where(any_fits, draws[2:, :, 0].T, torch.full_like(size, 0.5))
    return torch.cat([(1.0 - size) * place, size], dim=1)


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel at non-negative distances up to 2."""
    near = ((CUBIC_A + 2.0) * distance - (CUBIC_A + 3.0)) * distance * distance + 1.0
    far = ((CUBIC_A * distance - 5.0 * CUBIC_A) * distance + 8.0 * CUBIC_A) * distance
    return torch.where(distance <= 1.0, near, far - 4.0 * CUBIC_A)


def resize_matrix(
    start: Tensor, size: Tensor, side: int, out: int, flip: Tensor | None = None
) -> Tensor:
    """Matrices (B, out, side) that crop and resize one axis by the cubic kernel."""
    begin = start[:, None] * side
    length = size[:, None] * side
    low = (begin + EDGE_EPS).floor().clamp(0, side - 1)
    high = torch.maximum(((begin + length - EDGE_EPS).ceil() - 1.0).clamp(0, side - 1), low)
    steps = torch.arange(out, dtype=torch.float32)[None] + 0.5
    if flip is not None:
        steps = torch.where(flip[:, None], out - steps, steps)
    centre = begin + steps * (length / out) - 0.5
    base = centre.floor()
    taps = torch.arange(-1, 3)
    weight = cubic(((centre - base)[:, :, None] - taps).abs())
    index = torch.minimum(torch.maximum(base[:, :, None] + taps, low[:, :, None]), high[:, :, None])
    return torch.zeros(len(start), out, side).scatter_add_(2, index.long(), weight)


def crop_resize(x: Tensor, corners_and_sizes: Tensor, out: int, flip: Tensor | None) -> Tensor:
    """Crops (B, C, out, out) of x (B, C, S, S)."""
    left, top, wide, high = corners_and_sizes.unbind(1)
    vertical = resize_matrix(top, high, x.shape[2], out)
    horizontal = resize_matrix(left, wide, x.shape[3], out, flip)
    return torch.einsum("bih,bchw,bjw->bcij", vertical, x.float(), horizontal)


def swap(tokens: Tensor, chosen: Tensor, numbers: Numbers, largest_side: int) -> Tensor:
    """Tokens with two squares swapped in the chosen images, (B, 1, 1, 1) bool."""
    batch, groups, height, width = tokens.shape
    side, top_1, left_1 = numbers["swap"].T[..., None, None]
    side = (side * largest_side).long().clamp_max(largest_side - 1) + 1
    top_1 = torch.minimum((top_1 * (height - side + 1)).long(), height - side)
    left_1 = torch.minimum((left_1 * (width - side + 1)).long(), width - side)
    y = torch.arange(height)[:, None]
    x = torch.arange(width)
    is_disjoint = ((y - top_1).abs() >= side) | ((x - left_1).abs() >= side)
    is_inside = (y <= height - side) & (x <= width - side)
    score = torch.where(is_disjoint & is_inside, numbers["swap_scores"], -1.0)
    corner_1 = top_1 * width + left_1
    corner_2 = score.flatten(1).argmax(dim=1)[:, None, None]
    top_2 = corner_2 // width
    left_2 = corner_2 % width
    in_1 = (y >= top_1) & (y < top_1 + side) & (x >= left_1) & (x < left_1 + side)
    in_2 = (y >= top_2) & (y < top_2 + side) & (x >= left_2) & (x < left_2 + side)
    offset = (in_1.long() - in_2.long()) * (corner_2 - corner_1) * chosen[:, 0]
    source = (y * width + x + offset).view(batch, 1, -1).expand(batch, groups, -1)
    return tokens.flatten(2).gather(2, source).view(tokens.shape)


def token_augment(
    module: TokenAugment, codebook: Tensor, mirror: Tensor, tokens: Tensor, numbers: Numbers
) -> tuple[Tensor, Tensor]:
    """Tokens after flip and EDA, and the augmented inputs (B, D, crop, crop).

    Args:
        module: gives options, strengths and embeddings.
        codebook: (G, K, D).
        mirror: (G, K).
        tokens: (B, G, S, S) int64.
        numbers: of module.layout.
    """
    options = module.options
    constants = module.constants
    groups, codes, _ = codebook.shape
    offsets = (torch.arange(groups) * codes)[:, None, None]
    mirrored = mirror.reshape(-1)[tokens + offsets].flip(-1)
    is_flipped = (numbers["flip"] < options.flip_p)[:, None, None, None]
    tokens = torch.where(is_flipped, mirrored, tokens)

    choice = numbers["eda"][:, None, None, None]
    table = nearest_codes(codebook, constants.synonyms)
    count = table.shape[2]
    draw = numbers["synonyms"] / constants.token_p
    rank = (draw * count).long().clamp_max(count - 1)
    synonym = table.view(-1)[(tokens + offsets) * count + rank]
    gets_synonyms = choice < options.synonym_p
    tokens = torch.where(gets_synonyms & (draw < 1.0), synonym, tokens)
    gets_swap = (choice >= options.synonym_p) & (choice < options.synonym_p + options.swap_p)
    tokens = swap(tokens, gets_swap, numbers, int(constants.swap_side * tokens.shape[-1]))

    crops = boxes(numbers["boxes"], (options.token_rrc, 1.0), (3 / 4, 4 / 3))
    inputs = crop_resize(module.embed(tokens), crops, module.crop, None)
    noise = numbers["elements"] * constants.noise_element_std
    noise = noise + numbers["channels"] * constants.noise_channel_std
    noise = noise.permute(0, 3, 1, 2)
    has_noise = (numbers["noise"] < options.noise_p)[:, None, None, None]
    return tokens, inputs + noise * has_noise


def pixel_augment(module: PixelAugment, pixels: Tensor, numbers: Numbers) -> Tensor:
    """Augmented inputs (B, 3, crop, crop) of pixels (B, 3, S, S) uint8."""
    flip = numbers["flip"] < module.options.flip_p
    crops = boxes(numbers["boxes"], (module.options.pixel_rrc, 1.0), (3 / 4, 4 / 3))
    cropped = crop_resize(pixels, crops, module.crop, flip)
    return (cropped.clamp(0.0, 255.0) - module.mean) / module.std


def cutmix(
    inputs: Tensor, labels: Tensor, classes: int, order: Tensor, numbers: Numbers
) -> tuple[Tensor, Tensor]:
    """Inputs with boxes of partners, (B,) rows in `order`, and mixed targets (B, C)."""
    _, _, height, width = inputs.shape
    place_y, place_x = numbers["box"].T
    box_share = (1.0 - numbers["share"]).sqrt()
    top, bottom = edges((height * box_share).floor(), place_y, height)
    left, right = edges((width * box_share).floor(), place_x, width)
    in_rows = between(top, bottom, height)
    in_columns = between(left, right, width)
    in_box = (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
    own_share = (1.0 - (bottom - top) * (right - left) / (height * width))[:, None]
    targets = torch.nn.functional.one_hot(labels, classes).float()
    mixed = torch.where(in_box, inputs[order], inputs)
    return mixed, targets * own_share + targets[order] * (1.0 - own_share)


def edges(length: Tensor, place: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """First and end position (B,) of boxes along one axis, clipped to it."""
    centre = (place * side).floor().clamp_max(side - 1)
    start = centre - (length / 2).floor()
    return start.clamp_min(0.0), (start + length).clamp_max(float(side))


def between(start: Tensor, end: Tensor, side: int) -> Tensor:
    """Mask (B, side) of the positions from start up to but not including end."""
    position = torch.arange(side)
    return (position >= start[:, None]) & (position < end[:, None])
