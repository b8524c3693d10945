"""Dicts and lists that cannot be changed any more, for values that others rely on. They compare, print as JSON, and travel as usual."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["FrozenDict", "FrozenList"]


def _refuse(self: object, *arguments: object, **named: object) -> NoReturn:
    raise TypeError("this value is read-only: others rely on it; make a changed copy")


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed. Copies of it are frozen, too; ``dict(frozen)`` is not."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none, because a dict can change
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A list that cannot be changed. Copies of it are frozen, too; ``list(frozen)`` is not."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # list has none, because a list can change
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)
