"""Forward an HTTP request through an adapter to the leased instance, and its answer back, both as bytes.

A gateway need not understand what it forwards: unknown members, images, tools. The adapter fills in where its instance is, what its model
is called there, and which credentials it takes. The rest of the request stays as it was sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

__all__ = ["ForwardRequest", "ForwardResponse", "ForwardingAdapter"]


@dataclass(frozen=True, slots=True, repr=False)
class ForwardRequest:
    """A request as a client sent it.

    ``path`` starts with a slash and includes the query. ``headers`` are (name, value) pairs in the order of the wire; the
    adapter leaves out those that concern one connection only (``Connection``, ``Content-Length``, ...) and those that hold
    the client's credentials. ``body`` is complete. ``model_at``: from which byte to which the values of its top-level ``model``
    are, if the sender knows (None: it has not looked).
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    model_at: Sequence[tuple[int, int]] | None = None

    def __repr__(self) -> str:
        return f"ForwardRequest({self.method} {self.path.partition('?')[0]}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class ForwardResponse:
    """The server's answer, whatever its status. ``body`` yields its bytes as they arrive, decoded from any content encoding.

    ``begun``: its first piece, or its end, is here already, so that reading it does not wait.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: AsyncIterator[bytes]
    begun: bool = False

    def __repr__(self) -> str:
        return f"ForwardResponse({self.status})"


@runtime_checkable
class ForwardingAdapter(Protocol):
    """An adapter that can pass a request on. Leaving the block ends the request, also where its answer is not read to the end.

    Entering and reading raise AdapterError where the server cannot be reached, goes away, or takes too long; an error that the
    server *answers* is an answer like any other.
    """

    def forward(self, request: ForwardRequest) -> AbstractAsyncContextManager[ForwardResponse]:
        """Send ``request`` to the leased instance."""
        ...
