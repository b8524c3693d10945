"""Rows that are kept as columns: a long run writes millions, and a tuple of each would take three times the memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from operator import eq
from typing import Any, TypeVar, overload

__all__ = ["LazyRows"]

RowT = TypeVar("RowT")


class LazyRows(Sequence[RowT]):
    """A sequence of rows, each made when it is asked for. Equal to any sequence of equal rows."""

    @property
    @abstractmethod
    def _columns(self) -> Sequence[Sequence[Any]]:
        """One column for each field, all of the same length."""

    @abstractmethod
    def _row(self, place: int, fields: tuple[Any, ...]) -> RowT:
        """Return the row at ``place``, which has these ``fields``."""

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> RowT: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RowT, ...]: ...
    def __getitem__(self, index: int | slice) -> RowT | tuple[RowT, ...]:
        if isinstance(index, slice):
            return tuple(self[each] for each in range(*index.indices(len(self))))
        place = range(len(self))[index]
        return self._row(place, tuple(column[place] for column in self._columns))

    def __iter__(self) -> Iterator[RowT]:
        return map(self._row, range(len(self)), zip(*self._columns, strict=True))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # compared by value
