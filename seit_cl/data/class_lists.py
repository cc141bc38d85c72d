"""Lists of class names, one for each experience, as people type them or keep them in a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from seit_cl.core.errors import UserError, reading
from seit_cl.core.yaml_text import TEXT_LOADER, read_yaml

ClassLists = tuple[tuple[str, ...], ...]
SUFFIXES = (".yaml", ".yml", ".json")
OPTION = "--class-lists"
_FORM = "write names with commas, a word for each experience: cat,dog car,ship,plane"


def read_class_lists(words: Sequence[str]) -> ClassLists:
    """Read class lists from the words of a command line.

    Args:
        words: for each experience its class names with commas between them, where a name with a
            comma is quoted as in CSV; or one word, the name of a YAML or JSON file that holds a
            list of lists.

    Raises:
        UserError: an empty name or list, or a file that cannot be read.
    """
    if len(words) == 1 and words[0].endswith(SUFFIXES):
        lists = _read_file(Path(words[0]))
    else:
        lists = tuple(_parse_word(word) for word in words)
    for names in lists:
        if not names or not all(names):
            raise UserError(f"{OPTION}: an experience or a name is empty; {_FORM}")
    return lists


def class_list_word(names: Sequence[object]) -> str:
    """Write the classes of an experience as the word that `read_class_lists` reads."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([str(name) for name in names])
    return line.getvalue()


def _parse_word(word: str) -> tuple[str, ...]:
    return tuple(next(csv.reader([word]), []))


def _read_file(path: Path) -> ClassLists:
    """Read a YAML or JSON file of class lists.

    Raises:
        UserError: it cannot be read, or holds anything but lists of names.
    """
    with reading(
        f"{OPTION} {path}", "not readable as YAML or JSON", "give a file with a list of lists"
    ):
        text = path.read_text(encoding="utf-8")
        # Every scalar of YAML stays text: a class may be called "no" or "01".
        is_json = path.suffix == ".json"
        lists = json.loads(text) if is_json else read_yaml(text, TEXT_LOADER)
    if not isinstance(lists, list) or not all(isinstance(names, list) for names in lists):
        raise UserError(f"{OPTION} {path}: holds no list of lists of class names")
    result = []
    for names in lists:
        if not all(isinstance(name, str | int) for name in names):
            raise UserError(f"{OPTION} {path}: {names!r} is no list of class names")
        result.append(tuple(str(name) for name in names))
    return tuple(result)
