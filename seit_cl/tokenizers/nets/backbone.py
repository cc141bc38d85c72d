"""Frozen timm backbones (Wightman, PyTorch Image Models): from images to a grid of features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.errors import UserError, nearest

# Arguments of create_model that let a model take images of any size; models accept one or none.
ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
PROBE_SIDE = 4  # side, in features, of the image that a new backbone is tried on
HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class BackboneSettings:
    """A layer of a backbone and the resolution of its features.

    Args:
        name: timm's name of the model.
        layer: index of the block or stage that gives the features, from 0, or from -1 backwards.
        stride: pixels of an image per feature, for which images are resized; 0 leaves them as
            they are.
    """

    name: str
    layer: int = -1
    stride: int = 8


class Backbone(nn.Module):
    """Features of a frozen timm model, in evaluation mode.

    Args:
        settings: see BackboneSettings.
        pretrained: load timm's own weights, from its cache or the hub.
        weights: file of a state dict of the model to load instead, or None.
        seed: of random weights, if none are loaded.
        statistics: mean and standard deviation of pixels to normalise by, three values each; None
            takes those of the model.

    Attributes:
        stride: pixels of an image per feature.
        width: features C of a position.

    Raises:
        UserError: an unknown model or layer, weights that are missing or do not fit, or a model
            that does not take the images.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        settings: BackboneSettings,
        pretrained: bool = False,
        weights: Path | None = None,
        seed: int = 0,
        statistics: tuple[list[float], list[float]] | None = None,
    ) -> None:
        super().__init__()
        name = settings.name
        if not timm.is_model(name):
            raise UserError(f"timm: no model {name!r}; {nearest(name, timm.list_models())}")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model: Any = _create(name, pretrained and weights is None)
        if weights is not None:
            load_weights(model, weights, name)
        _prune(model, settings)
        self.model = _halved(model).eval().requires_grad_(False)
        self.settings = settings
        mean, std = statistics or (model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        # Pixels of the model's input per feature.
        self.model_stride = int(_feature_info(model)[settings.layer]["reduction"])
        self.stride = settings.stride or self.model_stride
        self.width = self._probe()

    def _probe(self) -> int:
        """Features of a position, from a small image, or else one of the model's own size.

        Raises:
            UserError: the model takes neither, or its grid contradicts its stride.
        """
        model: Any = self.model
        own_side = model.pretrained_cfg["input_size"][-1] // self.model_stride
        side = PROBE_SIDE
        try:
            features = self(_black(side * self.stride))
        except UserError:
            side = own_side
            features = self(_black(side * self.stride))
        if features.shape[1:] != (side, side):
            raise UserError(
                f"timm: {self.settings.name} gives {features.shape[1]} x {features.shape[2]} "
                f"features of an image that should have {side} x {side}; choose another backbone "
                "or layer"
            )
        return features.shape[0]

    def forward(self, image: Tensor) -> Tensor:
        """Features (C, H, W) float32 of one image (3, S, S) uint8, S being H times the stride.

        Images are processed one at a time, as the rounding errors depend on the size of a batch,
        and codes must not.

        Raises:
            UserError: the model takes images of other sizes only.
        """
        return self.batch(image[None])[0]

    def batch(self, images: Tensor) -> Tensor:
        """Features (B, C, H, W) of images (B, 3, S, S) uint8; their last bits depend on B.

        Raises:
            UserError: the model takes images of other sizes only.
        """
        scaled = images.to(self.mean.device).float() / 255
        if self.model_stride != self.stride:
            side = images.shape[-1] // self.stride * self.model_stride
            scaled = F.interpolate(
                scaled, (side, side), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        model: Any = self.model
        layer = self.settings.layer
        try:
            features: list[Tensor] = model.forward_intermediates(
                (scaled - self.mean) / self.std,
                indices=[layer],
                norm=layer == -1,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        except (AssertionError, RuntimeError) as error:
            side = scaled.shape[-1]
            raise UserError(
                f"timm: {self.settings.name} does not take images of {side} x {side} px "
                f"({error}); choose another --resolution or stride="
            ) from error
        return features[0].float()

    def tensors(self) -> dict[str, Tensor]:
        """Weights as a file holds them: in half precision where their range allows it."""
        state = self.model.state_dict()
        return {name: _half(tensor).contiguous() for name, tensor in state.items()}

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of pixels that images are normalised by."""
        return self.mean.flatten().tolist(), self.std.flatten().tolist()


def _black(side: int) -> Tensor:
    """A black image (3, S, S) uint8."""
    return torch.zeros(3, side, side, dtype=torch.uint8)


def _feature_info(model: Any) -> list[dict[str, Any]]:
    """timm's description of each layer that can give features."""
    info = model.feature_info
    layers = info if isinstance(info, list) else info.info
    return [dict(layer) for layer in layers]


def _create(name: str, pretrained: bool) -> nn.Module:
    """Create the timm model, for images of any size if it supports that.

    Raises:
        UserError: the pretrained weights are not available.
    """
    for sizes in ANY_SIZE:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **sizes)
        except TypeError:
            continue
        except Exception as error:
            lines = str(error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            raise UserError(
                f"timm: the pretrained weights of {name} are not available here ({reason}); give "
                "weights=FILE.safetensors, or pretrained=no for random ones"
            ) from error
    raise UserError(f"timm: {name} cannot be made without its head; choose another backbone")


def _prune(model: Any, settings: BackboneSettings) -> None:
    """Remove the layers after the one that gives the features.

    Raises:
        UserError: the model has no such layer.
    """
    try:
        model.prune_intermediate_layers(
            [settings.layer], prune_norm=settings.layer != -1, prune_head=True
        )
    except (AssertionError, AttributeError, IndexError) as error:
        raise UserError(
            f"timm: {settings.name} has no layer {settings.layer}; count its blocks or stages from "
            "0, or from -1 backwards"
        ) from error


def load_weights(model: nn.Module, path: Path, name: str) -> None:
    """Load a state dict of a timm model, without its classifier.

    Args:
        model: changed in place.
        path: safetensors file of the state dict.
        name: timm's name of the model, for messages.

    Raises:
        UserError: no readable safetensors file, or weights of another model.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"weights={path}: not a readable safetensors file; save the state dict of timm's "
            f"{name} there"
        ) from error
    prefixes = _classifier_prefixes(model)
    state = {key: tensor for key, tensor in state.items() if not key.startswith(prefixes)}
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"weights={path}: not those of {name} ({reason})") from error
    if missing or unexpected:
        example = f"{missing[0]} is missing" if missing else f"{unexpected[0]} is left over"
        raise UserError(
            f"weights={path}: not those of {name}: {example}; {len(missing)} are missing, "
            f"{len(unexpected)} left over"
        )


def _classifier_prefixes(model: nn.Module) -> tuple[str, ...]:
    """Prefixes of the tensors of a timm model's classifiers."""
    config: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    classifiers = config.get("classifier") or ()
    if isinstance(classifiers, str):
        classifiers = (classifiers,)
    return tuple(f"{classifier}." for classifier in classifiers)


def _half(tensor: Tensor) -> Tensor:
    """The tensor in half precision; unchanged if it holds integers or values out of range."""
    if not tensor.is_floating_point():
        return tensor
    if tensor.numel() > 0 and not float(tensor.abs().max()) <= HALF_MAX:
        return tensor
    return tensor.half()


def _halved(model: nn.Module) -> nn.Module:
    """Round the weights, in place, to the values that the model's file would give back."""
    model.load_state_dict({name: _half(tensor) for name, tensor in model.state_dict().items()})
    return model
