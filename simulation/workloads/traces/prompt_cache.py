"""A prompt cache that keeps every prompt: how much of a prompt some earlier one began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .fields import TraceError, list_at, path_to

__all__ = ["PromptCache", "blocks_at"]


class PromptCache:
    """Every prompt so far, as a tree of blocks: from a node, which is a number, each block leads to another."""

    def __init__(self) -> None:
        self._edges: dict[tuple[int, int], int] = {}

    def known(self, blocks: Sequence[int]) -> int:
        """Return how many of the first ``blocks`` some earlier prompt begins with, and keep this one."""
        node = known = 0
        for block in blocks:
            new = len(self._edges) + 1
            node = self._edges.setdefault((node, block), new)
            known += node != new
        return known


def blocks_at(owner: Any, place: str) -> list[int]:
    """Return the list ``hash_ids``. Raises TraceError."""
    blocks = list_at(owner, "hash_ids", place)
    if not all(isinstance(block, int) for block in blocks):
        raise TraceError(path_to(place, "hash_ids"), "must hold integers only", "others")
    return blocks
