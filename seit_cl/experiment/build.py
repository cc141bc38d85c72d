"""Builders of a run's parts from its configuration: strategy, stream, memory, model and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from timm.layers import Attention
from torch import Tensor, nn
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from seit_cl import models
from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.devices import choose_device, has_bf16
from seit_cl.core.errors import UserError
from seit_cl.core.flops import CountedTransform, FlopMeter
from seit_cl.core.options import select
from seit_cl.core.rng import Generators, derive_seed
from seit_cl.core.specs import Spec, canonical_text
from seit_cl.data.base import Dataset
from seit_cl.data.scenario import Scenario
from seit_cl.data.scenario_recipe import build_recipe
from seit_cl.data.validation import ValidationPart
from seit_cl.experiment.compute import FlopsBudget
from seit_cl.experiment.modality import Modality, build_modality
from seit_cl.experiment.run_data import RunData
from seit_cl.formats import ExemplarFormat, build_format
from seit_cl.formats.base import FormatContext
from seit_cl.learner.augment.tokens import TokenAugment
from seit_cl.learner.batches import BatchMaker
from seit_cl.learner.interfaces import Augment
from seit_cl.learner.optim import optimizer_of, schedule_of
from seit_cl.learner.recording import CudaGraphs, Recorder
from seit_cl.learner.schedules import is_constant
from seit_cl.learner.settings import Optimisation
from seit_cl.learner.strategy import Strategy, StrategyContext
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.memory.decoded_cache import Transform
from seit_cl.models import Model, TrainedPart
from seit_cl.models._training import freeze
from seit_cl.models._weights import Weights, read_weights


def build_strategy(config: RunConfig) -> Strategy:
    """Build the strategy of a run, e.g. "er" or "derpp:alpha=0.2".

    Raises:
        UserError: an unknown strategy or hyperparameter.
    """
    context = StrategyContext(config.label_smoothing, config.seed, config.replay_batch)
    strategy: Strategy = plugins.build("strategy", config.strategy, context)
    return strategy


def canonical_strategy(config: RunConfig) -> str:
    """Write the strategy's spec with every hyperparameter, the same for all equivalent specs."""
    return canonical_text(Spec.parse(config.strategy).key, build_strategy(config).options)


def choose_policy(config: RunConfig, strategy: Strategy) -> str:
    """Choose the selection policy: the strategy's own where --policy is left at its default.

    Raises:
        UserError: a policy that the strategy does not work with.
    """
    name = Spec.parse(config.policy).name  # options of the policy are the user's choice
    if not strategy.policies or name in strategy.policies:
        return config.policy
    if config.policy != RunConfig.policy:
        policies = " or ".join(strategy.policies)
        raise UserError(
            f"--policy {config.policy}: {config.strategy} works with {policies}; drop --policy"
        )
    return strategy.policies[0]


def build_stream(config: RunConfig, dataset: Dataset, strategy: Strategy) -> Scenario:
    """Cut a dataset into the experiences of the run's scenario.

    Raises:
        UserError: an impossible split, or a stream that the strategy cannot learn from.
    """
    recipe = build_recipe(config.scenario)
    if recipe.one_pass and config.epochs > 1 and not strategy.may_repeat_samples:
        raise UserError(
            f"--epochs {config.epochs}: --scenario {config.scenario} shows every sample once; "
            "use --epochs 1"
        )
    settings = config.resolved_stream(len(dataset.classes))
    stream = validation_part(config).cut(dataset, lambda shown: recipe.cut(shown, settings))
    if not stream.boundaries and strategy.needs_boundaries:
        raise UserError(
            f"--strategy {config.strategy} needs to know where experiences end, and --scenario "
            f"{config.scenario} has no boundaries; use er, er_ace, derpp, mir or agem"
        )
    return stream


def validation_part(config: RunConfig) -> ValidationPart:
    """Return the rule for the training images that the stream leaves out."""
    return ValidationPart(
        config.validation_fraction, config.validation_seed, config.test_on == "validation"
    )


def task_heads(config: RunConfig, stream: Scenario, strategy: Strategy) -> Tensor | None:
    """For every label the classes that it is trained among, (C, C) bool; None: all classes seen.

    Raises:
        UserError: --head per-task for a strategy with another loss than cross-entropy, or for a
            stream whose experiences share classes.
    """
    if config.head != "per-task":
        return None
    if not strategy.per_task_heads:
        raise UserError(
            f"--head per-task: --strategy {config.strategy} compares classes of different "
            "experiences; use er, naive, gdumb, cumulative or joint, or another --head"
        )
    if stream.competitors is None:
        raise UserError(
            f"--head per-task: experiences of --scenario {config.scenario} share classes; use "
            "another --head, or a scenario whose experiences partition the classes"
        )
    return stream.competitors


def format_context(data: RunData, classes: int) -> FormatContext:
    """Collect the properties of a run that formats need.

    Args:
        data: the run's dataset and tokenizer.
        classes: number of classes C.
    """
    return FormatContext(
        data.resolution,
        classes,
        data.tokenizer.codebook.shape[1],
        data.grid,
        data.tokenizer.identity,
        data.tokenizer.entropy_model,
    )


def build_memory(
    config: RunConfig,
    data: RunData,
    strategy: Strategy,
    classes: int,
    device_copy: bool = True,
    meter: FlopMeter | None = None,
) -> ByteBudgetBuffer | None:
    """Build the empty memory of a run with that many classes C; None for a run without one.

    Args:
        config: gives budget, format, policy, learner, seed and device.
        data: gives the tokenizer, and what formats need to know.
        strategy: gives the fields stored with each exemplar.
        classes: number of classes C.
        device_copy: False for a memory that decodes every batch.
        meter: gets the FLOPs of tokenizing exemplars; None to count none.

    Raises:
        UserError: a format that does not fit the learner or the data, or a strategy that trains on
            exemplars alone and has no memory.
    """
    budget = round(config.memory_mb * 1_000_000)
    if strategy.exemplar_free or budget == 0:
        if strategy.trains_on_memory:
            raise UserError(
                f"--strategy {config.strategy} learns from exemplars alone; give it a memory: "
                "--memory-mb"
            )
        return None
    context = format_context(data, classes)
    fmt = build_format(config.format, context)
    if fmt.domain == "pixels":
        data.require_images(f"--format {config.format}")
    if getattr(fmt, "stores_files", False):
        data.require_files(f"--format {config.format}")
    modality = build_modality(config.learner, data)
    modality.check_format(fmt)
    return ByteBudgetBuffer(
        budget,
        fmt,
        context,
        choose_policy(config, strategy),
        derive_seed(config.seed, "selection"),
        strategy.exemplar_fields(classes),
        memory_transform(modality, fmt, meter),
        choose_device(config.device),
        device_copy,
        max_exemplars=config.max_exemplars,
    )


def memory_transform(
    modality: Modality, fmt: ExemplarFormat, meter: FlopMeter | None
) -> Transform | None:
    """Build the function from decoded exemplars to the learner's raw inputs; None where they agree.

    Args:
        modality: of the learner.
        fmt: of the exemplars.
        meter: gets its FLOPs; None to count none.
    """
    transform = modality.transform_of(fmt)
    if transform is None or meter is None:
        return transform
    return CountedTransform(transform, meter, "decoding")


def choose_model(config: RunConfig, data: RunData) -> Model:
    """Build the model of a run, which makes networks: --model for the run's data.

    Raises:
        UserError: an unknown model or option, or a model that does not fit the data.
    """
    return models.build_model(config.model, build_modality(config.learner, data).model_context)


def build_augment(config: RunConfig, data: RunData, device: torch.device) -> Augment:
    """Build the augmentation, from raw tokens or pixels to the learner's inputs, on the device."""
    crop = choose_model(config, data).crop
    return build_modality(config.learner, data).augment(config, crop).to(device)


def build_model(
    config: RunConfig, data: RunData, classes: int, generator: torch.Generator
) -> nn.Module:
    """Build the learner's network, on the CPU.

    Args:
        config: gives the model, its modality, the part that is trained, and whether it is compiled.
        data: gives the channels and the side of its input.
        classes: number of classes C.
        generator: on the CPU; draws every weight.

    Raises:
        UserError: as `choose_model`, or a part that the network does not have.
    """
    device = choose_device(config.device)
    network = choose_model(config, data).new_network(classes, generator)
    freeze(network, TrainedPart.parse(config.train), config.model)
    if device.type == "cpu" and choose_precision(config) == "bf16":
        _unfuse_attention(network)
    if config.compile:
        compile_model(network, device, config.graph and build_strategy(config).capturable)
    return network


def check_model(config: RunConfig, data: RunData, class_names: Sequence[str]) -> None:
    """Check that a run's model fits the data, --init and --train the model, and --token-adapt.

    Raises:
        UserError: naming what does not fit.
    """
    model = choose_model(config, data)
    if config.token_adapt is not None:
        build_augment(config, data, choose_device("cpu"))
    if config.init is None and config.train == RunConfig.train:
        return
    network = model.new_network(len(class_names), torch.Generator())
    freeze(network, TrainedPart.parse(config.train), config.model)
    if config.init is not None:
        weights = read_weights(config.init)
        weights.check(network, config.model)
        _check_origin(config, data, weights)


def _check_origin(config: RunConfig, data: RunData, weights: Weights) -> None:
    """Check that weights were made on tokens of the run's tokenizer, where the file names one.

    Raises:
        UserError: they were not.
    """
    made_on = weights.origin.get("tokenizer_identity", "")
    if config.learner == "tokens" and made_on not in ("", data.tokenizer.identity):
        raise UserError(
            f"{weights.path}: made on tokens of the tokenizer {made_on}, and the run has "
            f"{data.tokenizer.identity}; give --tokenizer that one, or pre-train again"
        )


def load_initial(config: RunConfig, network: nn.Module, class_names: Sequence[str]) -> str:
    """Copy the weights of --init into a network; return a line for the log, "" without --init.

    Raises:
        UserError: a file that does not fit.
    """
    if config.init is None:
        return ""
    loaded = read_weights(config.init).load(network, config.model, class_names)
    return f"--init {loaded}"


def _unfuse_attention(model: nn.Module) -> None:
    """Switch off fused attention, whose bf16 backward pass on a CPU takes half of the step.

    The times are in benchmarks/README.md.
    """
    for module in model.modules():
        if isinstance(module, Attention):
            module.fused_attn = False  # type: ignore[misc]  # timm calls it final, for scripting


def build_batch_maker(
    config: RunConfig,
    augment: Augment,
    classes: int,
    strategy: Strategy,
    generators: Generators,
    records: bool = False,
) -> BatchMaker:
    """Build the maker of training batches, on the learner's device.

    Args:
        config: gives CutMix, sizes of steps, and whether the augmentation is compiled.
        augment: from raw data to inputs.
        classes: number of classes C.
        strategy: may need unmixed batches.
        generators: the run's.
        records: True if training steps are recorded.
    """
    device = choose_device(config.device)
    compiles = config.compile and device.type == "cuda"
    # A box of a sequence of tokens is no part of the image.
    is_sequence = isinstance(augment, TokenAugment) and augment.sequence
    unmixed = strategy.disable_cutmix or config.head == "per-task" or is_sequence
    return BatchMaker(
        augment,
        classes,
        0.0 if unmixed else config.cutmix_p,
        config.cutmix_alpha,
        device,
        generators,
        compiled_for=(config.batch, config.replay_batch) if compiles else None,
        reads_draws=device.type == "cpu" and not records,
    )


def build_recorder(config: RunConfig, strategy: Strategy) -> Recorder | None:
    """Build the recorder of training steps; None where they are not recorded."""
    device = choose_device(config.device)
    if device.type == "cuda" and config.graph and strategy.capturable:
        return CudaGraphs(device)
    return None


def compile_model(model: nn.Module, device: torch.device, whole_steps: bool = False) -> None:
    """Have a model compiled, in place, on its first call.

    On CUDA its kernels are recorded as CUDA graphs, because a small model's step takes less time
    than launching its kernels one by one; but not where whole steps are. Every batch size gets a
    graph of its own: a graph for all sizes would depend on which came first, and the numbers of a
    resumed run with it.

    Args:
        model: compiled for every size of batches that it is called with.
        device: of the model.
        whole_steps: True if training steps are recorded as CUDA graphs.

    Raises:
        UserError: the device is a CPU and there is no C++ compiler.
    """
    if device.type == "cpu":
        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise UserError(
                "--compile: torch.compile needs a C++ compiler such as g++ on a CPU, and there is "
                "none; use --no-compile"
            ) from None
    graphs = device.type == "cuda" and not whole_steps
    model.compile(dynamic=False, mode="reduce-overhead" if graphs else None)


def choose_precision(config: RunConfig) -> Literal["fp32", "bf16"]:
    """Choose the precision of the forward pass: --precision, or what the hardware does best."""
    if config.precision != "auto":
        return config.precision
    return "bf16" if has_bf16(choose_device(config.device)) else "fp32"


def check_optimisation(config: RunConfig, stream: Scenario, strategy: Strategy) -> None:
    """Build optimiser and schedule of a run for a network of one weight, to check their options.

    Raises:
        UserError: unknown names or options, or a schedule that does not fit the stream.
    """
    has_experiences = stream.boundaries or strategy.trains_on_memory
    is_default = config.schedule == Optimisation.schedule
    if not has_experiences and not is_default and not is_constant(config.schedule):
        raise UserError(
            f"--schedule {config.schedule}: --scenario {config.scenario} has no boundaries, "
            "between which a rate could fall; use --schedule constant"
        )
    one_weight = nn.ParameterList([torch.zeros(1, 1)])
    optimizer_of(one_weight, config)
    schedule_of(config, config.epochs)


def build_flops_budget(
    config: RunConfig, stream: Scenario, strategy: Strategy
) -> FlopsBudget | None:
    """Build the plan of --flops-budget; None without one.

    Args:
        config: the run's options.
        stream: that the strategy trains on.
        strategy: may make batches of its own.

    Raises:
        UserError: an Avalanche plugin, whose steps cannot be tried before the training.
    """
    if config.flops_budget == 0:
        return None
    if strategy.avalanche_plugins:
        raise UserError(
            f"--flops-budget: --strategy {config.strategy} makes batches of its own, so that the "
            "FLOPs of its steps are not known ahead; use --epochs, or another strategy"
        )
    one_pass = build_recipe(config.scenario).one_pass and not strategy.may_repeat_samples
    samples = [len(ids) for ids in stream.train]
    return FlopsBudget(config.flops_budget, samples, stream.boundaries, one_pass)


def optimisation(config: RunConfig) -> Optimisation:
    """Select the options of training, with the precision that the hardware has."""
    return replace(select(config, Optimisation), precision=choose_precision(config))
