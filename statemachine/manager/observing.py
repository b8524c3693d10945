"""Tell observers of every state change."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..checks import check_callable
from ..core.events import Transition
from ..errors import ConfigurationError

__all__ = ["Observer", "Observers", "check_observers"]

Observer: TypeAlias = Callable[[Transition], None]
"""Called with every state change, in order, after the step that made it. It must not block."""

log = logging.getLogger(__name__)


class Observers:
    """The observers of one manager. Raises ConfigurationError.

    An observer that raises an Exception costs one line in the log: the manager goes on, and the observer is called again.
    Anything else, such as a KeyboardInterrupt, is handed to ``interrupt``.
    """

    def __init__(self, observers: Sequence[Observer], interrupt: Callable[[BaseException], None]) -> None:
        check_observers(observers)
        self.observers = tuple(observers)
        self._interrupt = interrupt

    def tell(self, change: Transition) -> None:
        """Call every observer with ``change``."""
        for observer in self.observers:
            try:
                observer(change)
            except Exception as error:
                name = getattr(observer, "__qualname__", type(observer).__qualname__)
                log.error("the observer %s raised %s; the manager goes on", name, type(error).__name__)
                log.debug("the observer %s raised", name, exc_info=error)
            except BaseException as error:
                self._interrupt(error)


def check_observers(observers: object) -> None:
    """Check that ``observers`` is a sequence of callables with one Transition, none of them async. Raises ConfigurationError."""
    if callable(observers) or isinstance(observers, (str, bytes)) or not isinstance(observers, Sequence):
        rule = "must be a sequence of callables: write observers=[observer]"
        raise ConfigurationError("observers", rule, f"a {type(observers).__name__}")
    for index, observer in enumerate(observers):
        _check(f"observers[{index}]", observer)


def _check(path: str, observer: object) -> None:
    check_callable(path, observer, "with one Transition")
    if inspect.iscoroutinefunction(observer) or inspect.iscoroutinefunction(getattr(observer, "__call__", None)):  # noqa: B004
        rule = "must be a plain function: it is called in the middle of a step; write def, and hand over to a task yourself"
        raise ConfigurationError(path, rule, "an async function")
