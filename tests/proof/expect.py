"""How the layers of the proof say that something does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["DoesNotHoldError", "expect", "expect_error"]


class DoesNotHoldError(AssertionError):
    """What an oracle says does not hold."""


def expect(holds: object, sentence: str, *found: object) -> None:
    """Raises DoesNotHoldError with ``sentence``, and with what was found, unless it ``holds``."""
    if not holds:
        raise DoesNotHoldError(": ".join([sentence, *map(repr, found)]))


@contextmanager
def expect_error(*kinds: type[BaseException]) -> Iterator[None]:
    """Raises DoesNotHoldError unless one of ``kinds`` is raised in here, which it takes. Others pass."""
    try:
        yield
    except kinds:
        return
    raise DoesNotHoldError(f"no {kinds[0].__name__} was raised")
