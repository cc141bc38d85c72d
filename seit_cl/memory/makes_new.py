"""Class methods that make an object, refused on an object, which they would leave as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from seit_cl.core.errors import UserError

Method = TypeVar("Method", bound=Callable[..., Any])


def makes_new(method: Method) -> Method:
    """Refuse a class method on an object: the call would throw its result away.

    Args:
        method: a class method that makes an object of the class.
    """
    of_class: Any = method
    refusing: Any = _OfClassAlone(of_class.__func__)
    return refusing  # type: ignore[no-any-return]


class _OfClassAlone(classmethod):  # type: ignore[type-arg]
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind the method to the class.

        Raises:
            UserError: it is taken from an object.
        """
        if instance is not None:
            name = f"{type(instance).__name__}.{self.__name__}"
            raise UserError(
                f"{self.__name__} makes a new object and leaves this one as it is; use what "
                f"{name}(...) returns"
            )
        return super().__get__(instance, owner)
