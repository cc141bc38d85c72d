"""Frozen features of any timm backbone, quantised: the way REMIND (Hayes et al., ECCV 2020) stores exemplars."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seit_cl.core.cache import cache_folder
from seit_cl.core.errors import UserError
from seit_cl.core.files import write_atomic
from seit_cl.core.specs import argument
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers.base import TokenizerKind, check_side, identity_of
from seit_cl.tokenizers.bundled import float32_arithmetic
from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from seit_cl.tokenizers.nets.quantiser import Quantiser, QuantiserSettings
from seit_cl.tokenizers.training.features import FitOptions, fit_features, fitting_images

CUDA_IMAGES = 64  # encoded at a time


class TimmTokenizer:
    """A frozen backbone and a quantiser of its features as a Tokenizer (seit_cl.tokenizers.base)."""

    decodes = False
    mirror = None

    def __init__(self, backbone: Backbone, quantiser: Quantiser, card: dict[str, str]) -> None:
        self.backbone, self.quantiser, self.card = backbone, quantiser, card
        self.stride, self.combine = backbone.stride, quantiser.settings.combine
        self.codebook = quantiser.codebook
        mean, std = backbone.statistics()
        settings = {"backbone": asdict(backbone.settings), "quantiser": asdict(quantiser.settings)}
        self.config = json.dumps(settings | {"mean": mean, "std": std}, sort_keys=True)
        tensors = self.tensors()
        self.identity = identity_of(self.config, tensors)
        self.entropy_model = EntropyReader(self.identity)
        self.codec_bytes = sum(
            tensor.numel() * tensor.element_size() for tensor in tensors.values()
        )

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds: the backbone's weights in half precision, and what was fitted in float32."""
        fitted = {
            "codebook": self.quantiser.codebook,
            "mean": self.quantiser.mean,
            "matrix": self.quantiser.matrix,
        }
        return fitted | {
            f"backbone.{name}": tensor for name, tensor in self.backbone.tensors().items()
        }

    def to(self, device: torch.device | str) -> TimmTokenizer:
        """Move to a device, in place."""
        self.backbone.to(device)
        self.quantiser.to(device)
        self.codebook = self.quantiser.codebook
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Tokens (B, G, H, W) int16 of images (B, 3, S, S) uint8, on the images' device; one image at a time on a CPU.

        Raises:
            UserError: the images are not square, their side is not a multiple of the stride, or the backbone takes none of it.
        """
        check_side(images, self.stride)
        side = images.shape[-1] // self.stride
        tokens = images.new_empty((len(images), len(self.codebook), side, side), dtype=torch.int16)
        device = self.codebook.device
        step = CUDA_IMAGES if device.type == "cuda" else 1
        with float32_arithmetic(device):
            for start in range(0, len(images), step):
                features = self.backbone.batch(images[start : start + step])
                codes = self.quantiser.codes(features.permute(0, 2, 3, 1).flatten(0, 2))
                tokens[start : start + step] = codes.view(
                    -1, side, side, len(self.codebook)
                ).permute(0, 3, 1, 2)
        return tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """Refuses: what is quantised is features.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"timm: {self.backbone.settings.name} gives no images back; features are stored, and no network turns "
            "them into images"
        )

    def save(self, path: Path) -> None:
        """Write weights, codebooks, configuration and card into one safetensors file, atomically."""
        metadata = {**self.card, "kind": "timm", "config": self.config, "identity": self.identity}
        write_atomic(
            path,
            save(
                {name: tensor.contiguous() for name, tensor in self.tensors().items()},
                metadata=metadata,
            ),
        )


def load_timm(path: Path) -> TimmTokenizer:
    """Read a file of this kind.

    Raises:
        UserError: no such file, not of this kind, a backbone that the installed timm lacks, or weights that do not fit.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            card = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        config = json.loads(card.pop("config"))
        fitted = [tensors.pop(name).float() for name in ("mean", "matrix", "codebook")]
        quantiser = Quantiser(QuantiserSettings(**config["quantiser"]), *fitted)
        backbone = Backbone(
            BackboneSettings(**config["backbone"]), statistics=(config["mean"], config["std"])
        )
        backbone.model.load_state_dict(
            {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}
        )
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable file of frozen features ({type(error).__name__}); make one with "
            "python -m seit_cl.tokenize fit"
        ) from error
    for name in ("kind", "identity"):
        card.pop(name, None)
    return TimmTokenizer(backbone, quantiser, card)


def fit_timm(source: str, options: FitOptions) -> TimmTokenizer:
    """Fit a quantiser to a backbone's features.

    Args:
        source: timm's name of the backbone.
        options: see FitOptions.

    Raises:
        UserError: options that do not fit one another, weights or images that cannot be had.
    """
    return TimmTokenizer(*fit_features(source, options))


@dataclass(frozen=True, kw_only=True)
class TimmOptions(FitOptions):
    """Options of the timm kind: a backbone and how its quantiser is fitted.

    Args:
        backbone: name of a timm model, or a tokenizer file.
    """

    backbone: str = argument("BACKBONE or FILE.safetensors")

    @property
    def fitting(self) -> FitOptions:
        """The options of fitting alone."""
        return FitOptions(
            **{option.name: getattr(self, option.name) for option in fields(FitOptions)}
        )


class TimmFeatures(TokenizerKind):
    """Open a fitted file, or fit a backbone's quantiser once and take it from the cache."""

    about = (
        "frozen features of a timm backbone, quantised by k-means, product or residual quantisation "
        "(REMIND: Hayes et al., ECCV 2020)"
    )
    source = "Hayes et al., ECCV 2020 (REMIND)"
    Options = TimmOptions

    @classmethod
    def build(cls, options: TimmOptions, context: None = None) -> TimmTokenizer:
        """Load or fit the tokenizer.

        Raises:
            UserError: an unreadable file, options beside a file, or a cache that cannot be written.
        """
        return _open(options.backbone, options.fitting)


def _open(source: str, options: FitOptions) -> TimmTokenizer:
    """A fitted file, or a backbone whose quantiser is fitted once and then taken from the cache."""
    if Path(source).is_file() or source.endswith(".safetensors"):
        if options != FitOptions():
            raise UserError(
                f"timm:{source}: what it is fitted with stands in the file; leave out its options"
            )
        return load_timm(Path(source))
    folder = cache_folder() / "tokenizers"
    path = folder / f"timm-{options.key(source, fitting_images(options))}.safetensors"
    if path.is_file():
        return load_timm(path)
    fitted = fit_timm(source, options)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fitted.save(path)
    except OSError as error:
        raise UserError(
            f"{folder}: fitted tokenizers cannot be kept there ({error.strerror or error}); set SEIT_CL_CACHE to a "
            "folder with room"
        ) from error
    return fitted


TOKENIZER = TimmFeatures
