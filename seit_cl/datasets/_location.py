"""Locations of data: a path, or NAME:PATH,option=value with the name of a data set plugin.

This file imports nothing heavy: the options of a run are read with it.
"""

from __future__ import annotations

import os
from pathlib import Path

from seit_cl.core import plugins
from seit_cl.core.errors import UserError
from seit_cl.core.specs import Spec, spec_text


def split_location(text: str) -> Spec | None:
    """Read a location as a spec of a data set plugin.

    A path that exists is a path, whatever its name. So is a text whose start is no plugin's name,
    such as the drive in C:\\images. Commas and equals signs before the last options belong to the
    path.

    Args:
        text: as typed.

    Returns:
        The plugin's name, the path as argument, and options; None for a path.
    """
    name, colon, rest = text.partition(":")
    if name.replace("-", "_") not in plugins.names("dataset") or os.path.exists(text):
        return None
    if not colon:
        # A bare name may be a typing error of a path, and only the fractals need nothing else.
        return Spec(name) if name == BUILT_IN else None
    parts = rest.split(",")
    options: dict[str, str] = {}
    while parts and _is_option(parts[-1]) and not os.path.exists(",".join(parts)):
        key, _, value = parts.pop().partition("=")
        options[key.replace("-", "_")] = value
    return Spec(name, ",".join(parts), dict(reversed(options.items())))


BUILT_IN = "fractals"


def absolute_location(location: Path) -> str:
    """A location that means the same in every folder, for the record of a run."""
    spec = split_location(str(location))
    if spec is None:
        return str(location.resolve())
    path = Path(spec.argument)
    argument = str(path.resolve()) if spec.argument and os.path.exists(path) else spec.argument
    return spec_text(spec.key, argument, spec.options)


def check_exists(location: Path | None) -> None:
    """Refuse a path that leads nowhere, before anything heavy is imported or made.

    Args:
        location: as typed; what a plugin names is left to it, and so is None.

    Raises:
        UserError: naming the path.
    """
    if location is None or split_location(str(location)) is not None:
        return
    if not os.path.exists(location):
        raise UserError(
            f"{location}: no such folder or file; give the folder that holds train/ and val/, or a "
            "folder for each class"
        )


def location_name(location: Path) -> str:
    """A short name of the data, for names of files and folders."""
    spec = split_location(str(location))
    if spec is None:
        return location.resolve().name
    return Path(spec.argument).name or spec.key


def _is_option(part: str) -> bool:
    key, equals, _ = part.partition("=")
    return bool(equals) and key.replace("-", "_").isidentifier()
