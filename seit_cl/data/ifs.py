"""Iterated function systems: chosen per class, varied per image, played as a chaos game over many points at once.

Kataoka et al., ACCV 2020: 2 to 8 affine maps with parameters from U[-1, 1], each played with a probability proportional
to its determinant; a system becomes a class where its attractor fills enough of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
MAPS = 8  # at most, in a system; the paper's
SPREAD = np.float32(2.2)  # standard deviations from the middle of an image to its edge
BURN_IN = 16
STEPS = 16  # that are drawn, of every point
FILL = (0.2, 0.5)  # of the cells of a 64 x 64 grid; 0.2 is the paper's, and fuller ones are clouds
JITTER = 0.12  # of every map parameter, relative, within a class
LEANING = 0.6  # share of the class's palette in an image's colours; the rest is the image's own
LIMIT = 0.88  # of a map's largest singular value: above it, attractors take too long to reach
CLASS_STREAM = 0


@dataclass(frozen=True)
class System:
    """One class: maps (M, 2, 3) float64, the last column being the translation, and the class's leaning in colour:
    three stops of a gradient, (3 stops, 3 channels) in [0, 1]."""

    maps: NDArray[np.float64]
    palette: NDArray[np.float64]


def generator(*key: int) -> np.random.Generator:
    """The random stream of a key of non-negative integers; the same on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def contract(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps (M, 2, 3) with every linear part scaled to a largest singular value of at most LIMIT."""
    a, b, c, d = maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1]
    total, det = a * a + b * b + c * c + d * d, a * d - b * c
    norm = np.sqrt((total + np.sqrt(np.maximum(total * total - 4 * det * det, 0))) / 2)
    out = maps.copy()
    out[:, :, :2] *= np.minimum(1, LIMIT / norm)[:, None, None]
    return out


def candidate(rng: np.random.Generator) -> System:
    """A random system of 2 to MAPS contractive maps."""
    return System(
        contract(rng.uniform(-1, 1, (rng.integers(2, MAPS + 1), 2, 3))), rng.random((3, 3))
    )


def class_system(seed: int, label: int) -> System:
    """The system of a class: the first candidate of its stream whose attractor fills enough and not too much."""
    rng = generator(seed, CLASS_STREAM, label)
    while True:
        batch = [candidate(rng) for _ in range(8)]
        x, y, _ = play(batch, [rng for _ in batch], 512)
        count, _ = histogram(fit(x), fit(y), np.zeros_like(x), 64)
        for system, filled in zip(batch, (count > 0).mean((1, 2)), strict=True):
            if FILL[0] <= filled <= FILL[1]:
                return system


def fit(values: Floats) -> Floats:
    """Coordinates (B, P) moved and scaled, each row by its own spread, so that all but a few are in [-1, 1]."""
    # Sums in float64: their order differs between machines, and must not show in an image.
    values = values - values.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)
    spread = np.sqrt((values * values).mean(1, keepdims=True, dtype=np.float64)).astype(np.float32)
    return values / np.maximum(SPREAD * spread, np.float32(1e-6))


def tables(systems: list[System]) -> tuple[Floats, NDArray[np.intp]]:
    """Parameters a, b, e, c, d, f and colour place (7, B * MAPS), and the map that each byte value plays (B, 256)."""
    parameters = np.zeros((7, len(systems), MAPS), dtype=np.float32)
    choice = np.empty((len(systems), 256), dtype=np.intp)
    for row, system in enumerate(systems):
        count = len(system.maps)
        parameters[:6, row, :count] = system.maps.reshape(count, 6).T
        parameters[6, row, :count] = np.linspace(0, 1, count)
        det = (
            np.abs(
                system.maps[:, 0, 0] * system.maps[:, 1, 1]
                - system.maps[:, 0, 1] * system.maps[:, 1, 0]
            )
            + 0.01
        )
        edges = np.cumsum(det) / det.sum()
        place = np.searchsorted(edges, (np.arange(256) + 0.5) / 256)
        choice[row] = row * MAPS + np.minimum(place, count - 1)
    return parameters.reshape(7, -1), choice


def play(
    systems: list[System], rngs: list[np.random.Generator], points: int
) -> tuple[Floats, Floats, Floats]:
    """The chaos game: x, y and colour place in [0, 1] of every point drawn, each (B, STEPS * points) float32."""
    parameters, choice = tables(systems)
    rounds = BURN_IN + STEPS
    dice = np.stack(
        [
            np.frombuffer(rng.bytes(rounds * points), np.uint8).reshape(rounds, points)
            for rng in rngs
        ],
        1,
    )
    rows = np.arange(len(systems))[:, None]
    x, y, z = (np.zeros((len(systems), points), dtype=np.float32) for _ in range(3))
    drawn = np.empty((3, len(systems), STEPS, points), dtype=np.float32)
    for step in range(rounds):
        index = choice[rows, dice[step]]
        a, b, e, c, d, f, place = (table.take(index) for table in parameters)
        x, y = a * x + b * y + e, c * x + d * y + f
        z = (z + place) * np.float32(0.5)
        if step >= BURN_IN:
            drawn[:, :, step - BURN_IN] = x, y, z
    return tuple(drawn.reshape(3, len(systems), -1))  # type: ignore[return-value]


def vary(system: System, rng: np.random.Generator) -> System:
    """The same system with every parameter moved a little, as the paper's categories are widened to instances, and with
    colours of its own mixed into the class's."""
    maps = contract(system.maps * rng.uniform(1 - JITTER, 1 + JITTER, system.maps.shape))
    return System(maps, LEANING * system.palette + (1 - LEANING) * rng.random(system.palette.shape))


def pose(x: Floats, y: Floats, rngs: list[np.random.Generator]) -> tuple[Floats, Floats]:
    """Points (B, P) in [-1, 1] turned, scaled, stretched and moved; some of a shape may leave the image."""
    draws = np.stack([rng.random(5) for rng in rngs], 1)[:, :, None]
    angle = (draws[0] - 0.5) * (np.pi / 3)
    scale, stretch = 0.6 + 0.45 * draws[1], 0.85 + 0.3 * draws[2]
    cos, sin = (
        (np.cos(angle) * scale).astype(np.float32),
        (np.sin(angle) * scale).astype(np.float32),
    )
    dx, dy = (((draws[i] - 0.5) * 0.4).astype(np.float32) for i in (3, 4))
    x = x * stretch.astype(np.float32)
    return cos * x - sin * y + dx, sin * x + cos * y + dy


def backgrounds(
    rngs: list[np.random.Generator], resolution: int, dark: NDArray[np.float64]
) -> Floats:
    """Smooth random colours (B, 3, S, S) in [0, 1] with a little grain, dark or light (dark: (B,) 0 or 1)."""
    place = np.linspace(0, 3, resolution)
    corner = np.minimum(place.astype(np.int64), 2)
    weights = np.zeros((resolution, 4))
    weights[np.arange(resolution), corner] = 1 - (place - corner)
    weights[np.arange(resolution), corner + 1] = place - corner
    grids = np.stack([rng.random((3, 1, 1)) * 0.6 + rng.random((3, 4, 4)) * 0.4 for rng in rngs])
    smooth = np.einsum("ik,bckl,jl->bcij", weights, grids, weights) * 0.5
    grain = (
        np.stack(
            [rng.standard_normal((1, resolution, resolution), dtype=np.float32) for rng in rngs]
        )
        * 0.02
    )
    return (np.where(dark[:, None, None, None] > 0, smooth, 0.5 + smooth) + grain).astype(
        np.float32
    )


def inks(systems: list[System], z: Floats, dark: NDArray[np.float64]) -> Floats:
    """Colours (B, 3, S, S) of places (B, S, S) in [0, 1] along the systems' palettes: light on dark or the reverse."""
    palettes = np.stack([system.palette for system in systems]) * 0.65
    stops = np.where(dark[:, None, None] > 0, 0.35 + palettes, palettes).astype(np.float32)[
        :, :, :, None, None
    ]
    place = 2 * z[:, None]
    first, last = np.maximum(1 - place, 0), np.maximum(place - 1, 0)
    return stops[:, 0] * first + stops[:, 1] * (1 - first - last) + stops[:, 2] * last


def draw(
    systems: list[System], keys: Sequence[tuple[int, ...]], resolution: int
) -> NDArray[np.uint8]:
    """Draws a batch of images, each from its own random stream.

    Args:
        systems: the class system of each of B images.
        keys: the random stream of each.
        resolution: S, pixels.

    Returns:
        (B, 3, S, S) uint8.
    """
    rngs = [generator(*key) for key in keys]
    dark = np.array([rng.integers(2) for rng in rngs], dtype=np.float64)
    points = (
        max(8192, 4 * resolution * resolution if resolution <= 64 else 2 * resolution * resolution)
        // STEPS
    )
    varied = [vary(system, rng) for system, rng in zip(systems, rngs, strict=True)]
    x, y, z = play(varied, rngs, points)
    x, y = pose(fit(x), fit(y), rngs)
    count, place = histogram(x, y, z, resolution)
    density = np.log1p(count.astype(np.float64)).astype(np.float32)
    density /= np.maximum(density.max((1, 2), keepdims=True), np.float32(1e-6))
    alpha = np.minimum(np.float32(1), 2 * density)[:, None]
    image = backgrounds(rngs, resolution, dark) * (1 - alpha) + inks(
        varied, place, dark
    ) * alpha * (np.float32(0.6) + np.float32(0.6) * density[:, None])
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def histogram(x: Floats, y: Floats, z: Floats, resolution: int) -> tuple[Floats, Floats]:
    """Points (B, P) in [-1, 1] counted per pixel, and their mean colour place, each (B, S, S) float32."""
    batch, size = len(x), resolution * resolution
    half = np.float32(resolution / 2)
    column, row = (
        np.floor((x + 1) * half).astype(np.int32),
        np.floor((y + 1) * half).astype(np.int32),
    )
    inside = (column >= 0) & (column < resolution) & (row >= 0) & (row < resolution)
    cell = row * resolution + column + (np.arange(batch, dtype=np.int32) * size)[:, None]
    cell = cell[inside]
    count = np.bincount(cell, minlength=batch * size)
    total = np.bincount(cell, weights=z[inside], minlength=batch * size)
    shape = (batch, resolution, resolution)
    mean = total / np.maximum(count, 1)
    return count.astype(np.float32).reshape(shape), mean.astype(np.float32).reshape(shape)
