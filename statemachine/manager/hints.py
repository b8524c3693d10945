"""Say what to write to a user who has left out ``async``. Python itself says only that something is not supported."""

from __future__ import annotations

from typing import ClassVar, NoReturn

__all__ = ["AsyncOnly"]


class AsyncOnly:
    """Refuse ``with`` and ``for`` by a TypeError that has ``_how`` in it, which is how the class is used."""

    __slots__ = ()
    _how: ClassVar[str]

    def __enter__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")

    def __exit__(self, *error: object) -> NoReturn:
        raise TypeError(f"write: {self._how}")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")
