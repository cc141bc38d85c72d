"""The parts of a run from its options: strategy, stream, memory, augmentation, model, optimisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from timm.layers import Attention
from torch import Tensor, nn
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.devices import choose_device, has_bf16
from seit_cl.core.errors import UserError
from seit_cl.core.options import select
from seit_cl.core.rng import derive_seed
from seit_cl.core.specs import Spec, canonical_text
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import build_format
from seit_cl.formats.base import FormatContext
from seit_cl.learner.augment.pixels import PixelAugment
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.learner.interfaces import Augment
from seit_cl.learner.optim import Optimisation
from seit_cl.learner.strategy import Strategy, StrategyContext
from seit_cl.learner.vit import build_vit, initialise, pixel_stem, token_stem
from seit_cl.memory.buffer import ByteBudgetBuffer


def build_strategy(config: RunConfig) -> Strategy:
    """The strategy of a run's spec, e.g. "er" or "derpp:alpha=0.2".

    Raises:
        UserError: unknown strategy or hyperparameter.
    """
    context = StrategyContext(config.label_smoothing)
    strategy: Strategy = plugins.build("strategy", config.strategy, context)
    return strategy


def choose_policy(config: RunConfig, strategy: Strategy) -> str:
    """The selection policy of a run: the strategy's own in the place of the default, where it has one.

    Raises:
        UserError: one that the strategy does not work with.
    """
    if not strategy.policies or config.policy in strategy.policies:
        return config.policy
    if config.policy != RunConfig.policy:
        raise UserError(
            f"--policy {config.policy}: {config.strategy} works with {' or '.join(strategy.policies)}; drop --policy"
        )
    return strategy.policies[0]


def canonical_strategy(config: RunConfig) -> str:
    """Write out every setting of the strategy, so that all ways to write it give the same text."""
    return canonical_text(Spec.parse(config.strategy).key, build_strategy(config).options)


def build_stream(config: RunConfig, dataset: Dataset, strategy: Strategy) -> Scenario:
    """The stream of a run's scenario.

    Raises:
        UserError: a split that cannot be, or a stream that the strategy cannot learn from.
    """
    recipe = build_recipe(config.scenario)
    if recipe.one_pass and config.epochs > 1 and not strategy.may_repeat_samples:
        raise UserError(
            f"--epochs {config.epochs}: --scenario {config.scenario} shows a sample once; use --epochs 1"
        )
    stream = recipe.cut(dataset, config.stream_settings)
    if not stream.boundaries and strategy.needs_boundaries:
        raise UserError(
            f"--strategy {config.strategy} must be told where experiences end, and --scenario {config.scenario} "
            "does not tell; use er, er_ace, derpp, mir or agem"
        )
    return stream


def format_context(data: RunData, classes: int) -> FormatContext:
    """What formats must know of a run with that many classes C."""
    return FormatContext(
        data.resolution,
        classes,
        data.tokenizer.codebook.shape[1],
        data.grid,
        data.tokenizer.identity,
        data.tokenizer.entropy_model,
    )


def retokenize(config: RunConfig, data: RunData, domain: str) -> Callable[[Tensor], Tensor] | None:
    """A stored JPEG is decoded and tokenized once, then replayed as tokens; `domain` is what the format gives back."""
    return data.tokenizer.encode if domain == "pixels" and config.learner == "tokens" else None


def build_memory(
    config: RunConfig, data: RunData, strategy: Strategy, classes: int
) -> ByteBudgetBuffer | None:
    """The memory of a run with that many classes C, empty; None where there is none.

    Raises:
        UserError: a format that does not fit the learner or the data, or no memory for a strategy that learns from one.
    """
    budget = round(config.memory_mb * 1_000_000)
    if strategy.exemplar_free or budget == 0:
        if strategy.trains_on_memory:
            raise UserError(
                f"--strategy {config.strategy} learns from exemplars alone; give it a memory: --memory-mb"
            )
        return None
    context = format_context(data, classes)
    fmt = build_format(config.format, context)
    if fmt.domain == "pixels":
        data.require_images(f"--format {config.format}")
    if fmt.domain == "tokens" and config.learner == "pixels":
        raise UserError(
            f"--learner pixels cannot learn from {fmt.spec!r} exemplars; use jpeg or raw, or --learner tokens"
        )
    return ByteBudgetBuffer(
        budget,
        fmt,
        context,
        choose_policy(config, strategy),
        derive_seed(config.seed, "selection"),
        strategy.exemplar_fields(classes),
        retokenize(config, data, fmt.domain),
        choose_device(config.device),
    )


def build_augment(config: RunConfig, data: RunData, device: torch.device) -> Augment:
    """From raw tokens or pixels to the learner's inputs, on the device."""
    if config.learner == "pixels":
        return PixelAugment(pixel_stem(data.resolution).crop, config).to(device)
    tokenizer = data.tokenizer
    crop = token_stem(data.grid[1]).crop
    return TokenAugment(tokenizer.codebook, tokenizer.combine, config, crop, tokenizer.mirror).to(
        device
    )


def build_model(
    config: RunConfig, data: RunData, classes: int, generator: torch.Generator
) -> nn.Module:
    """The learner's ViT with weights drawn from the generator, for that many classes C, on the CPU."""
    if config.learner == "pixels":
        stem, channels = pixel_stem(data.resolution), 3
    else:
        groups, _, dim = data.tokenizer.codebook.shape
        channels = dim * groups if data.tokenizer.combine == "concat" else dim
        stem = token_stem(data.grid[1])
    with (
        torch.random.fork_rng()
    ):  # timm draws from the global generator before initialise() draws from ours
        model = build_vit(config.model, stem, channels, classes)
    if choose_device(config.device).type == "cpu" and choose_precision(config) == "bf16":
        # torch's fused attention has a slow bf16 backward pass on CPUs: half of the step (benchmarks/README.md).
        for module in model.modules():
            if isinstance(module, Attention):
                module.fused_attn = False  # type: ignore[misc]  # timm calls it final, for scripting
    if config.compile:
        compile_model(model, choose_device(config.device))
    return initialise(model, generator)


def compile_model(model: nn.Module, device: torch.device) -> None:
    """Have a model compiled, in place, when it is first called; on CUDA its kernels are recorded as CUDA graphs, for a small
    model's step there is over before its kernels are launched one by one.

    Every batch size gets a graph of its own: one for all sizes would depend on which came first, and a resumed run's
    numbers with it.

    Raises:
        UserError: a CPU without a C++ compiler.
    """
    if device.type == "cpu":
        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise UserError(
                "--compile: torch.compile needs a C++ compiler such as g++ on a CPU, and there is none; "
                "use --no-compile"
            ) from None
    model.compile(dynamic=False, mode="reduce-overhead" if device.type == "cuda" else None)


def choose_precision(config: RunConfig) -> Literal["fp32", "bf16"]:
    """The precision of the forward pass; "auto" is bf16 on CUDA and on processors with bf16 instructions."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if has_bf16(choose_device(config.device)) else "fp32"


def optimisation(config: RunConfig) -> Optimisation:
    """Options of the optimiser, with the precision that the device has."""
    return replace(select(config, Optimisation), precision=choose_precision(config))
