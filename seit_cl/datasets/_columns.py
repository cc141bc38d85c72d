"""Columns of images and labels in tables of Hugging Face data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seit_cl.core.errors import UserError
from seit_cl.data.labelled import numbered_classes

IMAGE_NAMES = ("image", "img", "jpg", "png")
LABEL_NAMES = ("label", "labels", "cls", "fine_label")


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Args:
        image, label: their names.
        classes: names of the classes in the order of the labels; None where there are none.
    """

    image: str
    label: str
    classes: tuple[str, ...] | None


def choose_columns(
    features: Mapping[str, Any], names: Sequence[str], image: str, label: str, where: str
) -> Columns:
    """Choose the columns of a table.

    Args:
        features: description of each column as the `datasets` library writes it, with its type as
            "_type"; empty where the table has none.
        names: of all columns.
        image, label: those asked for; empty: by type, or else by name.
        where: the table in messages.

    Raises:
        UserError: a column that is not there or not to be told from others.
    """
    image = image or _choose("image", "Image", IMAGE_NAMES, features, names, where)
    label = label or _choose("label", "ClassLabel", LABEL_NAMES, features, names, where)
    for name in (image, label):
        if name not in names:
            raise UserError(
                f"{where}: has no column {name!r}, but {', '.join(names)}; name others: "
                "huggingface:PATH,image=COLUMN,label=COLUMN"
            )
    described = features.get(label) or {}
    classes = described.get("names")
    return Columns(image, label, None if classes is None else tuple(map(str, classes)))


def _choose(
    option: str,
    kind: str,
    usual: Sequence[str],
    features: Mapping[str, Any],
    names: Sequence[str],
    where: str,
) -> str:
    """The usual name of a column if there is one, or else the only column of a type."""
    for name in usual:
        if name in names:
            return name
    typed = [
        name
        for name, feature in features.items()
        if isinstance(feature, Mapping) and feature.get("_type") == kind
    ]
    if len(typed) != 1:
        raise UserError(
            f"{where}: has the columns {', '.join(names)}; name that of the {option}: "
            f"huggingface:PATH,{option}=COLUMN"
        )
    return typed[0]


def label_numbers(
    labels: list[np.ndarray], classes: tuple[str, ...] | None
) -> tuple[list[np.ndarray], list[str]]:
    """Labels as positions in the classes, and the names of the classes.

    Args:
        labels: (N,) integers or texts of each split.
        classes: names in the order of the labels; None: after the numbers, or the texts sorted.
    """
    if classes is not None:
        return labels, list(classes)
    if all(part.dtype.kind in "iu" for part in labels):
        names, labels = numbered_classes(*labels)
        return labels, names
    texts = [part.astype(str) for part in labels]
    found = np.unique(np.concatenate(texts))
    return [np.searchsorted(found, part) for part in texts], found.tolist()
