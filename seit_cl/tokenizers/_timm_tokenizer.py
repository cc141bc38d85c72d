"""The tokenizer of a frozen timm backbone and a quantiser of its features, and its files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from seit_cl.core.errors import UserError
from seit_cl.core.extras import check_extra
from seit_cl.core.precision import float32_arithmetic
from seit_cl.core.tensor_files import read_tensor_file, write_tensor_file
from seit_cl.formats.entropy.reader import EntropyReader
from seit_cl.tokenizers._arithmetic import total_bytes
from seit_cl.tokenizers.base import DAMAGED, check_identity, check_side, identity_of
from seit_cl.tokenizers.nets.backbone import Backbone, BackboneSettings
from seit_cl.tokenizers.nets.quantiser import Quantiser, QuantiserSettings
from seit_cl.tokenizers.training.features import FitOptions, fit_features

# Images encoded at a time; on a CPU one, whose codes must not depend on the others of a batch.
CHUNK = {"cpu": 1, "cuda": 64}


class TimmTokenizer:
    """A frozen backbone and a quantiser of its features as a Tokenizer (seit_cl.tokenizers.base).

    Args:
        backbone: gives features.
        quantiser: fitted to them.
        card: model card.
    """

    decodes = False
    row = 1
    mirror = None

    def __init__(self, backbone: Backbone, quantiser: Quantiser, card: dict[str, str]) -> None:
        self.backbone = backbone
        self.quantiser = quantiser
        self.card = card
        self.stride = backbone.stride
        self.combine = quantiser.settings.combine
        self.codebook = quantiser.codebook
        mean, std = backbone.statistics()
        config = {
            "backbone": asdict(backbone.settings),
            "quantiser": asdict(quantiser.settings),
            "mean": mean,
            "std": std,
        }
        self.config = json.dumps(config, sort_keys=True)
        tensors = self.tensors()
        self.identity = identity_of(self.config, tensors)
        self.entropy_model = EntropyReader(self.identity)
        self.codec_bytes = total_bytes(tensors)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of its file: weights in half precision, fitted tensors in float32."""
        tensors = {
            "codebook": self.quantiser.codebook,
            "mean": self.quantiser.mean,
            "matrix": self.quantiser.matrix,
        }
        for name, tensor in self.backbone.tensors().items():
            tensors[f"backbone.{name}"] = tensor
        return tensors

    def to(self, device: torch.device | str) -> TimmTokenizer:
        """Move to a device, in place."""
        self.backbone.to(device)
        self.quantiser.to(device)
        self.codebook = self.quantiser.codebook
        return self

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16.

        Returns:
            The tokens, on the images' device.

        Raises:
            UserError: the images are not square, their side is not a multiple of the stride, or the
                backbone does not take it.
        """
        check_side(images, self.stride)
        groups = len(self.codebook)
        side = images.shape[-1] // self.stride
        tokens = images.new_empty((len(images), groups, side, side), dtype=torch.int16)
        device = self.codebook.device
        size = CHUNK[device.type]
        with float32_arithmetic(device):
            for start in range(0, len(images), size):
                features = self.backbone.batch(images[start : start + size])  # (b, C, H, W)
                codes = self.quantiser.codes(features.permute(0, 2, 3, 1).flatten(0, 2))
                grids = codes.view(-1, side, side, groups)
                tokens[start : start + size] = grids.permute(0, 3, 1, 2)
        return tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """Refuse: features are quantised, and no network inverts them.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"timm: {self.backbone.settings.name} does not decode to images; features are stored, "
            "and no network turns them into images"
        )

    def save(self, path: Path) -> None:
        """Write weights, codebooks, configuration and card to a safetensors file, atomically."""
        metadata = {**self.card, "kind": "timm", "config": self.config, "identity": self.identity}
        write_tensor_file(path, self.tensors(), metadata)


def load_timm(path: Path) -> TimmTokenizer:
    """Read a file of this kind.

    Raises:
        UserError: no such file, a damaged one, not of this kind, a backbone that the installed
            timm lacks, or weights that do not fit.
    """
    try:
        file = read_tensor_file(path, DAMAGED)
        card = dict(file.metadata)
        tensors = dict(file.tensors)
        config = json.loads(card.pop("config"))
        fitted = [tensors.pop(name).float() for name in ("mean", "matrix", "codebook")]
        quantiser = Quantiser(QuantiserSettings(**config["quantiser"]), *fitted)
        statistics = (config["mean"], config["std"])
        backbone = Backbone(BackboneSettings(**config["backbone"]), statistics=statistics)
        weights = {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}
        backbone.model.load_state_dict(weights)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{path}: not a readable file of frozen features ({type(error).__name__}); make one "
            "with python -m seit_cl.tokenize fit"
        ) from error
    for name in ("kind", "identity"):
        card.pop(name, None)
    tokenizer = TimmTokenizer(backbone, quantiser, card)
    check_identity(path, file.metadata, tokenizer.identity, file.has_digest)
    tokenizer.entropy_model = EntropyReader(tokenizer.identity, path)
    return tokenizer


def fit_timm(backbone: str, options: FitOptions) -> TimmTokenizer:
    """Fit a quantiser to a backbone's features.

    Args:
        backbone: name of a timm model.
        options: see FitOptions.

    Raises:
        UserError: options that contradict one another, weights or images that are not available,
            or a package that is not installed.
    """
    check_extra("faiss", "faiss", f"timm:{backbone}")
    return TimmTokenizer(*fit_features(backbone, options))
