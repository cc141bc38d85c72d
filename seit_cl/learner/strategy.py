"""The contract of a strategy: the learner's measures against forgetting."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seit_cl.core.rng import derive_seed
from seit_cl.core.specs import NoOptions
from seit_cl.data.scenario import Scenario
from seit_cl.learner.batches import Batch, ForwardedBatch
from seit_cl.learner.interfaces import Exemplars, LearnerView, Memory
from seit_cl.learner.settings import Fill
from seit_cl.learner.strategy_state import built_names, pack, refuse_unnamed, state_bytes, unpack
from seit_cl.memory import TensorSpec


@dataclass(frozen=True)
class StrategyContext:
    """Options of a run that strategies use.

    Args:
        label_smoothing: of every cross-entropy.
        seed: of the run, for what a strategy draws (`seit_cl.core.rng.derive_seed`).
        replay_batch: exemplars per step.
    """

    label_smoothing: float = 0.0
    seed: int = 0
    replay_batch: int = 32


class Strategy:
    """Base class of strategies: one file in strategies/ subclasses it and names it STRATEGY.

    `build_state` comes first, at every start of a run. Hooks have Avalanche's names and meaning. In
    an experience they are called in this order:
    before_training_exp; in every step before_sampling, loss and after_backward;
    after_training_exp; extras of every sample offered to the memory; after_memory_update. With
    --fill before, extras come first; with --fill during, step_extras follow each step of the first
    epoch in their place.

    Attributes:
        paper: its publication, in a few words.
        Options: frozen dataclass of every hyperparameter with its default and source.
        state_attributes: names of the attributes with state other than exemplars. They count as
            strategy_bytes and go into the checkpoint. Each is None at first, later a tensor, a
            number, a Teacher or a dictionary of such, or a module, an optimiser or a generator
            that `build_state` makes; tensors elsewhere are not allowed.
        needs_boundaries: True if it needs to know where an experience ends.
        exemplar_free: True if it never replays.
        disable_cutmix: True if its loss needs unmixed batches.
        policies: the selection policies that it works with, its default first; empty: all.
        fill: when the memory is offered the samples of an experience unless --fill says otherwise,
            as in its paper: "after" it, "during" it (each sample right after its first step, so
            that it is replayed within the experience), or "before" its first step. A policy that
            ranks a whole experience makes it "after".
        trains_on_memory: True if it trains on exemplars alone, after the memory was offered the
            experience, and starts over every time.
        may_repeat_samples: True if it may train for several epochs in scenarios that show every
            sample once.
        uses_features: True if its loss needs the batches' features.
        forward_replay: True if exemplars join the fresh samples' forward pass; if not, `loss` gets
            no replay batch.
        capturable: True if `loss`, `after_backward` and `scores` are tensor operations alone: they
            read no value back, change nothing but tensors in place, and depend on no state that
            changes between the steps of an experience. Such steps run as a CUDA graph.
        per_task_heads: True if its loss is `cross_entropy` or `mean_cross_entropy` alone, so that
            every sample may be trained among the classes of its own experience (--head per-task).
        several_ranks: True if it computes the same in every process of a run that torchrun starts
            (docs/several-gpus.md): it draws from the generators that it is given alone, and runs
            the model through the learner or on the whole of a batch. Other strategies are refused
            there.
        proportional_flops: True if the FLOPs of a step are proportional to its samples, at the same
            share of exemplars. They are then counted with a few samples; if not, whole steps are.
        avalanche_plugins: Avalanche plugins that run in the training loop.
    """

    paper: ClassVar[str] = ""
    Options: ClassVar[type[Any]] = NoOptions
    state_attributes: ClassVar[Sequence[str]] = ()
    needs_boundaries: ClassVar[bool] = False
    exemplar_free: ClassVar[bool] = False
    disable_cutmix: ClassVar[bool] = False
    policies: ClassVar[Sequence[str]] = ()
    fill: ClassVar[Fill] = "after"
    trains_on_memory: ClassVar[bool] = False
    may_repeat_samples: ClassVar[bool] = False
    uses_features: ClassVar[bool] = False
    forward_replay: ClassVar[bool] = True
    capturable: ClassVar[bool] = False
    per_task_heads: ClassVar[bool] = False
    several_ranks: ClassVar[bool] = False
    proportional_flops: ClassVar[bool] = True
    avalanche_plugins: Sequence[Any] = ()
    _built: frozenset[str] = frozenset()  # attributes that `build_state` has made

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Warn of a method that nothing calls any more.

        Warns:
            DeprecationWarning: the class defines `predict`, which was replaced by `scores`.
        """
        super().__init_subclass__(**keywords)
        if "predict" in vars(cls):
            warnings.warn(
                f"{cls.__qualname__}.predict is not called since 0.2.0; define `scores`",
                DeprecationWarning,
                stacklevel=2,
            )

    def __init__(self, options: Any, context: StrategyContext) -> None:
        self.options = options
        self.context = context
        for name in self.state_attributes:
            setattr(self, name, None)

    @classmethod
    def build(cls, options: Any, context: StrategyContext) -> Self:
        """Build the strategy (see `seit_cl.core.plugins.Plugin`).

        Args:
            options: an instance of `Options`.
            context: options of the run.

        Raises:
            UserError: options that contradict one another.
        """
        return cls(options, context)

    def training_stream(self, scenario: Scenario) -> Scenario:
        """Return the stream that the strategy trains on; the scenario's own by default."""
        return scenario

    def exemplar_fields(self, classes: int) -> Mapping[str, TensorSpec]:
        """Values stored with each exemplar, by name, in a run of that many classes C.

        They are part of the memory's file and count against its budget.
        """
        return {}

    def build_state(self, learner: LearnerView, generator: torch.Generator) -> None:
        """Make the modules, optimisers and generators that the strategy keeps in state_attributes.

        Called once at every start of the run, resumed or not, before the first experience. Where
        the run is resumed, they are then filled with what they held.

        Args:
            learner: its model has a row of the head for every class of the stream.
            generator: on the CPU; it is the same at every start. PyTorch's own generator, which
                initialises modules, is seeded from it. It may be kept, as an attribute of
                state_attributes, for draws in later steps.
        """

    def start(self, learner: LearnerView) -> None:
        """Call `build_state` with the run's random numbers, and move modules to the device.

        Raises:
            UserError: it makes something whose state no attribute of state_attributes has.
        """
        before = set(vars(self))
        generator = torch.Generator().manual_seed(derive_seed(self.context.seed, "strategy"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            self.build_state(learner, generator)
        made = {name: value for name, value in vars(self).items() if name not in before}
        refuse_unnamed(type(self).__name__, made, self.state_attributes)
        self._built = built_names(self._state())
        for name in self._built:
            value = getattr(self, name)
            if isinstance(value, nn.Module):
                value.to(learner.device)

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.state_attributes}

    def before_training_exp(self, learner: LearnerView) -> None:
        """Called before the first step of an experience."""

    def before_sampling(
        self,
        fresh: Batch,
        memory: Memory,
        count: int,
        generator: torch.Generator,
        learner: LearnerView,
    ) -> Exemplars:
        """Choose the exemplars that a step replays; drawn uniformly by default.

        Args:
            fresh: the step's fresh samples.
            memory: holds at least one exemplar.
            count: number of exemplars to return.
            generator: for every draw, on the CPU.
            learner: in its state before the step.
        """
        return memory.sample(count, generator)

    def loss(
        self, fresh: ForwardedBatch, replay: ForwardedBatch | None, learner: LearnerView
    ) -> Tensor:
        """Training loss of a step; cross-entropy of the fresh samples by default.

        Args:
            fresh: the fresh samples with the model's outputs.
            replay: the exemplars with the model's outputs; None where there are none.
            learner: its gradients are zero.
        """
        return self.cross_entropy(fresh).mean()

    def after_backward(self, fresh: Batch, replay: Batch | None, learner: LearnerView) -> None:
        """Called when the loss's gradients are computed, before they are clipped."""

    def after_training_exp(self, learner: LearnerView) -> None:
        """Called after an experience's last step, before the memory is offered its samples.

        With --fill during or before, the memory was offered them earlier.
        """

    def extras(self, raw: Tensor, learner: LearnerView) -> dict[str, Tensor]:
        """Values (B, *shape) of `exemplar_fields` for raw samples (B, ...) to be stored."""
        return {}

    def step_extras(self, raw: Tensor, logits: Tensor, learner: LearnerView) -> dict[str, Tensor]:
        """Values of `exemplar_fields` for the fresh samples of a step, offered right after it.

        They are those of `extras` by default, which may cost another forward pass.

        Args:
            raw: (B, ...), samples before their augmentation.
            logits: (B, classes seen) of the step's own forward pass: of the augmented samples, with
                the weights that the step started from.
            learner: in its state after the step.
        """
        return self.extras(raw, learner)

    def after_memory_update(self, learner: LearnerView) -> None:
        """Called after the memory was offered the experience, before the learner is tested."""

    @property
    def can_score(self) -> bool:
        """False while there are no scores, as before the end of the first experience."""
        return True

    def scores(self, inputs: Tensor, learner: LearnerView) -> Tensor:
        """Score the classes for unaugmented inputs (B, D, h, w); the logits by default.

        Always in float32: in bf16 the largest two logits are equal in about 1 % of images, and the
        older class would win. Never compiled: test batches differ in size and precision and would
        need graphs of their own.

        Returns:
            (B, classes seen) or, with a fixed head, (B, C): larger for a likelier class, -inf for
            one that is never predicted. The learner predicts the class of the largest score, the
            first one of equals: among all for class-incremental accuracy, and among the classes of
            the sample's experience for task-incremental accuracy.
        """
        return learner.logits(inputs, learner.model.forward, "fp32")

    @property
    def strategy_bytes(self) -> int:
        """Bytes of its state other than exemplars."""
        return sum(state_bytes(getattr(self, name)) for name in self.state_attributes)

    def state_dict(self) -> dict[str, Any]:
        """State other than exemplars, for a checkpoint.

        Raises:
            TypeError: state of another type, or a module, an optimiser or a generator that
                `build_state` did not make, so that it could not be restored.
        """
        state = self._state()
        later = built_names(state) - self._built
        if later:
            name = sorted(later)[0]
            kind = type(state[name]).__name__
            raise TypeError(f"{type(self).__name__}.{name}: make the {kind} in build_state")
        return {name: pack(value) for name, value in state.items()}

    def load_state_dict(self, state: dict[str, Any], learner: LearnerView) -> None:
        """Restore the state of a checkpoint."""
        for name in self.state_attributes:
            setattr(self, name, unpack(state[name], learner, getattr(self, name)))

    def cross_entropy(self, batch: ForwardedBatch, among: Tensor | None = None) -> Tensor:
        """Cross-entropy (B,) over the classes seen, with soft targets where CutMix mixed the batch.

        Args:
            batch: with logits (B, C).
            among: (C,) or (B, C) bool, the classes that compete, those of the targets among them;
                None: those of the batch, or all.
        """
        smoothing = self.context.label_smoothing
        among = batch.among if among is None else among
        if among is not None:
            log_probs = batch.logits.masked_fill(~among, -torch.inf).log_softmax(1)
            finite = log_probs.masked_fill(~among, 0.0)
            if batch.targets is None:
                of_label = log_probs.gather(1, batch.labels[:, None])[:, 0]
            else:
                of_label = (finite * _target(batch)).sum(1)
            mean = finite.sum(1) / among.sum(-1)
            return -(1 - smoothing) * of_label - smoothing * mean
        target = _target(batch)
        return F.cross_entropy(batch.logits, target, reduction="none", label_smoothing=smoothing)

    def mean_cross_entropy(self, fresh: ForwardedBatch, replay: ForwardedBatch | None) -> Tensor:
        """Mean cross-entropy of all samples of a step, both fresh ones and exemplars."""
        batches = [fresh] if replay is None else [fresh, replay]
        if fresh.among is not None:
            return torch.cat([self.cross_entropy(batch) for batch in batches]).mean()
        logits = torch.cat([batch.logits for batch in batches])
        target = torch.cat([_target(batch) for batch in batches])
        return F.cross_entropy(logits, target, label_smoothing=self.context.label_smoothing)


def _target(batch: ForwardedBatch) -> Tensor:
    """Labels (B,) of a batch, or soft targets (B, classes seen) where CutMix may have mixed it."""
    if batch.targets is None:
        return batch.labels
    return batch.targets[:, : batch.logits.shape[1]]
