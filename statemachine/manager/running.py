"""Notice a program that does not run on trio."""

from __future__ import annotations

import trio

from ..errors import WrongEventLoopError

__all__ = ["check_trio"]


def check_trio() -> None:
    """Raises WrongEventLoopError outside of a trio task, such as under asyncio."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        raise WrongEventLoopError from None
