"""A frozen timm backbone (Wightman, PyTorch Image Models): images -> a grid of features."""

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

SIZES: tuple[dict[str, Any], ...] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False},
    {},
)  # what models may take
PROBED = 4  # positions a side of the image that a backbone is tried on
HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class BackboneSettings:
    """Which features of which backbone.

    Args:
        name: timm's name of the model.
        layer: which of its blocks or stages gives the features, from 0, or from -1 backwards.
        stride: pixels of an image per feature. Images are resized so that it comes out; 0: they are not.
    """

    name: str
    layer: int = -1
    stride: int = 8


class Backbone(nn.Module):
    """Features of a frozen timm model, in evaluation mode.

    Args:
        settings: see BackboneSettings.
        pretrained: take timm's own weights, from its cache or the hub.
        weights: file of the model's state dict to take instead, or None.
        seed: of the weights where both say no.
        statistics: mean and deviation of pixels, three values each, to scale by; None: the model's own.

    Attributes:
        stride: pixels of an image per feature.
        width: features C of a position.

    Raises:
        UserError: no such model or layer, weights that cannot be had or do not fit, or images that it does not take.
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
        try:
            model.prune_intermediate_layers(
                [settings.layer], prune_norm=settings.layer != -1, prune_head=True
            )
        except (AssertionError, AttributeError, IndexError) as error:
            raise UserError(
                f"timm: {name} has no layer {settings.layer}; count its blocks or stages from 0, or from -1 "
                "backwards"
            ) from error
        self.model, self.settings = _halved(model).eval().requires_grad_(False), settings
        mean, std = statistics or (model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.own = int(
            _taps(model)[settings.layer]["reduction"]
        )  # pixels of the model's input per feature
        self.stride = settings.stride or self.own
        self.width = self._probe()

    def _probe(self) -> int:
        """Features of a position, by trying a small image, or else one of the model's own size.

        Raises:
            UserError: the model takes neither, or gives another grid than its stride says.
        """
        model: Any = self.model
        sides = PROBED, model.pretrained_cfg["input_size"][-1] // self.own
        for last, side in enumerate(sides):
            try:
                found = self(
                    torch.zeros(3, side * self.stride, side * self.stride, dtype=torch.uint8)
                )
                break
            except UserError:
                if last:
                    raise
        if found.shape[1:] != (side, side):
            raise UserError(
                f"timm: {self.settings.name} gives {found.shape[1]} x {found.shape[2]} features of an image that "
                f"should have {side} x {side}; choose another backbone or layer"
            )
        return found.shape[0]

    def forward(self, image: Tensor) -> Tensor:
        """Features (C, H, W) float32 of one image (3, S, S) uint8, S being H times the stride.

        One at a time, for sums are rounded otherwise in batches of another size, and codes must not depend on that.

        Raises:
            UserError: the model takes images of other sides only.
        """
        return self.batch(image[None])[0]

    def batch(self, images: Tensor) -> Tensor:
        """Features (B, C, H, W) of images (B, 3, S, S) uint8, whose last bits depend on B."""
        scaled = images.to(self.mean.device).float() / 255
        if self.own != self.stride:
            side = images.shape[-1] // self.stride * self.own
            scaled = F.interpolate(
                scaled, (side, side), mode="bicubic", antialias=True, align_corners=False
            ).clamp(0, 1)
        model: Any = self.model
        layer = self.settings.layer
        try:
            found: list[Tensor] = model.forward_intermediates(
                (scaled - self.mean) / self.std,
                indices=[layer],
                norm=layer == -1,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        except (AssertionError, RuntimeError) as error:
            side = scaled.shape[-1]
            raise UserError(
                f"timm: {self.settings.name} does not take images of {side} x {side} px ({error}); "
                "choose another --resolution or stride="
            ) from error
        return found[0].float()

    def tensors(self) -> dict[str, Tensor]:
        """The weights as a file holds them: in half precision, where their range allows."""
        return {
            name: _half(tensor).contiguous() for name, tensor in self.model.state_dict().items()
        }

    def statistics(self) -> tuple[list[float], list[float]]:
        """Mean and deviation of pixels that images are scaled by."""
        return self.mean.flatten().tolist(), self.std.flatten().tolist()


def _taps(model: Any) -> list[dict[str, Any]]:
    """What timm says of each layer that can give features."""
    info = model.feature_info
    return [dict(tap) for tap in (info if isinstance(info, list) else info.info)]


def _create(name: str, pretrained: bool) -> nn.Module:
    """The timm model, for images of any side where it can be had so.

    Raises:
        UserError: pretrained weights that cannot be had.
    """
    for sizes in SIZES:
        try:
            return timm.create_model(name, pretrained=pretrained, num_classes=0, **sizes)
        except TypeError:
            continue
        except Exception as error:
            why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"timm: the pretrained weights of {name} cannot be had here ({why}); give weights=FILE.safetensors, "
                "or pretrained=no for random ones"
            ) from error
    raise UserError(f"timm: {name} cannot be made without its head; choose another backbone")


def load_weights(model: nn.Module, path: Path, name: str) -> None:
    """Load a state dict of a timm model, whose classifier is left out.

    Raises:
        UserError: no readable safetensors file, or weights of another model.
    """
    try:
        given = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"weights={path}: not a readable safetensors file; save the state dict of timm's {name} there"
        ) from error
    config: dict[str, Any] = getattr(model, "pretrained_cfg", {})
    heads = config.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    given = {
        key: tensor
        for key, tensor in given.items()
        if not key.startswith(tuple(f"{head}." for head in heads))
    }
    try:
        missing, left = model.load_state_dict(given, strict=False)
    except RuntimeError as error:
        raise UserError(
            f"weights={path}: not those of {name} ({str(error).splitlines()[-1].strip()})"
        ) from error
    if missing or left:
        example = f"{missing[0]} is missing" if missing else f"{left[0]} is left over"
        raise UserError(
            f"weights={path}: not those of {name}: {example}; {len(missing)} are missing, {len(left)} left over"
        )


def _half(tensor: Tensor) -> Tensor:
    """In half precision, unless it is of integers or of values beyond it."""
    fits = tensor.is_floating_point() and (
        tensor.numel() == 0 or float(tensor.abs().max()) <= HALF_MAX
    )
    return tensor.half() if fits else tensor


def _halved(model: nn.Module) -> nn.Module:
    """The model, changed in place to what its file would give back."""
    model.load_state_dict({name: _half(tensor) for name, tensor in model.state_dict().items()})
    return model
