"""The items of an Avalanche benchmark: to what a memory stores, and back to equal items.

A memory stores an item's input as it is before Avalanche's transform groups. The exemplars come
back as a dataset with the same transform groups, attributes and collate function, so that a
strategy cannot tell them from the benchmark's own items.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from avalanche.benchmarks.utils import AvalancheDataset
from avalanche.benchmarks.utils.data_attribute import DataAttribute
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from seit_cl.core.errors import UserError
from seit_cl.data.decoding import square, to_rgb
from seit_cl.data.samples import square_uint8

TASKS = "targets_task_labels"
LABELS = "targets"
_TOKEN_TYPES = (torch.int16, torch.int32, torch.int64)


class InputKind:
    """The type of a benchmark's inputs before their transforms, with the way there and back.

    Args:
        example: an input: a PIL image, or a tensor that is an image or a token grid.
    """

    def __init__(self, example: Any) -> None:
        self.mode = example.mode if isinstance(example, Image.Image) else ""
        tensor = None if self.mode else torch.as_tensor(example)
        self.dtype = torch.uint8 if tensor is None else tensor.dtype
        self.is_array = isinstance(example, np.ndarray)
        self.dims = 3 if tensor is None else tensor.ndim
        self.channels = 1 if tensor is None or tensor.ndim == 2 else len(tensor)
        self.is_tokens = tensor is not None and tensor.ndim == 3 and self.dtype in _TOKEN_TYPES

    def tokens(self, inputs: Sequence[Any]) -> Tensor:
        """Stack token grids to (B, G, H, W) int16."""
        return torch.stack([torch.as_tensor(grid) for grid in inputs]).to(torch.int16)

    def pixels(self, inputs: Sequence[Any], side: int) -> Tensor:
        """Convert inputs to images (B, 3, S, S) uint8.

        Floats from 0 to 1, as ToTensor makes them, are stored as round(255 x), which gives back
        exactly what ToTensor was given. Grey images are stored with three equal channels.

        Args:
            inputs: (B,) of this kind. PIL images of another size are resized and cropped, as the
                files of a folder are.
            side: image side S in pixels.

        Raises:
            UserError: tensors that are no images from 0 to 255 or from 0 to 1.
        """
        if self.mode:
            images = [np.asarray(square(to_rgb(image), side)) for image in inputs]
            return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        tensors = torch.stack([torch.as_tensor(image) for image in inputs])
        if self.dims == 2:
            tensors = tensors[:, None]
        if tensors.is_floating_point():
            low, high = (float(bound) for bound in torch.aminmax(tensors))
            if low < 0 or high > 1:
                raise UserError(
                    f"the benchmark's inputs are floats from {low:.3g} to {high:.3g}; a memory of "
                    "images needs uint8, or floats from 0 to 1: move Normalize from the dataset "
                    "into Avalanche's transform_groups, or into the model"
                )
            tensors = (tensors * 255).round().to(torch.uint8)
        return square_uint8(tensors)

    def restore(self, stored: Tensor) -> Any:
        """Convert one decoded exemplar, (3, S, S) uint8 or (G, H, W), to an input of this kind."""
        if self.is_tokens:
            return stored.to(self.dtype)
        if self.mode:
            image = Image.fromarray(stored.permute(1, 2, 0).contiguous().numpy())
            return image.convert(self.mode)
        tensor = stored if self.channels == 3 else stored[1:2]  # the channels of grey are alike
        if self.dtype.is_floating_point:
            tensor = tensor.to(self.dtype) / 255
        if self.dims == 2:
            tensor = tensor[0]
        return tensor.numpy() if self.is_array else tensor


class ItemLayout:
    """Everything that the items of a benchmark have besides their inputs.

    Args:
        dataset: of an experience, an AvalancheDataset.

    Raises:
        UserError: a dataset that is not Avalanche's or is empty, or items with attributes other
            than task labels.
    """

    def __init__(self, dataset: Any) -> None:
        if not isinstance(dataset, AvalancheDataset) or not len(dataset):
            raise UserError(
                f"a {type(dataset).__name__} of {len(dataset)} items: give an experience of an "
                "Avalanche benchmark, with at least one item"
            )
        added = [name for name, values in _attributes(dataset).items() if values.use_in_getitem]
        others = [name for name in added if name != TASKS]
        if others:
            raise UserError(
                f"the benchmark's items hold {', '.join(others)}; a memory stores images and class "
                "labels: leave other attributes out of the items (use_in_getitem=False)"
            )
        self._type = type(dataset)
        self._transforms = _transforms_of_row(dataset)
        self._collate = dataset.collate_fn
        self._has_tasks = TASKS in _attributes(dataset)
        self._tasks_in_items = TASKS in added
        self._label_type = type(raw_items(dataset)[0][1])
        self.kind = InputKind(raw_items(dataset)[0][0])

    def dataset(
        self, item: Callable[[int], Tensor], labels: Sequence[int], tasks: Sequence[int]
    ) -> Any:
        """Build an AvalancheDataset of exemplars, whose items are like the benchmark's.

        Args:
            item: maps a position 0..N-1 to a decoded exemplar.
            labels: (N,) class labels.
            tasks: (N,) task labels, for benchmarks that have such.
        """
        attributes = [DataAttribute(list(labels), LABELS)]
        if self._has_tasks:
            attributes.append(
                DataAttribute(list(tasks), TASKS, use_in_getitem=self._tasks_in_items)
            )
        inner: Any = _Restored(item, labels, self.kind, self._label_type)
        if not len(labels):
            return AvalancheDataset([inner], data_attributes=attributes)
        for groups, frozen in self._transforms:
            inner = AvalancheDataset(
                [inner],
                transform_groups=copy.copy(groups),
                frozen_transform_groups=copy.copy(frozen),
            )
        dataset = self._type([inner], data_attributes=attributes, collate_fn=self._collate)
        return dataset.train()


class _Restored(Dataset[list[Any]]):
    """Items [input, label] before the transforms; inputs are decoded on request."""

    def __init__(
        self,
        item: Callable[[int], Tensor],
        labels: Sequence[int],
        kind: InputKind,
        label_type: type,
    ) -> None:
        self.item = item
        self.labels = labels
        self.kind = kind
        self.label_type = label_type

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> list[Any]:
        label: Any = self.labels[index]
        if self.label_type is Tensor:
            label = torch.tensor(label)
        return [self.kind.restore(self.item(index)), label]


def raw_items(dataset: Any) -> Any:
    """Return an AvalancheDataset without its transforms, those of the group "train"."""
    return dataset.train().remove_current_transform_group()


def task_labels(dataset: Any) -> Sequence[int]:
    """Return the task label of every item; zeros where the dataset has none."""
    attributes = _attributes(dataset)
    if TASKS not in attributes:
        return [0] * len(dataset)
    return [int(task) for task in attributes[TASKS].data]


def _attributes(dataset: Any) -> dict[str, Any]:
    """The data attributes of an AvalancheDataset by name."""
    return dict(dataset._data_attributes)


def _transforms_of_row(dataset: Any) -> list[tuple[Any, Any]]:
    """Transform groups, usual and frozen, that the first item passes through, the innermost first.

    Avalanche nests datasets when it concatenates and subsets them, and has no public way to the
    transforms within.
    """
    levels = []
    data = dataset._flat_data
    row = 0
    while hasattr(data, "_transform_groups"):
        levels.append((data._transform_groups, data._frozen_transform_groups))
        part, row = data._get_idx(row)
        data = data._datasets[part]
        if isinstance(data, AvalancheDataset):
            data = data._flat_data
    return levels[::-1]
