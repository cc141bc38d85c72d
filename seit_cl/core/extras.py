"""Packages that only some commands need, which are installed as extras of seit_cl."""

from __future__ import annotations

from importlib.util import find_spec

from seit_cl.core.errors import UserError


def check_extra(package: str, extra: str, needed_by: str) -> None:
    """Refuse to go on without a package, which is not imported yet.

    Args:
        package: its name in imports.
        extra: the extra of setup.cfg that installs it.
        needed_by: what needs it, as typed, e.g. "--tracker wandb".

    Raises:
        UserError: it is not installed; the message says which extra to install.
    """
    if find_spec(package) is None:
        raise UserError(
            f"{needed_by}: the package {package} is not installed; pip install 'seit_cl[{extra}]'"
        )
