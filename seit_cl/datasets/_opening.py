"""Opening of data at a location: the plugin is named in it, or is the one that recognises it."""

from __future__ import annotations

import os
from pathlib import Path

from seit_cl.core import plugins
from seit_cl.core.errors import UserError, nearest
from seit_cl.core.specs import Spec
from seit_cl.data.base import Dataset
from seit_cl.data.folder import check_images
from seit_cl.data.holdout import DEFAULT_HOLDOUT, Holdout
from seit_cl.datasets._location import split_location
from seit_cl.datasets.base import DatasetContext, Progress, no_progress

DEFAULT = "folder"  # explains what is wrong with a folder that no plugin recognises


def list_data(
    location: str | Path, holdout: Holdout = DEFAULT_HOLDOUT, progress: Progress = no_progress
) -> Dataset:
    """List the data at a location without decoding an image.

    Args:
        location: a path, or NAME:PATH,option=value with the name of a data set plugin.
        holdout: rule for the val split where the data has none.
        progress: called while data is indexed, converted or made.

    Raises:
        UserError: no plugin or several recognise the path, or an error of the plugin's `build`.
    """
    text = str(location)
    spec = split_location(text)
    if spec is None:
        _refuse_unknown_kind(text)
        spec = Spec(recognise(Path(text)), text)
    plugin = plugins.load("dataset", spec.name)
    options = Spec(spec.name, "", spec.options).fill(plugin.Options)
    if not spec.argument and plugin.needs_location:
        raise UserError(f"{text}: a path is missing; write {spec.name}:PATH")
    dataset: Dataset = plugin.build(options, DatasetContext(spec.argument, holdout, progress))
    return dataset


def _refuse_unknown_kind(text: str) -> None:
    """Refuse NAME:PATH with an unknown name; one letter in front of a colon is a drive's.

    Raises:
        UserError: giving the nearest names.
    """
    name, colon, _ = text.partition(":")
    if not colon or len(name) == 1 or not name.replace("-", "_").isidentifier():
        return
    if not os.path.exists(text):
        advice = nearest(name, plugins.names("dataset"))
        raise UserError(f"{text}: no such path, and no kind of data is {name!r}; {advice}")


def open_data(
    location: str | Path, skip_bad_images: bool = False, holdout: Holdout = DEFAULT_HOLDOUT
) -> Dataset:
    """List the data at a location and check that every image can be read.

    Args:
        location, holdout: as in `list_data`.
        skip_bad_images: leave unreadable images out and count them instead of stopping.

    Raises:
        UserError: as in `list_data` and `check_images`.
    """
    return check_images(list_data(location, holdout), skip_bad_images)


def recognise(path: Path) -> str:
    """Name the one plugin that recognises a path.

    Returns:
        Its name; for a path that is missing, or a folder that none recognises, that of image
        folders, which says what is wrong.

    Raises:
        UserError: a file of no known format, or a path that several plugins recognise.
    """
    if not os.path.exists(path):
        return DEFAULT
    names = [
        name
        for name in sorted(plugins.names("dataset"))
        if plugins.load("dataset", name).recognises(path)
    ]
    if len(names) > 1:
        raise UserError(
            f"{path}: may be {' or '.join(names)}; choose one, e.g. --data-root {names[0]}:{path}"
        )
    if names:
        return names[0]
    if path.is_file():
        known = ", ".join(sorted(plugins.names("dataset")))
        raise UserError(
            f"{path}: not a token file nor of another kind of data; write NAME:{path} with the "
            f"kind, one of {known}"
        )
    return DEFAULT
