"""`python -m seit_cl.tokenize list`: every kind of tokenizer, without importing torch."""

from __future__ import annotations

from seit_cl.core import plugins
from seit_cl.core.outlines import read_plugins
from seit_cl.core.specs import argument_label, option_fields, spec_text
from seit_cl.tokenizers.commands.options import List


def list_command(options: List) -> None:
    """Run `tokenize list`."""
    for description in read_plugins("tokenizer", _describe).values():
        print(description)


def _describe(name: str) -> str:
    """A kind's spec with its options, and a line about it."""
    kind = plugins.load("tokenizer", name)
    defaults = {option.name: option.default for option in option_fields(kind.Options)}
    return f"{spec_text(name, argument_label(kind.Options), defaults)}\n    {kind.about}"
