"""What an adapter raises, sorted: a cancellation that is not ours, a close of its generator, and everything else."""

from __future__ import annotations

import math
import sys

import trio

from ..errors import AdapterProtocolError

__all__ = ["is_cancellation", "leaves", "own_fault", "without_close"]


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group and in the groups in it, or the one error."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]


def is_cancellation(error: BaseException) -> bool:
    """Return whether ``error`` is a cancellation of trio's or asyncio's, or a group of nothing else."""
    asyncio = sys.modules.get("asyncio")
    kinds = (trio.Cancelled,) if asyncio is None else (trio.Cancelled, asyncio.CancelledError)
    return all(isinstance(leaf, kinds) for leaf in leaves(error))


def own_fault(error: BaseException, doing: str, cancelled: bool | None = None) -> BaseException:
    """Return ``error``, which an adapter has just raised in this task. A cancellation that nothing asked for is the adapter's fault.

    ``cancelled``: whether this task was cancelled; None: by any scope around it, which may be one that the adapter has left open.
    """
    if cancelled is None:
        cancelled = trio.current_effective_deadline() == -math.inf
    if cancelled or not is_cancellation(error):
        return error
    fault = AdapterProtocolError(f"{doing} raised a cancellation that was not its own, such as a stored one")
    fault.__cause__ = error
    return fault


def without_close(error: BaseException) -> BaseException | None:
    """Return ``error`` without the GeneratorExit that closes a generator: a nursery in the generator raises it in a group.

    None if nothing else is left; a single error that is left, without its group.
    """
    if isinstance(error, GeneratorExit):
        return None
    if not isinstance(error, BaseExceptionGroup):
        return error
    rest = error.split(GeneratorExit)[1]
    if rest is None:
        return None
    left = leaves(rest)
    return left[0] if len(left) == 1 else rest
