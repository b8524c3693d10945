"""The way of one request: who asks for which model, a lease for it, the request forwarded, the answer's bytes passed back.

The client may leave at any moment: then the HTTP server cancels everything here, which gives the lease back and ends the generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard
from weakref import WeakKeyDictionary

import trio

from statemachine import (
    AdapterError,
    ForwardingAdapter,
    ForwardRequest,
    ForwardResponse,
    Lease,
    ModelEvictedError,
    ProviderManagerError,
    RuntimeProviderConfig,
)
from statemachine.foreign import ForeignJSONError, read_json

from ..http.errors import adapter_error
from .answer import ClientAnswer
from .asking import Asking
from .gateway import Gateway
from .problems import Problem
from .reading import RefusedError
from .recording import Recording
from .routes import Route
from .waiting import WaitingRequest

__all__ = ["Passage", "carry"]

REFUSAL_LIMIT_BYTES: Final = 64 * 1024
EVICTED_TRIES: Final = 3
_FORWARDING: Final[WeakKeyDictionary[type, bool]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Passage:
    """One request that was read and understood. ``request`` is what is forwarded, ``options`` what of it is the instance's identity."""

    route: Route
    asking: Asking
    provider: str
    model: str
    request: ForwardRequest
    options: Mapping[str, Any]


async def carry(gateway: Gateway, passage: Passage, answer: ClientAnswer) -> None:
    """Carry the request to the end of its answer; again, with another lease, where the model had gone before anything was answered.

    Raises RefusedError, ProviderManagerError.
    """
    recorded = gateway.recorded(passage.asking.agent, passage.model, len(passage.request.body))
    for tries_left in reversed(range(EVICTED_TRIES)):
        try:
            await _pass_once(gateway, passage, answer, recorded)
            return
        except ModelEvictedError:
            if answer.is_forwarding or not tries_left:
                raise


async def _pass_once(gateway: Gateway, passage: Passage, answer: ClientAnswer, recorded: Recording | None) -> None:
    async with await _acquire(gateway, passage, answer) as lease:
        gateway.granted(passage.asking.agent, passage.model, lease)
        await _forward(passage, lease, answer, recorded)
    if recorded is not None and answer.status == 200:
        recorded.complete()
    await answer.end()


async def _forward(passage: Passage, lease: Lease, answer: ClientAnswer, recorded: Recording | None) -> None:
    if not _can_forward(lease.adapter):
        raise RefusedError(Problem(501, "not_forwarded", f"{passage.provider} cannot forward requests"))
    async with lease.adapter.forward(passage.request) as response:
        answer.is_forwarding = True
        if answer.status is None:
            await answer.start(response.status, response.headers, at_once=not response.begun)
        elif not 200 <= response.status < 300:
            raise await _refusal(passage, response)
        async for piece in response.body:
            await answer.piece(piece)
            if recorded is not None:
                recorded.meter.feed(piece)


def _can_forward(adapter: object) -> TypeGuard[ForwardingAdapter]:
    """Return whether it can. Each class is looked into once: that takes as long as a lease."""
    kind = type(adapter)
    if (known := _FORWARDING.get(kind)) is None:
        known = _FORWARDING[kind] = issubclass(kind, ForwardingAdapter)
    return known


async def _acquire(gateway: Gateway, passage: Passage, answer: ClientAnswer) -> Lease:
    """Return a lease: at once where one is free, else after a wait."""
    asking = passage.asking
    if passage.options:
        config = RuntimeProviderConfig(passage.provider, passage.model, passage.options)
    else:
        config = RuntimeProviderConfig(passage.provider, passage.model)
    try:
        return gateway.manager.acquire_nowait(config, asking.agent, asking.priority)
    except trio.WouldBlock:
        pool = gateway.pool_of(passage.provider, passage.model)
    with gateway.waiting.enter(asking.agent, passage.provider, passage.model, pool) as waiter:
        return await _wait(gateway, config, asking, waiter, answer)


async def _wait(
    gateway: Gateway, config: RuntimeProviderConfig, asking: Asking, waiter: WaitingRequest, answer: ClientAnswer
) -> Lease:
    """Wait for a lease; while it takes long, tell a streaming client why."""
    lease, failure = None, None
    answered = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_comment, gateway, waiter, answer, answered)
            try:
                lease = await gateway.manager.get_adapter(config, asking.timeout, asking.agent, asking.priority)
            except ProviderManagerError as error:
                failure = error  # raised below: a nursery would wrap it in a group
            finally:
                answered.set()  # not cancelled: a comment that is half sent must be sent whole
    except BaseException:
        if lease is not None:
            lease.release()
        raise
    if failure is not None:
        raise failure
    assert lease is not None, "there is a lease or a failure"
    return lease


async def _comment(gateway: Gateway, waiter: WaitingRequest, answer: ClientAnswer, answered: trio.Event) -> None:
    """Send a comment every ``comment_seconds`` until the request is answered."""
    seconds = gateway.settings.comment_seconds
    while seconds is not None and answer.takes_comments:
        with trio.move_on_after(seconds):
            await answered.wait()
            return
        await answer.comment(gateway.waiting.describe(waiter, trio.current_time()))


async def _refusal(passage: Passage, response: ForwardResponse) -> AdapterError:
    """Return the server's own error, which comes too late to be passed on as it is: comments have been sent."""
    said = bytearray()
    async for piece in response.body:
        said += piece
        if len(said) > REFUSAL_LIMIT_BYTES:
            break
    return adapter_error(response.status, _json_or_text(bytes(said)), server=passage.provider)


def _json_or_text(said: bytes) -> object:
    try:
        return read_json(said)
    except ForeignJSONError:
        return said.decode("utf-8", "replace")
