"""A cancellation that an adapter has kept, and raises when nothing cancels it any more."""

from __future__ import annotations

import trio


async def stored_cancellation() -> trio.Cancelled:
    """Return a cancellation that has done its work."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            return cancelled
    raise AssertionError("not cancelled")
