"""What a reader changed or left out of a trace: counted, and told in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from .fields import TraceError

__all__ = ["Notes"]

SHOWN_ROWS: Final = 5


class Notes:
    """Counts the changes of one reading. With ``skip_bad`` a row that can't be read is counted and left out, not an error."""

    def __init__(self, *, skip_bad: bool = False) -> None:
        self.skip_bad = skip_bad
        self.bad_rows = 0
        self._bad: list[str] = []
        self._changes: Counter[str] = Counter()
        self._remarks: dict[str, None] = {}

    def count(self, change: str) -> None:
        """Count one more of ``change``, which is a sentence without its end."""
        self._changes[change] += 1

    def remark(self, sentence: str) -> None:
        """Keep a sentence of the reader's about the whole trace."""
        self._remarks[sentence] = None

    @contextmanager
    def row(self, place: str) -> Iterator[None]:
        """Read one row in this block."""
        try:
            yield
        except TraceError as error:
            if not self.skip_bad:
                raise
            self.bad_rows += 1
            if len(self._bad) < SHOWN_ROWS:
                self._bad.append(str(error))

    def sentences(self) -> tuple[str, ...]:
        """Everything, as sentences for a report."""
        changes = [f"{number} times: {change}." for change, number in self._changes.items()]
        bad = f"{self.bad_rows} rows could not be read and are left out; the first: {'; '.join(self._bad)}."
        return (*self._remarks, *changes, *([bad] if self.bad_rows else []))
