"""Optimisers of timm's registry, for names without a file in this folder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.optim import (
    create_optimizer_v2,
    get_optimizer_class,
    get_optimizer_info,
    list_optimizers,
)

from seit_cl.core import plugins
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.specs import NumberList, other_options
from seit_cl.learner.optimizers.base import OptimizerContext

_SET_BY_RUNS = {"lr": "--learning-rate", "weight_decay": "--weight-decay"}


def _numbers(text: str) -> tuple[float, ...]:
    """Read numbers joined by +, as the plain tuple that a checkpoint may hold.

    Raises:
        ValueError: a part is no number.
    """
    return tuple(NumberList(text))


@dataclass(frozen=True)
class TimmOptions:
    """Options of a timm optimiser: the arguments of its class, as text."""

    values: Mapping[str, str] = other_options()


class TimmOptimizer:
    """An optimiser that timm.optim registers, with timm's defaults (see `OptimizerPlugin`).

    Args:
        name: in any case.

    Raises:
        UserError: an unknown name, or an optimiser that needs second derivatives.
    """

    Options = TimmOptions

    def __init__(self, name: str) -> None:
        self.name = name.lower()
        known = [str(known_name) for known_name in list_optimizers()]
        if self.name not in known:
            own = plugins.names("optimizer")
            raise UserError(f"unknown optimizer {name!r}; {nearest(self.name, {*known, *own})}")
        if get_optimizer_info(self.name).second_order:
            raise UserError(
                f"--optimizer {name}: needs second derivatives, which a training step does not "
                "compute; use one of first order, e.g. adamw"
            )

    def build(self, options: TimmOptions, context: OptimizerContext) -> torch.optim.Optimizer:
        """Build the optimiser.

        Raises:
            UserError: an unknown option, or a package that is not installed.
        """
        values = {name: self._read(name, text) for name, text in options.values.items()}
        try:
            optimizer = create_optimizer_v2(
                list(context.groups),
                self.name,
                lr=context.learning_rate,
                weight_decay=context.weight_decay,
                **values,
            )
        except (ImportError, RuntimeError) as error:
            raise UserError(f"--optimizer {self.name}: {error}; choose another one") from error
        return optimizer

    def _read(self, name: str, text: str) -> Any:
        """Convert the text of an option: true, false, a number, numbers joined by +, or a word.

        Raises:
            UserError: the optimiser has no such option, or --learning-rate or the like sets it.
        """
        if name in _SET_BY_RUNS:
            raise UserError(f"--optimizer {self.name}:{name}={text}: use {_SET_BY_RUNS[name]}")
        parameters = inspect.signature(get_optimizer_class(self.name, False)).parameters
        known = [key for key in parameters if key not in ("params", "kwargs", *_SET_BY_RUNS)]
        if name not in known:
            raise UserError(
                f"--optimizer {self.name}: unknown option {name!r}; {nearest(name, known)}"
            )
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        for read in (int, float, _numbers):
            try:
                return read(text)
            except ValueError:
                continue
        return text
