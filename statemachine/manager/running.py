"""Notice a program that does not run on trio."""

from __future__ import annotations

import trio

from ..errors import WrongEventLoopError

__all__ = ["check_trio"]


def check_trio() -> trio.lowlevel.Task:
    """Return the running trio task. Raises WrongEventLoopError where there is none, such as under asyncio."""
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:
        raise WrongEventLoopError from None
