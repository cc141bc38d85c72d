"""timm's networks without their heads: their settings for the data of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from seit_cl.core.errors import UserError, nearest
from seit_cl.models import ModelContext, check_stride, crop_of
from seit_cl.models._split import SplitNetwork

SET_BY_RUNS = ("num_classes", "in_chans")  # arguments of timm.create_model


@dataclass(frozen=True)
class TimmNetwork:
    """A network of timm's for the data of a run.

    Args:
        name: timm's.
        given: arguments of timm.create_model that the user gives.
        context: the run's data.
    """

    name: str
    given: Mapping[str, Any]
    context: ModelContext

    @property
    def spec(self) -> str:
        """The network's spec without its options, for messages."""
        return f"timm:{self.name}"

    @cached_property
    def defaults(self) -> Any:
        """timm's description of the network's pretrained weights."""
        return timm.get_pretrained_cfg(self.name)

    @cached_property
    def crop(self) -> int:
        """Side of the network's input: img_size where it is given, or else the network's own.

        A network that takes any size sees all of the data.
        """
        if "img_size" in self.given:
            return int(self.given["img_size"])
        if not self.defaults.fixed_input_size:
            return crop_of(self.context)
        if self.context.modality == "tokens":
            return self.context.side
        return int(self.defaults.input_size[-1])

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of timm.create_model."""
        arguments = {"num_classes": 0, "in_chans": self.context.channels, **self.given}
        if self.defaults.fixed_input_size and self.crop != self.defaults.input_size[-1]:
            arguments["img_size"] = self.crop
        return arguments

    @property
    def head_name(self) -> str:
        """Name of timm's classifier, in files of its weights."""
        classifier = self.defaults.classifier or "head"
        return classifier if isinstance(classifier, str) else str(classifier[0])

    def check(self) -> None:
        """Refuse what timm or the data cannot give.

        Raises:
            UserError: an unknown name or argument, or a network that does not fit the data.
        """
        if not timm.is_model(self.name):
            raise UserError(
                f"--model {self.spec}: timm has no such network; "
                f"{nearest(self.name, timm.list_models())}"
            )
        for argument in SET_BY_RUNS:
            if argument in self.given:
                raise UserError(f"--model {self.spec},{argument}=...: the data give it; leave out")
        if self.crop > self.context.side:
            raise UserError(
                f"--model {self.spec}: takes inputs of {self.crop} x {self.crop} and the data are "
                f"{self.context.text}; use --resolution {self.crop} with --learner pixels, or "
                f"--model {self.spec},img_size={self.context.side}"
            )
        check_stride(self.spec, self._stride, replace(self.context, side=self.crop))
        assert self.width > 0  # a forward pass has been tried

    @cached_property
    def _shapes(self) -> nn.Module:
        """The network where tensors take no memory."""
        with torch.device("meta"):
            return self._create({**self.arguments, "pretrained": False})

    @property
    def _stride(self) -> int:
        """Product of the network's strides; 1 where timm does not tell."""
        info = getattr(self._shapes, "feature_info", None) or []
        layers = info if isinstance(info, list) else info.info
        return max([1, *(int(layer["reduction"]) for layer in layers)])

    @cached_property
    def width(self) -> int:
        """Number of features.

        Raises:
            UserError: the network does not take the input.
        """
        shape = (2, self.context.channels, self.crop, self.crop)
        try:
            features = self._shapes(torch.zeros(shape, device="meta"))
        except Exception as error:
            raise UserError(
                f"--model {self.spec}: does not take inputs of shape {shape[1:]} "
                f"({_reason(error)}); give img_size=, patch_size= or another --resolution"
            ) from error
        if features.ndim != 2:
            raise UserError(f"--model {self.spec}: gives no feature vector; choose another network")
        return int(features.shape[1])

    def make(self, classes: int) -> SplitNetwork:
        """Make the network with a new head, its weights drawn from torch's global generator."""
        body = self._create(self.arguments)
        head = nn.Linear(self.width, classes)
        return SplitNetwork(body, head, self.head_name, *self._renormalisation())

    def shapes(self, classes: int) -> SplitNetwork:
        """The network where tensors take no memory."""
        with torch.device("meta"):
            return SplitNetwork(self._shapes, nn.Linear(self.width, classes), self.head_name)

    def _create(self, arguments: Mapping[str, Any]) -> nn.Module:
        """Call timm.create_model.

        Raises:
            UserError: timm refuses the arguments, or its weights are not available.
        """
        try:
            return timm.create_model(self.name, **arguments)
        except Exception as error:
            remedy = "give weights=FILE" if arguments.get("pretrained") else "change its options"
            raise UserError(
                f"--model {self.spec}: timm refuses it ({_reason(error)}); {remedy}"
            ) from error

    def _renormalisation(self) -> tuple[Tensor | None, Tensor | None]:
        """Scale and shift from the run's normalisation of pixels, ImageNet's, to the network's."""
        own = (tuple(self.defaults.mean), tuple(self.defaults.std))
        same = own == (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        if same or self.context.modality != "pixels":
            return None, None
        mean, std = (torch.tensor(values)[:, None, None] for values in own)
        given_mean = torch.tensor(IMAGENET_DEFAULT_MEAN)[:, None, None]
        given_std = torch.tensor(IMAGENET_DEFAULT_STD)[:, None, None]
        return given_std / std, (given_mean - mean) / std


def _reason(error: Exception) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
