"""Offers of samples to the memory: time, order, fitted format, and the fields of the strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seit_cl.config import RunConfig
from seit_cl.core import plugins
from seit_cl.core.blocks import slices
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec
from seit_cl.data.patches import decode_partial
from seit_cl.data.samples import Samples
from seit_cl.experiment.build import choose_policy
from seit_cl.experiment.modality import Modality
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FittedFormat
from seit_cl.learner.inference import RawSamples
from seit_cl.learner.learner import Learner
from seit_cl.learner.settings import Fill
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.memory.herding import best_first, herding_flops
from seit_cl.results import run_writer
from seit_cl.tokenizers import Tokenizer
from seit_cl.tokenizers._features import pooled_features

OFFER_CHUNK = 512  # samples encoded at a time when the memory is offered an experience
SHOWN_EXEMPLARS = 8  # training images in exemplars.npz
MAX_FIT_SAMPLES = 1000  # samples used to fit a data-dependent format


def choose_fill(config: RunConfig, strategy: Strategy) -> Fill:
    """Choose when the memory is offered samples: --fill, or the time of the strategy's paper.

    Without a memory, and for a strategy that trains on the memory alone, it is always "after":
    nothing depends on it.

    Raises:
        UserError: another time than "after" for a policy that ranks a whole experience, or "during"
            for batches that an Avalanche plugin draws.
    """
    replays = config.memory_mb > 0 and not strategy.exemplar_free
    if not replays or strategy.trains_on_memory:
        return "after"
    policy = choose_policy(config, strategy)
    ranks_experiences = plugins.load("policy", Spec.parse(policy).name).best_first
    if config.fill == "default":
        return "after" if ranks_experiences else strategy.fill
    if config.fill != "after" and ranks_experiences:
        raise UserError(
            f"--fill {config.fill}: --policy {policy} ranks the samples of a whole experience by "
            "its trained network; use --fill after, or another --policy"
        )
    if config.fill == "during" and strategy.avalanche_plugins:
        raise UserError(
            f"--fill during: --strategy {config.strategy} draws its own batches from a memory that "
            "stays as it is within an experience; use --fill after or before"
        )
    return config.fill


@dataclass
class Filling:
    """Offers of an experience's samples to the memory, each once.

    Args:
        memory: receives them.
        samples: (n,) of the experience.
        learner: gives the features that an order needs.
        strategy: gives the values of the exemplar fields.
        modality: gives the learner's inputs of the samples.
        fit: called before an offer, to fit a data-dependent format to the experience.
    """

    memory: ByteBudgetBuffer
    samples: Samples
    learner: Learner
    strategy: Strategy
    modality: Modality
    fit: Callable[[ByteBudgetBuffer, Samples], None]
    _offered: list[Tensor] = field(default_factory=list)  # train set indices

    def offer_step(self, samples: Samples, logits: Tensor) -> None:
        """Offer the fresh samples (B,) of a step, with their logits (B, classes seen) in it."""
        extras = {}
        if self.memory.exemplar_fields:
            raw = self.modality.train_inputs(samples.ids)
            with self.learner.counting("hooks", "step extras", len(samples)):
                extras = self.strategy.step_extras(raw, logits, self.learner)
        self._offer(samples, extras, self.samples)

    def offer_rest(self) -> None:
        """Offer all samples that were not offered yet, in the order that the policy wants."""
        samples = self.samples
        if self._offered:
            samples = samples[~torch.isin(samples.ids, torch.cat(self._offered))]
        if len(samples) == 0:
            return
        samples = samples[_offer_order(self.memory, samples, self.learner, self.modality)]
        for rows in slices(len(samples), min(OFFER_CHUNK, self.learner.most_at_once)):
            part = samples[rows]
            extras = {}
            if self.memory.exemplar_fields:
                raw = self.modality.train_inputs(part.ids)
                with self.learner.counting("hooks", "extras", len(part)):
                    extras = self.strategy.extras(raw, self.learner)
            self._offer(part, extras, samples)

    def _offer(self, part: Samples, extras: dict[str, Tensor], fitted: Samples) -> None:
        """Offer samples (B,), with a format that is fitted to samples of the experience."""
        if isinstance(self.memory.fmt, FittedFormat) and self.memory.fmt.unfitted:
            with self.learner.counting("encoding"):
                self.fit(self.memory, fitted)
        with self.learner.counting("encoding", "offer", len(part)):
            self.memory.offer(part, extras)
        self._offered.append(part.ids)


def _offer_order(
    memory: ByteBudgetBuffer, samples: Samples, learner: Learner, modality: Modality
) -> slice | Tensor:
    """Positions of samples (n,) in the order in which the selection policy wants them offered."""
    if not memory.selection.best_first:
        return slice(None)
    with learner.counting("selection"):
        features = learner.raw_features(RawSamples(modality.train_inputs, samples.ids))
    learner.add_flops("selection", herding_flops(features, samples.labels))
    return best_first(features, samples.labels)


def fit_format(
    note: Callable[[str], None],
    tokenizer: Tokenizer,
    memory: ByteBudgetBuffer,
    samples: Samples,
) -> None:
    """Fit a data-dependent format, once, to up to MAX_FIT_SAMPLES samples from all over (n,).

    Args:
        note: called with a line for the run's log.
        tokenizer: gives the features by which the format chooses.
        memory: has the format.
        samples: (n,) of the first experience.
    """
    if not isinstance(memory.fmt, FittedFormat) or not memory.fmt.unfitted:
        return
    some = samples[:: -(-len(samples) // MAX_FIT_SAMPLES)]
    memory.fit(some, partial(pooled_features, tokenizer))
    note(f"{memory.fmt.spec}: chose {memory.fmt.chosen}")


def memory_rows(
    experience: int, memory: ByteBudgetBuffer, class_names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the rows of memory.csv after one experience.

    Args:
        experience: index of the experience that the memory was offered last.
        memory: in its present state.
        class_names: (C,), by label.
    """
    counts = memory.counts_per_class().tolist()
    per_class = dict(zip(class_names, counts, strict=True))
    return run_writer.memory_rows(
        experience, per_class, memory.bytes_by_kind(), memory.counts_by_levels()
    )


def write_exemplars(
    run_dir: Path, memory: ByteBudgetBuffer, data: RunData, samples: Samples
) -> None:
    """Write exemplars.npz, a few training images before and after the format.

    There is none where the tokenizer cannot decode tokens to images.

    Args:
        run_dir: the run's folder.
        memory: has the format.
        data: the run's.
        samples: (n,) of the first experience.
    """
    tokenizer = data.tokenizer
    if memory.fmt.domain == "tokens" and not tokenizer.decodes:
        return
    some = samples[:: -(-len(samples) // SHOWN_EXEMPLARS)]  # of several classes
    decoded = memory.fmt.decode(memory.fmt.encode(some))
    images = decoded
    if memory.fmt.domain == "tokens":
        images = decode_partial(tokenizer.decode, decoded)
    run_writer.write_exemplars(run_dir, data.shown(some.ids).numpy(), images.numpy())
