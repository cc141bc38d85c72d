"""Names of files that are made from texts of other files."""

from __future__ import annotations

import re

LONGEST = 100  # characters; file systems take 255 bytes, and something may be added
# Devices that Windows knows by these names in any folder, with any ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


def safe_name(text: str, otherwise: str) -> str:
    """The base name of a file that says as much of a text as every file system takes.

    A name of letters and digits of ASCII, dots, hyphens, underscores and plus signs stays as it is.
    Other characters become hyphens. What begins with a dot or hyphen, ends with a dot, is a device
    of Windows or is very long changes too, so that the result names no folder, is not hidden and is
    no option of a command.

    Args:
        text: for example the name of a dataset in a token file.
        otherwise: the name where nothing of the text is left.
    """
    name = _UNSAFE.sub("-", text)[:LONGEST].lstrip(".-").rstrip(".-")
    if not name:
        return otherwise
    return f"_{name}" if _DEVICE.match(name) else name


def is_utf8(name: str) -> bool:
    """Return True unless a name from the file system has bytes that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(name: str) -> str:
    """The name in one line, with bytes that are not UTF-8 and control characters as escapes."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def is_folder_name(name: str) -> bool:
    """Return True for a name that a folder can have which lists of folders do not leave out."""
    return bool(name) and not name.startswith(".") and not re.search(r"[/\\\0]", name)
