"""Augmentation of token grids (SeiT, Park et al., ICCV 2023): Token-EDA, Token-RRC and Emb-Noise.

Token-EDA carries the text augmentations of EDA (Wei and Zou, EMNLP 2019) over to codes. SeiT's
Token-RRC interpolates one-hot maps and multiplies by the codebook; interpolation is linear, so
interpolating the embeddings gives the same and is far cheaper. Mirroring of token grids is ours.
Token-CutMix is `seit_cl.learner.augment.cutmix.cutmix` on the embeddings.

Exemplars may lack their last levels (`seit_cl.memory.levelling`) or positions of the grid
(`seit_cl.data.patches`): codes -1. A missing code has the mean of its codebook as its vector, which
is 0 in the standardised table, so that a position is the sum of the levels that it has. No
augmentation changes a missing code.

Shapes: B batch, G codes per position, K codebook size, D code dimension, S x S token grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seit_cl.data.patches import PatchChoice
from seit_cl.learner.augment.crops import BOX_NUMBERS, CropResize, RandomBoxes, center_crop
from seit_cl.learner.augment.draws import Layout, Numbers
from seit_cl.learner.augment.settings import TokenAugmentOptions
from seit_cl.learner.augment.token_adapt import TokenAdapter
from seit_cl.learner.augment.token_eda import replace_by_synonyms, swap_squares
from seit_cl.learner.augment.token_tables import (
    Combine,
    embedding_moments,
    nearest_codes,
    row_tables,
    with_missing_row,
)

__all__ = ["Combine", "TokenAugment", "TokenAugmentConstants"]

LARGEST_GRID = 256  # positions of a side
MISSING = -1  # in the place of the codes of a level or a position that an exemplar lacks


@dataclass(frozen=True)
class TokenAugmentConstants:
    """Strengths of token augmentation that no run changes; SeiT's unless marked as ours.

    Args:
        token_p: probability that a token is replaced, in an image that gets synonyms; with G > 1
            each code of a position is drawn alone (ours).
        synonyms: number of nearest codes that a replacement is drawn from.
        swap_side: largest side of swapped squares as a fraction of the grid, at most 1/3. The side
            is uniform from 1 to that, and the squares are disjoint, so every code stays (ours).
        noise_channel_std: deviation of the noise that all positions of a channel share, for
            embeddings of unit variance (ours).
        noise_element_std: deviation of each element's own noise, likewise (ours).

    Raises:
        ValueError: a value is out of range.
    """

    token_p: float = 0.25
    synonyms: int = 5
    swap_side: float = 0.25
    noise_channel_std: float = 0.1
    noise_element_std: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 <= self.token_p <= 1.0:
            raise ValueError(f"token_p must lie in [0, 1], got {self.token_p}")
        if self.synonyms < 0:
            raise ValueError(f"synonyms must not be negative, got {self.synonyms}")
        if not 0.0 <= self.swap_side <= 1 / 3:
            raise ValueError(f"swap_side must lie in [0, 1/3], got {self.swap_side}")
        if min(self.noise_channel_std, self.noise_element_std) < 0.0:
            raise ValueError("noise deviations must not be negative")


class TokenAugment(nn.Module):
    """Turn token grids into the learner's input: augmented, standardised embeddings.

    Embeddings are standardised by one scalar mean and deviation, those of a position whose codes
    are uniform and independent, so that inputs have about unit variance. Tables are buffers: move
    the module to the device of the data. They follow from the codebook and are no part of the
    state dict.

    Args:
        codebook: (G, K, D) float32.
        combine: how a position's G vectors become its embedding: "sum" gives D dimensions,
            "concat" G * D.
        options: what to apply when training.
        crop: side of the output grid (28 for a 32 x 32 grid in SeiT).
        mirror: (G, K) int64, the mirror image of each code; None where tokens cannot be mirrored.
        constants: strengths of the augmentations.
        sequence: tokens are sequences (B, G, 1, crop) without places in the image. Token-RRC and
            swaps of squares, which are about places, are left out; synonyms and noise remain.
        adapter: rotates, shears and recolours tokens, as the options say; None for no such change.
        patches: the positions that exemplars keep; None where they keep all.

    Raises:
        ValueError: codebook, `combine`, `crop` or the shape of the mirror is wrong.
    """

    mean: Tensor
    std: Tensor
    table: Tensor
    first_rows: Tensor
    synonyms: Tensor
    synonym_bounds: Tensor
    position: Tensor
    mirror: Tensor | None

    def __init__(
        self,
        codebook: Tensor,
        combine: Combine,
        options: TokenAugmentOptions | None = None,
        crop: int = 28,
        mirror: Tensor | None = None,
        constants: TokenAugmentConstants | None = None,
        sequence: bool = False,
        adapter: TokenAdapter | None = None,
        patches: PatchChoice | None = None,
    ) -> None:
        super().__init__()
        if codebook.ndim != 3 or codebook.numel() == 0 or not bool(torch.isfinite(codebook).all()):
            shape = tuple(codebook.shape)
            raise ValueError(f"codebook must be finite and of shape (G, K, D), got {shape}")
        if combine not in ("sum", "concat"):
            raise ValueError(f"combine must be 'sum' or 'concat', got {combine!r}")
        if crop < 1:
            raise ValueError(f"crop must be positive, got {crop}")
        if mirror is not None and mirror.shape != codebook.shape[:2]:
            shape = tuple(mirror.shape)
            raise ValueError(f"mirror must have the shape (G, K) of the codebook, got {shape}")
        self.options = options or TokenAugmentOptions()
        self.constants = constants or TokenAugmentConstants()
        self.combine = combine
        self.crop = crop
        self.sequence = sequence
        self.adapter = adapter
        self.patches = patches
        self.boxes = RandomBoxes((self.options.token_rrc, 1.0))
        self.resize = CropResize(crop)
        codebook = codebook.detach().float()
        self.groups, self.codes, dim = codebook.shape
        self.dim = dim if combine == "sum" else self.groups * dim
        mean, std = embedding_moments(codebook, combine)
        # Sums are centred codebook by codebook: a position's vectors then add up to mean 0.
        centres = codebook.mean(dim=(1, 2), keepdim=True) if combine == "sum" else mean
        table = ((codebook - centres) / std).reshape(-1, dim)  # (G * K, D)
        first_rows = torch.arange(self.groups, device=codebook.device) * self.codes
        neighbours = nearest_codes(codebook, self.constants.synonyms)
        synonyms, mirror_rows = row_tables(neighbours, mirror)
        self.missing_row = len(table)
        self.may_miss = self.groups > 1 or patches is not None
        if self.may_miss:
            table, synonyms, mirror_rows = with_missing_row(table, synonyms, mirror_rows)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("table", table, persistent=False)
        self.register_buffer("first_rows", first_rows[:, None, None], persistent=False)
        self.register_buffer("mirror", mirror_rows, persistent=False)
        self.register_buffer("synonyms", synonyms, persistent=False)
        count = neighbours.shape[2]
        synonym_bounds = torch.arange(1, count + 1, device=codebook.device) / max(1, count)
        synonym_bounds = synonym_bounds * self.constants.token_p
        self.register_buffer("synonym_bounds", synonym_bounds, persistent=False)
        position = torch.arange(LARGEST_GRID, dtype=torch.float32, device=codebook.device)
        self.register_buffer("position", position, persistent=False)

    @property
    def mirrors(self) -> bool:
        """True if training mirrors images: the codes have mirror images, and flip_p is not 0."""
        return self.mirror is not None and self.options.flip_p > 0.0

    def mirrored(self, tokens: Tensor) -> Tensor | None:
        """Mirror token grids (B, G, S, S) left to right; None where training mirrors none."""
        if not self.mirrors:
            return None
        assert self.mirror is not None
        rows = self.mirror[self.rows(tokens)].flip(-1)
        codes = rows - self.first_rows
        if self.may_miss:
            codes = codes.masked_fill(rows == self.missing_row, MISSING)
        return codes.to(tokens.dtype)

    def layout(self, shape: torch.Size) -> Layout:
        """The random numbers that a token grid (G, S, S) needs."""
        options = self.options
        constants = self.constants
        grid = shape[-1]
        uniform: dict[str, tuple[int, ...]] = {}
        normal: dict[str, tuple[int, ...]] = {}
        if self.groups > 1 and options.level_drop_p > 0.0:
            uniform["levels"] = (2,)
        if self.patches is not None and options.patch_drop_p > 0.0:
            uniform["patches"] = ()
        if self.mirrors:
            uniform["flip"] = ()
        uniform["eda"] = ()
        if options.synonym_p > 0.0 and constants.token_p > 0.0 and self.synonyms.shape[1] > 1:
            uniform["synonyms"] = tuple(shape)
        has_places = not self.sequence
        if has_places and options.swap_p > 0.0 and self._largest_side(grid) > 0:
            uniform["swap"] = (3,)
            uniform["swap_scores"] = (grid, grid)
        if has_places and options.token_rrc < 1.0:
            uniform["boxes"] = BOX_NUMBERS
        if options.noise_p > 0.0:
            uniform["noise"] = ()
            normal["channels"] = (1, 1, self.dim)
            height = self.crop if has_places else 1
            normal["elements"] = (height, self.crop, self.dim)
        if self.adapter is not None:
            uniform |= self.adapter.layout(options.warp_p, options.recolour_p)
        return Layout(uniform, normal, ("noise", options.noise_p))

    def forward(self, tokens: Tensor, numbers: Numbers | None = None) -> Tensor:
        """Augment a batch, or crop its centre, and embed it.

        The order of the augmentations is dropped positions, dropped levels, flip, TokenAdapt and
        ColorAdapt, EDA, embedding, Token-RRC, Emb-Noise.

        Args:
            tokens: (B, G, S, S) integers in [0, K), or -1 where a code is missing.
            numbers: those of `layout`, for training; None to crop the centre.

        Returns:
            (B, D, crop, crop) float32, with G * D in the place of D where codes are concatenated;
            channels last in memory when training.

        Raises:
            ValueError: the shape is wrong, or a centre crop exceeds the grid.
        """
        rows = self.rows(tokens)
        if numbers is None:
            return self._embed_rows(self._centre(rows)).contiguous()
        rows = self.drop_levels(self.drop_patches(tokens, rows, numbers), numbers)
        rows = self.flip(rows, numbers)
        rows = self.eda(self.adapt(rows, numbers), numbers)
        inputs = self.noise(self._random_crop(rows, numbers), numbers)
        return inputs.permute(0, 3, 1, 2)

    def rows(self, tokens: Tensor) -> Tensor:
        """Rows (B, G, S, S) int64 of the embedding table for tokens, integers in [0, K).

        With several codes a position, or exemplars that keep some positions, -1 is a missing code
        and gets the last row.

        Raises:
            ValueError: the shape is wrong.
        """
        is_grid = tokens.ndim == 4 and tokens.shape[1] == self.groups
        fits = is_grid and tokens.shape[3] <= LARGEST_GRID
        height = 1 if self.sequence else tokens.shape[-1]
        if not fits or tokens.shape[2] != height or tokens.is_floating_point():
            shape = "1, S" if self.sequence else "S, S"
            expected = f"(B, {self.groups}, {shape}) with S up to {LARGEST_GRID}"
            raise ValueError(
                f"tokens must be integers of shape {expected}, got {tuple(tokens.shape)}"
            )
        rows = tokens + self.first_rows
        if self.may_miss:
            rows = rows.masked_fill(tokens == MISSING, self.missing_row)
        return rows

    def drop_patches(self, tokens: Tensor, rows: Tensor, numbers: Numbers) -> Tensor:
        """Leave some images only the positions that the memory would keep of them.

        An exemplar loses nothing by it: of its positions, those that it has are chosen first.

        Args:
            tokens: (B, G, S, S) integers, -1 where a code is missing.
            rows: (B, G, S, S) int64, theirs.
            numbers: those of `layout`.
        """
        if "patches" not in numbers:
            return rows
        assert self.patches is not None
        chosen = numbers["patches"] < self.options.patch_drop_p
        is_dropped = chosen[:, None, None] & ~self.patches.mask(tokens)
        return rows.masked_fill(is_dropped[:, None], self.missing_row)

    def drop_levels(self, rows: Tensor, numbers: Numbers) -> Tensor:
        """Leave some images only their first levels, 1 to G - 1 with equal probability.

        Structured dropout of a residual quantiser's levels, as in the training of SoundStream
        (Zeghidour et al., 2021), here for the learner.

        Args:
            rows: (B, G, S, S) int64.
            numbers: those of `layout`.
        """
        if "levels" not in numbers:
            return rows
        chosen, kept = numbers["levels"].unbind(1)
        kept = (1.0 + kept * (self.groups - 1)).floor()
        kept = torch.where(chosen < self.options.level_drop_p, kept, self.groups)
        is_dropped = self.position[: self.groups] >= kept[:, None]  # (B, G)
        return rows.masked_fill(is_dropped[:, :, None, None], self.missing_row)

    def flip(self, rows: Tensor, numbers: Numbers) -> Tensor:
        """Mirror some images: their grid left to right, and every code to its mirror image.

        Args:
            rows: (B, G, S, S) int64.
            numbers: those of `layout`.
        """
        if "flip" not in numbers:
            return rows
        assert self.mirror is not None
        chosen = numbers["flip"] < self.options.flip_p
        return torch.where(chosen[:, None, None, None], self.mirror[rows].flip(-1), rows)

    def adapt(self, rows: Tensor, numbers: Numbers) -> Tensor:
        """Rotate, shear and recolour some images, where there is a map (`TokenAdapter`).

        Missing levels stay missing.

        Args:
            rows: (B, G, S, S) int64.
            numbers: those of `layout`.
        """
        if self.adapter is None:
            return rows
        options = self.options
        embeddings = self._embed_rows(rows)
        codes, changed = self.adapter(embeddings, numbers, options.warp_p, options.recolour_p)
        is_changed = changed[:, None, None, None] & (rows != self.missing_row)
        return torch.where(is_changed, codes + self.first_rows, rows)

    def eda(self, rows: Tensor, numbers: Numbers) -> Tensor:
        """Token-EDA: give every image synonyms, a swap of two squares, or neither.

        Args:
            rows: (B, G, S, S) int64.
            numbers: those of `layout`.
        """
        choice = numbers["eda"]
        no_synonyms = choice >= self.options.synonym_p
        if "synonyms" in numbers:
            rows = replace_by_synonyms(
                rows, no_synonyms, numbers["synonyms"], self.synonyms, self.synonym_bounds
            )
        if "swap" in numbers:
            swaps = no_synonyms & (choice < self.options.synonym_p + self.options.swap_p)
            grid = rows.shape[-1]
            rows = swap_squares(
                rows,
                swaps,
                numbers["swap"],
                numbers["swap_scores"],
                self.position[:grid],
                self._largest_side(grid),
            )
        return rows

    def embed(self, tokens: Tensor) -> Tensor:
        """Look up the standardised embeddings of tokens.

        Args:
            tokens: (B, G, S, S) integers in [0, K).

        Returns:
            (B, D, S, S) float32, channels last in memory, with G * D in the place of D where codes
            are concatenated.

        Raises:
            ValueError: the shape is wrong.
        """
        return self._embed_rows(self.rows(tokens))

    def noise(self, inputs: Tensor, numbers: Numbers) -> Tensor:
        """Emb-Noise: add Gaussian noise per channel and per element to some of the images.

        Args:
            inputs: (B, crop, crop, D) float32, of about unit variance.
            numbers: those of `layout`.
        """
        if "noise" not in numbers:
            return inputs
        chosen = (numbers["noise"] < self.options.noise_p)[:, None, None, None]
        by_channel = self.constants.noise_channel_std
        by_element = self.constants.noise_element_std
        inputs = torch.addcmul(inputs, numbers["channels"], chosen, value=by_channel)
        return inputs.addcmul_(numbers["elements"], chosen, value=by_element)

    def _embed_rows(self, rows: Tensor) -> Tensor:
        """Embeddings (B, D, S, S), channels last in memory, of rows (B, G, S, S)."""
        return self._vectors(rows.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _vectors(self, rows: Tensor) -> Tensor:
        """Embeddings (B, S, S, D) of rows (B, S, S, G)."""
        vectors = F.embedding(rows, self.table)  # (B, S, S, G, D)
        if self.combine == "sum" and self.groups > 1:
            return vectors.sum(dim=3)
        return vectors.flatten(3)

    def _random_crop(self, rows: Tensor, numbers: Numbers) -> Tensor:
        """Token-RRC: embeddings (B, crop, crop, D) of a random crop, or of the centre without."""
        if "boxes" not in numbers:
            return self._vectors(self._centre(rows).permute(0, 2, 3, 1))
        corner, size = self.boxes(numbers["boxes"])
        side = rows.shape[-1]
        values = self.dim * side * side
        by_columns = rows.permute(0, 3, 2, 1)
        return self.resize.by_columns(
            lambda part: self._vectors(by_columns[part]), corner, size, side, values
        )

    def _centre(self, rows: Tensor) -> Tensor:
        """The centre of grids, rows (B, G, S, S); sequences as they are."""
        return rows if self.sequence else center_crop(rows, self.crop)

    def _largest_side(self, grid: int) -> int:
        """Largest side of swapped squares in a grid of that side, in positions."""
        return int(self.constants.swap_side * grid)
