"""Offers of an experience to the memory: order, fitted format, and the fields of the strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from seit_cl.data.samples import Samples
from seit_cl.experiment.modality import Modality
from seit_cl.experiment.run_data import RunData
from seit_cl.formats.base import FittedFormat
from seit_cl.learner.learner import Learner
from seit_cl.learner.strategy import Strategy
from seit_cl.memory.buffer import ByteBudgetBuffer
from seit_cl.memory.herding import best_first
from seit_cl.results import run_files
from seit_cl.tokenizers import Tokenizer
from seit_cl.tokenizers._features import pooled_features

OFFER_CHUNK = 512  # samples encoded at a time when the memory is offered an experience
SHOWN_EXEMPLARS = 8  # training images in exemplars.npz
MAX_FIT_SAMPLES = 1000  # samples used to fit a data-dependent format


def offer_experience(
    memory: ByteBudgetBuffer,
    samples: Samples,
    learner: Learner,
    strategy: Strategy,
    modality: Modality,
    fit: Callable[[ByteBudgetBuffer, Samples], None],
) -> None:
    """Offer an experience's samples to the memory, in the order that its policy wants.

    Args:
        memory: receives them.
        samples: (n,) of the experience.
        learner: gives the features that an order needs.
        strategy: gives the values of the exemplar fields.
        modality: gives the learner's inputs of the samples.
        fit: called before the first offer, to fit a data-dependent format.
    """
    samples = samples[_offer_order(memory, samples, learner, modality)]
    fit(memory, samples)
    for start in range(0, len(samples), OFFER_CHUNK):
        part = samples[start : start + OFFER_CHUNK]
        extras = {}
        if memory.exemplar_fields:
            extras = strategy.extras(modality.train_inputs(part.ids), learner)
        memory.offer(part, extras)


def _offer_order(
    memory: ByteBudgetBuffer, samples: Samples, learner: Learner, modality: Modality
) -> slice | Tensor:
    """Positions of samples (n,) in the order in which the selection policy wants them offered."""
    if not memory.selection.best_first:
        return slice(None)
    features = learner.raw_features(modality.train_inputs(samples.ids))
    return best_first(features, samples.labels)


def fit_format(
    run_dir: Path, tokenizer: Tokenizer, memory: ByteBudgetBuffer, samples: Samples
) -> None:
    """Fit a data-dependent format, once, to up to MAX_FIT_SAMPLES samples from all over (n,)."""
    if not isinstance(memory.fmt, FittedFormat) or not memory.fmt.unfitted:
        return
    some = samples[:: -(-len(samples) // MAX_FIT_SAMPLES)]
    memory.fit(some, partial(pooled_features, tokenizer))
    run_files.log(run_dir, f"{memory.fmt.spec}: chose {memory.fmt.chosen}")


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
    return run_files.memory_rows(experience, per_class, memory.bytes_by_kind())


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
    images = tokenizer.decode(decoded) if memory.fmt.domain == "tokens" else decoded
    run_files.write_exemplars(run_dir, data.shown(some.ids).numpy(), images.numpy())
