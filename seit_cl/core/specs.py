"""Specs: the text that names a plugin and sets its options, e.g. "jpeg:quality=30,size=64".

A spec is a name and, after a colon, an optional argument and options. For example, the argument of
"avalanche:MASPlugin,alpha=0.5" is "MASPlugin". Options fill a frozen dataclass; a field made by
`argument` takes the argument, and one made by `other_options` takes all options without a field.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from seit_cl.core.errors import UserError, nearest
from seit_cl.core.options import broken_rule


@dataclass(frozen=True)
class NoOptions:
    """Options of a plugin that has none."""


def read_literal(text: str) -> Any:
    """Read a number, true, false, none or a list where the text is one; else return the text."""
    plain = {"true": True, "false": False, "none": None}
    if text.lower() in plain:
        return plain[text.lower()]
    try:
        return ast.literal_eval(text)
    except Exception:  # also RecursionError and MemoryError, for deep nesting
        return text


class NumberList(tuple[float, ...]):
    """Numbers as the value of an option, joined by +, e.g. 30+60.

    Args:
        text: the numbers; "" for none.

    Raises:
        ValueError: a part is no finite number.
    """

    WORDS = "numbers joined by +, e.g. 30+60"  # in error messages

    def __new__(cls, text: str) -> NumberList:
        """Read the numbers."""
        parts = text.split("+") if text else []
        values = [float(part) for part in parts]
        if not all(map(math.isfinite, values)):
            raise ValueError(text)
        return super().__new__(cls, values)

    def __str__(self) -> str:
        return "+".join(f"{value:.12g}" for value in self)


def _read_bool(text: str) -> bool:
    """Read "true" or "false", in any case.

    Raises:
        ValueError: another text.
    """
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Args:
        name: the plugin's name as typed; hyphens and underscores are equivalent.
        argument: the first part after the colon if it is not "key=value"; "" if there is none.
        options: values as text, by option name with underscores.
    """

    name: str
    argument: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read a spec.

        Raises:
            UserError: an option is not "key=value" or is given twice.
        """
        name, _, rest = text.partition(":")
        parts = [part for part in rest.split(",") if part]
        argument = parts.pop(0) if parts and "=" not in parts[0] else ""
        options: dict[str, str] = {}
        for part in parts:
            key, equals, value = part.partition("=")
            key = key.replace("-", "_")
            if not equals or key in options:
                raise UserError(
                    f"{text!r}: option {part!r} is not key=value or is given twice; "
                    f"write {name}:key=value,key=value"
                )
            options[key] = value
        return cls(name, argument, options)

    @property
    def key(self) -> str:
        """The name with underscores, as the plugin's file is named."""
        return self.name.replace("-", "_")

    def __str__(self) -> str:
        return spec_text(self.name, self.argument, self.options)

    def fill(self, options_type: type[Any]) -> Any:
        """Build a frozen dataclass of options from the text of this spec.

        Args:
            options_type: every field set by "key=value" has a default, whose type reads the text.

        Raises:
            UserError: an unknown option, a value of the wrong type or outside its range, or an
                argument that is missing or not taken.
        """
        values = self._argument_value(options_type)
        own = {f.name: f for f in option_fields(options_type)}
        others: dict[str, Any] = {}
        others_field = _marked_field(options_type, _OTHERS)
        for key, text in self.options.items():
            if key in own:
                values[key] = self._read(key, text, type(own[key].default))
                self._check(own[key], values[key])
            elif others_field is not None:
                others[key] = others_field.metadata[_OTHERS](text)
                self._check_finite(key, others[key])
            else:
                hint = nearest(key, own) if own else "it has no options"
                raise UserError(f"{str(self)!r}: unknown option {key!r}; {hint}")
        if others_field is not None:
            values[others_field.name] = others
        return options_type(**values)

    def _check(self, declared: Field[Any], value: Any) -> None:
        """Refuse a value outside the range that the plugin declares (`ranged`), and nan and inf.

        Raises:
            UserError: naming the option and its range.
        """
        self._check_finite(declared.name, value)
        rule = broken_rule(declared, value)
        if rule:
            raise UserError(f"{str(self)!r}: {declared.name}={value:g}: must be {rule}")

    def _check_finite(self, name: str, value: Any) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{str(self)!r}: {name}={value}: must be a finite number")

    def _argument_value(self, options_type: type[Any]) -> dict[str, Any]:
        """Return the argument, as a mapping from the name of the field that takes it.

        Raises:
            UserError: the argument is missing, or no field takes one.
        """
        taken_by = _marked_field(options_type, _ARGUMENT)
        if taken_by is None and self.argument:
            raise UserError(
                f"{str(self)!r}: option {self.argument!r} is not key=value; "
                f"write {self.name}:key=value,key=value"
            )
        if taken_by is not None and not self.argument and taken_by.default is MISSING:
            label = taken_by.metadata[_ARGUMENT]
            raise UserError(f"{str(self)!r}: {label} is missing; write {self.name}:{label}")
        return {taken_by.name: self.argument} if taken_by is not None and self.argument else {}

    def _read(self, key: str, text: str, read: Callable[[str], Any]) -> Any:
        """Convert the text of an option to its value.

        Raises:
            UserError: the text is not a value of the option's type.
        """
        try:
            return _read_bool(text) if read is bool else read(text)
        except ValueError:
            expected = getattr(read, "WORDS", f"of type {getattr(read, '__name__', read)}")
            if read is bool:
                expected = "true or false"
            raise UserError(f"{str(self)!r}: {key}={text!r} is not {expected}") from None


_ARGUMENT = "spec argument"
_OTHERS = "spec's other options"


def argument(label: str, default: Any = MISSING) -> Any:
    """A field of options that takes the spec's argument.

    Args:
        label: placeholder for help and messages, e.g. "CHECKPOINT".
        default: value where the spec has no argument; without one, the argument is required.
    """
    return field(default=default, metadata={_ARGUMENT: label})


def other_options(read: Callable[[str], Any] = str) -> Any:
    """A field of options, a mapping, that takes every option without a field of its own.

    Args:
        read: from the text of a value to the value.
    """
    return field(default_factory=dict, metadata={_OTHERS: read})


def argument_label(options_type: type[Any]) -> str:
    """The placeholder of the argument that options take; "" where they take none."""
    argument_field = _marked_field(options_type, _ARGUMENT)
    return "" if argument_field is None else str(argument_field.metadata[_ARGUMENT])


def option_fields(options_type: type[Any]) -> list[Field[Any]]:
    """The fields that are set by "key=value", each with a default."""
    special = (_marked_field(options_type, _ARGUMENT), _marked_field(options_type, _OTHERS))
    return [f for f in fields(options_type) if f not in special]


def canonical_text(name: str, options: Any, only_changed: bool = False) -> str:
    """Write a plugin and its options as a spec that is the same for all equivalent spellings.

    Args:
        name: the plugin's name, used unchanged.
        options: a filled dataclass of options.
        only_changed: leave out options that have their defaults.
    """
    values: dict[str, Any] = {}
    for option in option_fields(type(options)):
        value = getattr(options, option.name)
        if not only_changed or value != option.default:
            values[option.name] = value
    argument_field = _marked_field(type(options), _ARGUMENT)
    others = _marked_field(type(options), _OTHERS)
    if others is not None:
        values |= getattr(options, others.name)
    argument_text = "" if argument_field is None else getattr(options, argument_field.name)
    return spec_text(name, argument_text, dict(sorted(values.items())))


def spec_text(name: str, argument_text: str, options: Mapping[str, Any]) -> str:
    """A spec as text: "name", or "name:argument,key=value,key=value"."""
    parts = [f"{key}={value}" for key, value in options.items()]
    if argument_text:
        parts.insert(0, argument_text)
    return f"{name}:{','.join(parts)}" if parts else name


def _marked_field(options_type: type[Any], mark: str) -> Field[Any] | None:
    """Return the field made by `argument` or `other_options`; None if there is none."""
    for candidate in fields(options_type):
        if mark in candidate.metadata:
            return candidate
    return None
