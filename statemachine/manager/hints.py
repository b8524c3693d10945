"""Say what to write to a user who has left out ``async``, or copies what is in use. Python itself says only that it is not supported."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["AsyncOnly"]


class AsyncOnly:
    """Refuse ``with`` and ``for`` by a TypeError that has ``_how`` in it, which is how the class is used.

    Nor can it be copied or pickled: it stands for something that is in use once, such as a lease, which a copy would release.
    """

    __slots__ = ()
    _how: ClassVar[str]

    def __enter__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")

    def __exit__(self, *error: object) -> NoReturn:
        raise TypeError(f"write: {self._how}")

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} is in use here, and cannot be copied or pickled: pass its configuration on"
        )

    def __iter__(self) -> NoReturn:
        raise TypeError(f"write: {self._how}")
