"""The options of augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seit_cl.core.errors import UserError
from seit_cl.core.options import AREA, NOT_NEGATIVE, POSITIVE, PROBABILITY, CheckedOptions, option


@dataclass(frozen=True)
class FlipOptions(CheckedOptions):
    """The option of mirroring, which token and pixel augmentation share."""

    flip_p: float = option(
        0.5, "probability that an image is mirrored, in pixels or in tokens", PROBABILITY
    )


@dataclass(frozen=True)
class TokenAugmentOptions(FlipOptions):
    """Options of token augmentation; a probability of 0 switches its part off."""

    token_rrc: float = option(0.3, "smallest area of Token-RRC's crop; 1: no crop", AREA)
    synonym_p: float = option(
        0.25, "probability that an image gets synonym tokens (Token-EDA)", PROBABILITY
    )
    swap_p: float = option(
        0.25, "probability that two squares of an image swap (Token-EDA)", PROBABILITY
    )
    noise_p: float = option(0.5, "probability that an image gets Emb-Noise", PROBABILITY)
    level_drop_p: float = option(
        0.0,
        "probability that an image keeps only its first levels, 1 or more at random, as exemplars "
        "do in a memory that cuts them; for tokenizers with several codes a position",
        PROBABILITY,
    )
    patch_drop_p: float = option(
        0.0,
        "probability that an image keeps only the positions of its grid that a memory of "
        "--format tokens:keep=... would store of it",
        PROBABILITY,
    )
    token_adapt: Path | None = option(
        None,
        "file of tokenize adapt: rotate, shear and recolour tokens (TokenAdapt, ColorAdapt)",
    )
    warp_p: float = option(
        0.5, "with --token-adapt: probability that an image is rotated and sheared", PROBABILITY
    )
    recolour_p: float = option(
        0.5, "with --token-adapt: probability that an image gets other colours", PROBABILITY
    )

    def __post_init__(self) -> None:
        """Check the ranges, and that an image gets synonyms or a swap but not both.

        Raises:
            UserError: a value outside its range, or probabilities whose sum exceeds 1.
        """
        super().__post_init__()
        if self.synonym_p + self.swap_p > 1:
            raise UserError(
                f"--synonym-p {self.synonym_p:g} and --swap-p {self.swap_p:g}: an image gets one "
                "or the other; their sum must be at most 1"
            )


@dataclass(frozen=True)
class PixelAugmentOptions(FlipOptions):
    """Options of pixel augmentation. ImageNet's usual crop, 0.08, is hard on images of 64 px."""

    pixel_rrc: float = option(
        0.3, "smallest area of the pixel learner's random crop; 1: no crop", AREA
    )
    pixel_pad: int = option(
        0,
        "pixel learner: black border in pixels around which an image is cropped at random to its "
        "own size, 4 being usual for CIFAR; 0: none; needs --pixel-rrc 1",
        NOT_NEGATIVE,
    )

    def __post_init__(self) -> None:
        """Check the ranges, and that an image is cropped in one way.

        Raises:
            UserError: a value outside its range, or a border beside random resized crops.
        """
        super().__post_init__()
        if self.pixel_pad and self.pixel_rrc < 1:
            raise UserError(
                f"--pixel-pad {self.pixel_pad} and --pixel-rrc {self.pixel_rrc:g}: an image is "
                "cropped in one way; add --pixel-rrc 1"
            )


@dataclass(frozen=True)
class CutMixOptions(CheckedOptions):
    """Options of CutMix."""

    cutmix_p: float = option(0.5, "probability that a batch is mixed by CutMix", PROBABILITY)
    cutmix_alpha: float = option(1.0, "alpha of CutMix's Beta distribution", POSITIVE)
