"""Iterated function systems: chosen per class, varied per image, drawn by a chaos game.

Kataoka et al., ACCV 2020: 2 to 8 affine maps with parameters from U[-1, 1], each applied with a
probability proportional to its determinant; a system becomes a class if its attractor fills enough
of the image.

Dimensions: B images, M maps, P points of an image, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MAPS = 8  # largest number of maps in a system; the paper's
SPREAD = np.float32(2.2)  # standard deviations from the centre of an image to its edge
BURN_IN = 16  # first steps of every point, which are not drawn
STEPS = 16  # steps of every point that are drawn
FILL = (0.2, 0.5)  # of the cells of a 64 x 64 grid; 0.2 is the paper's, and fuller ones are clouds
JITTER = 0.12  # relative change of every map parameter within a class
LEANING = 0.6  # share of the class's palette in an image's colours; the rest is the image's own
LIMIT = 0.88  # of a map's largest singular value: above it, attractors take too long to reach
CLASS_STREAM = 0  # second number in the key of a class's random stream; splits have others


@dataclass(frozen=True)
class System:
    """The system of one class.

    Args:
        maps: (M, 2, 3) float64, affine maps; the last column is the translation.
        palette: (3 stops, 3 channels) float64 in [0, 1], a gradient of colours.
    """

    maps: NDArray[np.float64]
    palette: NDArray[np.float64]


def generator(*key: int) -> np.random.Generator:
    """The random stream of a key of non-negative integers; the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def contract(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale the linear parts of maps (M, 2, 3) to a largest singular value of at most LIMIT."""
    a = maps[:, 0, 0]
    b = maps[:, 0, 1]
    c = maps[:, 1, 0]
    d = maps[:, 1, 1]
    total = a * a + b * b + c * c + d * d
    determinant = a * d - b * c
    discriminant = np.maximum(total * total - 4 * determinant * determinant, 0)
    norm = np.sqrt((total + np.sqrt(discriminant)) / 2)
    out = maps.copy()
    out[:, :, :2] *= np.minimum(1, LIMIT / norm)[:, None, None]
    return out


def candidate(rng: np.random.Generator) -> System:
    """A random system of 2 to MAPS contractive maps."""
    count = rng.integers(2, MAPS + 1)
    maps = contract(rng.uniform(-1, 1, (count, 2, 3)))
    return System(maps, rng.random((3, 3)))


def class_system(seed: int, label: int) -> System:
    """The system of a class: its first candidate whose attractor fills a share in FILL."""
    rng = generator(seed, CLASS_STREAM, label)
    while True:
        batch = [candidate(rng) for _ in range(8)]
        x, y, _ = play(batch, [rng] * len(batch), 512)
        count, _ = histogram(fit(x), fit(y), np.zeros_like(x), 64)
        shares = (count > 0).mean((1, 2))
        for system, share in zip(batch, shares, strict=True):
            if FILL[0] <= share <= FILL[1]:
                return system


def fit(values: Floats) -> Floats:
    """Centre and scale coordinates (B, P) by their own spread, so that most are in [-1, 1]."""
    # Sums in float64: their order differs between machines, and must not show in an image.
    values = values - values.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)
    variance = (values * values).mean(1, keepdims=True, dtype=np.float64)
    spread = np.sqrt(variance).astype(np.float32)
    return values / np.maximum(SPREAD * spread, np.float32(1e-6))


def tables(systems: list[System]) -> tuple[Floats, NDArray[np.intp]]:
    """Lookup tables of the chaos game.

    Returns:
        (7, B * MAPS) float32, the parameters a, b, e, c, d, f and the colour position of every map;
        and (B, 256), the map that each value of a random byte selects.
    """
    parameters = np.zeros((7, len(systems), MAPS), dtype=np.float32)
    choice = np.empty((len(systems), 256), dtype=np.intp)
    for row, system in enumerate(systems):
        maps = system.maps
        count = len(maps)
        parameters[:6, row, :count] = maps.reshape(count, 6).T
        parameters[6, row, :count] = np.linspace(0, 1, count)
        determinants = maps[:, 0, 0] * maps[:, 1, 1] - maps[:, 0, 1] * maps[:, 1, 0]
        weights = np.abs(determinants) + 0.01
        edges = np.cumsum(weights) / weights.sum()
        selected = np.searchsorted(edges, (np.arange(256) + 0.5) / 256)
        choice[row] = row * MAPS + np.minimum(selected, count - 1)
    return parameters.reshape(7, -1), choice


def play(
    systems: list[System], rngs: list[np.random.Generator], points: int
) -> tuple[Floats, Floats, Floats]:
    """Play the chaos game.

    Args:
        systems: the system of each of B images.
        rngs: the random stream of each.
        points: points that move at the same time in an image.

    Returns:
        x, y and colour position in [0, 1] of every point drawn, each (B, STEPS * points) float32.
    """
    parameters, choice = tables(systems)
    steps = BURN_IN + STEPS
    dice = []
    for rng in rngs:
        random_bytes = np.frombuffer(rng.bytes(steps * points), np.uint8)
        dice.append(random_bytes.reshape(steps, points))
    dice_by_step = np.stack(dice, 1)
    rows = np.arange(len(systems))[:, None]
    x, y, z = (np.zeros((len(systems), points), dtype=np.float32) for _ in range(3))
    drawn = np.empty((3, len(systems), STEPS, points), dtype=np.float32)
    for step in range(steps):
        index = choice[rows, dice_by_step[step]]
        a, b, e, c, d, f, colour = (table.take(index) for table in parameters)
        next_x = a * x + b * y + e
        next_y = c * x + d * y + f
        x = next_x
        y = next_y
        z = (z + colour) * np.float32(0.5)
        if step >= BURN_IN:
            drawn[:, :, step - BURN_IN] = x, y, z
    return tuple(drawn.reshape(3, len(systems), -1))  # type: ignore[return-value]


def vary(system: System, rng: np.random.Generator) -> System:
    """An instance of a class: every parameter jittered, and the palette mixed with random colours.

    The paper widens its categories to instances in the same way.
    """
    maps = contract(system.maps * rng.uniform(1 - JITTER, 1 + JITTER, system.maps.shape))
    own_palette = rng.random(system.palette.shape)
    return System(maps, LEANING * system.palette + (1 - LEANING) * own_palette)


def pose(x: Floats, y: Floats, rngs: list[np.random.Generator]) -> tuple[Floats, Floats]:
    """Rotate, scale, stretch and move points (B, P) in [-1, 1]; some may leave the image."""
    draws = np.stack([rng.random(5) for rng in rngs], 1)[:, :, None]
    angle = (draws[0] - 0.5) * (np.pi / 3)
    scale = 0.6 + 0.45 * draws[1]
    stretch = (0.85 + 0.3 * draws[2]).astype(np.float32)
    dx = ((draws[3] - 0.5) * 0.4).astype(np.float32)
    dy = ((draws[4] - 0.5) * 0.4).astype(np.float32)
    cos = (np.cos(angle) * scale).astype(np.float32)
    sin = (np.sin(angle) * scale).astype(np.float32)
    x = x * stretch
    return cos * x - sin * y + dx, sin * x + cos * y + dy


def backgrounds(
    rngs: list[np.random.Generator], resolution: int, dark: NDArray[np.float64]
) -> Floats:
    """Smooth random colours with a little grain.

    Args:
        rngs: the random stream of each of B images.
        resolution: side S in pixels.
        dark: (B,) 1 for a dark background, 0 for a light one.

    Returns:
        (B, 3, S, S) in [0, 1], apart from the grain.
    """
    weights = _interpolation(resolution)
    grids = []
    for rng in rngs:
        base = rng.random((3, 1, 1)) * 0.6
        grids.append(base + rng.random((3, 4, 4)) * 0.4)
    smooth = np.einsum("ik,bckl,jl->bcij", weights, np.stack(grids), weights) * 0.5
    shape = (1, resolution, resolution)
    grain = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs]) * 0.02
    colours = np.where(dark[:, None, None, None] > 0, smooth, 0.5 + smooth)
    return (colours + grain).astype(np.float32)


def _interpolation(resolution: int) -> NDArray[np.float64]:
    """Weights (S, 4) of linear interpolation between four grid points."""
    position = np.linspace(0, 3, resolution)
    corner = np.minimum(position.astype(np.int64), 2)
    pixels = np.arange(resolution)
    weights = np.zeros((resolution, 4))
    weights[pixels, corner] = 1 - (position - corner)
    weights[pixels, corner + 1] = position - corner
    return weights


def inks(systems: list[System], z: Floats, dark: NDArray[np.float64]) -> Floats:
    """Colours along the systems' palettes, light on dark backgrounds and dark on light ones.

    Args:
        systems: the system of each of B images.
        z: (B, S, S) colour positions in [0, 1].
        dark: (B,) 1 for a dark background, 0 for a light one.

    Returns:
        (B, 3, S, S) in [0, 1].
    """
    palettes = np.stack([system.palette for system in systems]) * 0.65
    shifted = np.where(dark[:, None, None] > 0, 0.35 + palettes, palettes)
    stops = shifted.astype(np.float32)[:, :, :, None, None]
    position = 2 * z[:, None]
    first = np.maximum(1 - position, 0)
    last = np.maximum(position - 1, 0)
    return stops[:, 0] * first + stops[:, 1] * (1 - first - last) + stops[:, 2] * last


def draw(
    systems: list[System], keys: Sequence[tuple[int, ...]], resolution: int
) -> NDArray[np.uint8]:
    """Draw a batch of images, each from its own random stream.

    Args:
        systems: the class system of each of B images.
        keys: the key of each image's random stream.
        resolution: side S in pixels.

    Returns:
        (B, 3, S, S) uint8.
    """
    rngs = [generator(*key) for key in keys]
    dark = np.array([rng.integers(2) for rng in rngs], dtype=np.float64)
    points_per_pixel = 4 if resolution <= 64 else 2
    points = max(8192, points_per_pixel * resolution * resolution) // STEPS
    varied = [vary(system, rng) for system, rng in zip(systems, rngs, strict=True)]
    x, y, z = play(varied, rngs, points)
    x, y = pose(fit(x), fit(y), rngs)
    count, colour = histogram(x, y, z, resolution)
    density = np.log1p(count.astype(np.float64)).astype(np.float32)
    density /= np.maximum(density.max((1, 2), keepdims=True), np.float32(1e-6))
    alpha = np.minimum(np.float32(1), 2 * density)[:, None]
    shade = np.float32(0.6) + np.float32(0.6) * density[:, None]
    background = backgrounds(rngs, resolution, dark)
    image = background * (1 - alpha) + inks(varied, colour, dark) * alpha * shade
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def histogram(x: Floats, y: Floats, z: Floats, resolution: int) -> tuple[Floats, Floats]:
    """Count points per pixel.

    Args:
        x: (B, P) horizontal positions; those outside [-1, 1] are dropped.
        y: (B, P) vertical positions; likewise.
        z: (B, P) colour positions.
        resolution: side S in pixels.

    Returns:
        Points of each pixel and their mean colour position, each (B, S, S) float32.
    """
    batch = len(x)
    size = resolution * resolution
    half = np.float32(resolution / 2)
    column = np.floor((x + 1) * half).astype(np.int32)
    row = np.floor((y + 1) * half).astype(np.int32)
    inside = (column >= 0) & (column < resolution) & (row >= 0) & (row < resolution)
    first_cell = (np.arange(batch, dtype=np.int32) * size)[:, None]
    cell = (row * resolution + column + first_cell)[inside]
    count = np.bincount(cell, minlength=batch * size)
    total = np.bincount(cell, weights=z[inside], minlength=batch * size)
    mean = total / np.maximum(count, 1)
    shape = (batch, resolution, resolution)
    return count.astype(np.float32).reshape(shape), mean.astype(np.float32).reshape(shape)
