"""Adapters between Avalanche's datasets and the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from avalanche.benchmarks.utils import as_classification_dataset, make_avalanche_dataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from avalanche.training.plugins import ReplayPlugin
from torch import Tensor
from torch.utils.data import Dataset

from seit_cl.core.errors import UserError
from seit_cl.data.patches import decode_partial
from seit_cl.data.samples import Samples
from seit_cl.formats._records import Records
from seit_cl.formats.base import TokenizerFacts
from seit_cl.memory.avalanche_items import TASKS, ItemLayout, raw_items, task_labels
from seit_cl.memory.store import ExemplarStore

CHECKED = 32  # items of an experience that are looked at before any training
_BATCH = 256  # exemplars decoded from tokens to images at a time


class ImageTokenizer(TokenizerFacts, Protocol):
    """The part of a tokenizer that a memory uses (see `seit_cl.tokenizers.base`)."""

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, 3, S, S) uint8 to tokens (B, G, H, W) int16."""

    def decode(self, tokens: Tensor) -> Tensor:
        """Decode tokens (B, G, H, W) to images (B, 3, S, S) uint8."""


class DatasetSource:
    """A SampleSource over an Avalanche classification dataset; ids are positions in the dataset.

    Args:
        dataset: its items before their transforms are (input, target, ...), where the input is a
            PIL image, an image of 0..255 or 0..1, or a token grid (G, H, W) of integers.
        layout: of its items.
        side: image side S in pixels of the memory.
        tokenizer: makes tokens of images for a memory of tokens, or None.
    """

    def __init__(
        self, dataset: Any, layout: ItemLayout, side: int, tokenizer: ImageTokenizer | None
    ) -> None:
        self.dataset = dataset
        self.kind = layout.kind
        self.side = side
        self.tokenizer = tokenizer
        self._raw = raw_items(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def labels(self, ids: Tensor) -> Tensor:
        """Return labels (B,) int64."""
        labels = [int(self.dataset.targets[index]) for index in ids.tolist()]
        return torch.tensor(labels, dtype=torch.int64)

    def tokens(self, ids: Tensor) -> Tensor:
        """Return token grids (B, G, H, W) int16.

        Raises:
            UserError: images, and no tokenizer.
        """
        if self.kind.is_tokens:
            return self.kind.tokens(self._inputs(ids))
        if self.tokenizer is None:
            raise UserError(
                f"the benchmark's inputs are images ({self.kind.dtype}) and the memory stores "
                "tokens; make it with ByteBudgetBuffer.of(..., tokenizer=open_tokenizer())"
            )
        return self.tokenizer.encode(self.pixels(ids)).cpu()

    def pixels(self, ids: Tensor) -> Tensor:
        """Return images (B, 3, S, S) uint8.

        Raises:
            UserError: token grids, or tensors that are no images.
        """
        if self.kind.is_tokens:
            raise UserError(
                f"the benchmark's inputs are {self.kind.dtype}, which are tokens; a memory of "
                "pixels needs uint8 images"
            )
        return self.kind.pixels(self._inputs(ids), self.side)

    def files(self, ids: Tensor) -> list[bytes]:
        """Refuse: Avalanche datasets have no original files.

        Raises:
            UserError: always.
        """
        raise UserError(
            "an Avalanche dataset has no original files; use a format that encodes pixels or tokens"
        )

    def _inputs(self, ids: Tensor) -> list[Any]:
        """Return inputs (B,) before their transforms."""
        return [self._raw[index][0] for index in ids.tolist()]


class AvalancheSide:
    """Facts about the Avalanche benchmark that a memory is used with.

    Args:
        side: image side S in pixels of the memory.
        tokenizer: of a memory of tokens that is used with images, or None.
    """

    def __init__(self, side: int, tokenizer: ImageTokenizer | None) -> None:
        self._side = side
        self.tokenizer = tokenizer
        self._layout: ItemLayout | None = None
        self._task_of: dict[int, int] = {}
        self._snapshot: Any = None  # until the next change

    def forget(self) -> None:
        """Drop the dataset of exemplars, because they are about to change."""
        self._snapshot = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the dataset of exemplars out of a pickle: it is made again."""
        return {**vars(self), "_snapshot": None}

    def samples(self, dataset: Any) -> Samples:
        """Return the items of an experience's dataset as samples.

        Raises:
            UserError: items that a memory cannot store.
        """
        layout = ItemLayout(dataset)
        source = DatasetSource(dataset, layout, self._side, self.tokenizer)
        ids = torch.arange(len(source))
        labels = source.labels(ids)
        self._note_tasks(labels.tolist(), task_labels(dataset))
        self._layout = layout
        return Samples(ids, labels, source)

    def dataset(self, store: ExemplarStore) -> Any:
        """Return the present exemplars as an AvalancheDataset like those of the benchmark.

        Before the first experience its items are (input, target, task 0).
        """
        if self._snapshot is None:
            self._snapshot = self._copy(store)
        return self._snapshot

    def _note_tasks(self, labels: Sequence[int], tasks: Sequence[int]) -> None:
        """Remember the task of every class, which a memory does not store.

        Raises:
            UserError: a class in two tasks.
        """
        for label, task in zip(labels, tasks, strict=True):
            if self._task_of.setdefault(label, task) != task:
                raise UserError(
                    f"class {label} has the task labels {self._task_of[label]} and {task}; a "
                    "memory has one for each class: use a benchmark without task labels"
                )

    def _copy(self, store: ExemplarStore) -> Any:
        """Copy the exemplars: transformed ones as they are, others as records to be decoded."""
        labels = store.labels().tolist()
        item = self._decoder(store)
        if self._layout is None:
            return exemplar_dataset(item, labels)
        tasks = [self._task_of.get(label, 0) for label in labels]
        return self._layout.dataset(item, labels, tasks)

    def _decoder(self, store: ExemplarStore) -> Callable[[int], Tensor]:
        """Return the function from a position 0..N-1 to a decoded exemplar, of a copy of them."""
        decoded = store.decoded
        if decoded.transform is not None:
            return decoded.inputs(store.slots.order()).__getitem__
        if self._shows_images() and decoded.fmt.domain == "tokens":
            assert self.tokenizer is not None  # without one, no image was stored as tokens
            tokens = decoded.inputs(store.slots.order())
            decode = self.tokenizer.decode
            images = [decode_partial(decode, part).cpu() for part in tokens.split(_BATCH)]
            return torch.cat(images).__getitem__ if images else tokens.__getitem__
        return _RecordDecoder(decoded.fmt, store.records())

    def _shows_images(self) -> bool:
        """True if the benchmark's inputs are images."""
        return self._layout is not None and not self._layout.kind.is_tokens


class _RecordDecoder:
    """Decoder of one record at a time."""

    def __init__(self, fmt: Any, records: Records) -> None:
        self.fmt = fmt
        self.records = records

    def __call__(self, index: int) -> Tensor:
        position = slice(index, index + 1)
        records = self.records
        record = Records(records.data, records.offsets[position], records.lengths[position])
        decoded: Tensor = self.fmt.decode(record)[0]
        return decoded


class _Exemplars(Dataset[tuple[Tensor, int]]):
    """Items (input, label); inputs are made on request."""

    def __init__(self, item: Callable[[int], Tensor], labels: Sequence[int]) -> None:
        self.item = item
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.item(index), self.labels[index]


def exemplar_dataset(item: Callable[[int], Tensor], labels: Sequence[int]) -> Any:
    """Build an AvalancheDataset of (input, target, task 0).

    Args:
        item: maps a position 0..N-1 to an input.
        labels: (N,).
    """
    targets = DataAttribute(list(labels), "targets")
    tasks = DataAttribute([0] * len(labels), TASKS, use_in_getitem=True)
    return as_classification_dataset(
        make_avalanche_dataset(_Exemplars(item, labels), data_attributes=[targets, tasks])
    )


def some_of(
    benchmark: Any, side: int, tokenizer: ImageTokenizer | None, classes: int
) -> Iterator[Samples]:
    """Yield some items of every train experience of a benchmark, as a memory is offered them.

    Args:
        benchmark: Avalanche's.
        side: image side S in pixels of the memory.
        tokenizer: of a memory of tokens that is used with images, or None.
        classes: number of classes C of the memory.

    Raises:
        UserError: labels that the memory has no class for, or items with attributes that no memory
            stores.
    """
    for experience in benchmark.train_stream:
        dataset = experience.dataset
        source = DatasetSource(dataset, ItemLayout(dataset), side, tokenizer)
        labels = [int(label) for label in dataset.targets]
        if not 0 <= min(labels) <= max(labels) < classes:
            raise UserError(
                f"the benchmark has the labels {min(labels)}..{max(labels)}, and the memory "
                f"{classes} classes, 0..{classes - 1}; make the memory with more classes"
            )
        ids = torch.linspace(0, len(source) - 1, min(CHECKED, len(source))).long()
        yield Samples(ids, source.labels(ids), source)


def replay_plugin(strategy: Any) -> ReplayPlugin:
    """Find the ReplayPlugin of an Avalanche strategy.

    Raises:
        UserError: it has none.
    """
    for plugin in strategy.plugins:
        if isinstance(plugin, ReplayPlugin):
            return plugin
    raise UserError(
        f"{type(strategy).__name__} has no ReplayPlugin; use Avalanche's Replay, or add "
        "memory.replay_plugin() to its plugins"
    )
