"""The life of one model on a server: its start, its calls, its shutdown."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import trio

from statemachine.checks import check_name, check_timeout, check_word
from statemachine.config.call import StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import (
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterTimeoutError,
    ModelEvictedError,
    TruncatedStreamError,
)
from statemachine.text import fit_to_show

from ..http.client import HttpClient
from ..http.forward import forward
from ..http.health import Health
from ..http.options import check_seconds
from .judging import may_be_eviction, not_evicted
from .just_in_time import Ask, CallsThatLoad, LoadsOnCall, OneCall
from .loading import Loading
from .memory import Memory
from .noting import Noting
from .owned import Owned, OwnedFile
from .server import ModelServer, Resident, by_id, different

__all__ = ["RESIDENCY_CHECKS", "Residency"]

_LONGER, _LATE_SECONDS = 3, 5
"""A load for a call takes no longer than this many times ours, and this many seconds more."""
_LOOK_SECONDS: Final = 0.5
"""How long the end of a call may take for a look at the list."""
_SETTLE_SECONDS: Final = 0.3
"""How long a server may take to notice that a model's process has died."""

RESIDENCY_CHECKS: Final[Mapping[str, Callable[[str, object], None]]] = {
    "load_timeout": check_timeout,
    "look_seconds": check_seconds,
    "on_foreign": partial(check_word, words=("ignore", "wait", "evict")),
    "owned_file": check_name,
    "unload_timeout": check_timeout,
}
"""The options of :class:`Residency`, for ``check_options``."""


class Residency:
    """The life of one model on ``server``. ``name`` begins its messages; ``config`` is what was asked of the load.

    ``list_lag`` (seconds): how long after a load was sent it may be missing from the list before it counts as gone. Where the list does not
    show a load on its way, it is infinite. ``answered_lag``: the same from the answer to the load on, where that comes when the load
    is over; None: it may come before. ``loads_on_call``: whether a call makes the server load what it names: ``"no"``; ``"alike"``,
    under the same id, and with the configuration that the call gives; ``"otherwise"``. Where that is a setting of the server,
    ``loads_now`` asks for it. ``place`` says in the ``owned_file`` which model this is, and on which server.

    ======================= ================= ==================================================================================
    option                  default           meaning
    ======================= ================= ==================================================================================
    ``load_timeout``        600               seconds that a load may take, waiting for foreign models included; None: unbounded
    ``unload_timeout``      25                seconds that the shutdown may take, below the manager's own default
    ``look_seconds``        1                 seconds for which a look at the list holds, for requests that are passed on
    ``on_foreign``          ``"ignore"``      what is done about another model in memory before a load: it is left there; waited for
                                              until it is gone; or unloaded (``"evict"``)
    ``owned_file``          none              a file in which is noted what was loaded here, for a later run: see ``owned``
    ======================= ================= ==================================================================================
    """

    def __init__(
        self,
        server: ModelServer,
        name: str,
        options: Mapping[str, Any],
        *,
        config: Mapping[str, Any] | None = None,
        list_lag: float = math.inf,
        answered_lag: float | None = None,
        loads_on_call: LoadsOnCall = "no",
        loads_now: Ask | None = None,
        place: Owned | None = None,
    ) -> None:
        self.resident: Resident | None = None  # the one to talk to, as it was when it was found
        self._server: Final = server
        self._name: Final = fit_to_show(name)
        self._load_seconds: Final = _seconds(options.get("load_timeout", 600))
        self._unload_seconds: Final = _seconds(options.get("unload_timeout", 25))
        self._memory: Final = Memory(server, self._name, dict(config or {}))
        file = OwnedFile.at(options["owned_file"]) if "owned_file" in options else None
        self._noting: Final = Noting(self._memory, file, place or Owned("", self._name))
        answered = list_lag if answered_lag is None else answered_lag
        foreign = options.get("on_foreign", "ignore")
        self._loading: Final = Loading(self._memory, foreign, list_lag, answered, self._noting)
        self._calls: Final = CallsThatLoad(self._memory, loads_on_call, loads_now)
        self._list_lag: Final = list_lag
        self._took = math.inf  # the load, in seconds
        self._seen_at: float | None = None  # when the list last showed the resident as it was
        self._look_seconds: Final = options.get("look_seconds", 1)
        self._looking: Final = trio.Lock()

    @property
    def owned(self) -> bool:
        """Whether the instance was loaded here."""
        return self._loading.state == "owned"

    @property
    def id(self) -> str | None:
        """What the instance is called on the server; None before the start."""
        return None if self.resident is None else self.resident.id

    async def start(self) -> None:
        """Use a loaded instance of the model with this configuration, or load one. Raises AdapterError."""
        began = trio.current_time()
        with trio.move_on_after(self._load_seconds):
            self.resident = await self._loading.run()
            self._seen_at = trio.current_time()
            self._noting.end(self.resident if self.owned else None)
            if self.owned:
                self._took = self._seen_at - began
            return
        raise AdapterTimeoutError(f"{self._name}: the load takes longer than {self._load_seconds:g} s")

    async def shutdown(self) -> None:
        """Unload what was loaded here, also what loads and calls still bring. Raises AdapterError if it may be left behind."""
        with trio.move_on_after(self._unload_seconds):
            await self._loading.settle()
            if self.resident is not None:
                await self._calls.settle(self.resident, min(self._list_lag, _LONGER * self._took + _LATE_SECONDS))
            owned_id = self._loading.owned_id
            if self.owned and owned_id is not None and owned_id not in self._calls.brought:
                was = self._loading.resident
                await self._memory.remove(owned_id, was=was, unseen=was is None)
            for row in self._calls.brought.values():
                await self._memory.remove(row.id, was=row)
            self._loading.state = "none"
            self._calls.forget()
            self._noting.end(None)
            return
        raise AdapterTimeoutError(f"{self._name}: not seen unloaded after {self._unload_seconds:g} s")

    async def remove(self, resident_id: str) -> None:
        """Unload any instance, also one that is not ours, and wait until the list no longer shows it. Raises AdapterError."""
        await self._memory.remove(resident_id)

    async def recover(self) -> list[str]:
        """Unload what an earlier run with this ``owned_file`` has left of this model, if it is as it was; return the ids.

        Raises AdapterError.
        """
        with trio.move_on_after(self._unload_seconds):
            return await self._noting.recover()
        raise AdapterTimeoutError(f"{self._name}: not seen unloaded after {self._unload_seconds:g} s")

    # ---- before, during and after calls ----

    async def watched(self, call: Callable[[], AsyncGenerator[StreamEvent, None]]) -> AsyncGenerator[StreamEvent, None]:
        """Yield the events of ``call()``, with a look at the list before it, after an error, and after its end where it may have loaded."""
        if (gone := await self.evicted()) is not None:
            yield StreamEvent("error", gone)
            return
        async with self._one_call() as this, aclosing(call()) as events:
            async for event in events:
                this.tell(event)
                if isinstance(event.data, AdapterError):
                    event = StreamEvent("error", await self.judged(event.data))
                yield event

    async def evicted(self) -> ModelEvictedError | None:
        """Return the eviction that the list shows, if it shows one. A list that cannot be read shows nothing.

        A list that was read at this very moment is not read again: on a clock that stands still nothing has changed since.
        """
        if self._seen_at == trio.current_time():
            return None
        try:
            return await self._look()
        except AdapterError:
            self._seen_at = None
            return None

    async def judged(self, error: AdapterError) -> AdapterError:
        """Return what an error of a call is, after a look at the list: an eviction only if the list shows one."""
        if self.resident is None or not may_be_eviction(error):
            return error
        try:
            gone = await self._look()
            if gone is None and isinstance(error, TruncatedStreamError):
                await trio.sleep(_SETTLE_SECONDS)
                gone = await self._look()
        except AdapterError:
            if isinstance(error, (AdapterConnectError, AdapterProtocolError, AdapterTimeoutError)):
                error.broken = True  # nothing is known of the instance any more
            return error
        if gone is not None:
            gone.__cause__ = error
            return gone
        return not_evicted(error)

    async def health(self) -> Health:
        """Return whether the server answers, and has the instance loaded."""
        try:
            await self._server.list()
        except AdapterError as error:
            return Health(reachable=error.status is not None, ready=False, detail=str(error))
        gone = await self.evicted()
        ready = self.resident is not None and gone is None
        return Health(reachable=True, ready=ready, detail="" if gone is None else str(gone))

    @asynccontextmanager
    async def forward(
        self, http: HttpClient, request: ForwardRequest, model: str
    ) -> AsyncGenerator[ForwardResponse, None]:
        """Pass ``request`` on to the instance, by its name ``model``, if the list shows it. Raises AdapterError.

        An answer that an eviction could explain is judged like the error of a call; any other refusal is an answer.
        """
        if (gone := await self._evicted_lately()) is not None:
            raise gone
        try:
            async with self._one_call() as this, forward(http, request, model, self.judged) as response:
                yield this.response(response)
                this.looked_after = not self._was_seen_lately()
        except (AdapterConnectError, AdapterProtocolError, AdapterTimeoutError) as error:
            raise await self.judged(error) from None

    def _one_call(self) -> OneCall:
        was_seen = self._seen_at is not None

        async def is_there(ended: bool) -> bool:
            with trio.move_on_after(_LOOK_SECONDS, shield=True), suppress(AdapterError):
                return await self._look(by_call=was_seen and ended) is None
            return False

        return OneCall(self._calls, is_there)

    async def _evicted_lately(self) -> ModelEvictedError | None:
        """Do the same as :meth:`evicted`; a look holds for ``look_seconds``, and one look serves all who wait for it."""
        if self._was_seen_lately():
            return None
        async with self._looking:
            return None if self._was_seen_lately() else await self.evicted()

    def _was_seen_lately(self) -> bool:
        return self._seen_at is not None and trio.current_time() - self._seen_at < self._look_seconds

    async def _look(self, *, by_call: bool = False) -> ModelEvictedError | None:
        """Compare the list with what was found at the start. Raises AdapterError."""
        if self.resident is None:
            return None
        rows = await self._server.list()
        row = by_id(rows, self.resident.id)
        self._seen_at = None
        if row is None or row.state != "loaded":
            text = "is no longer loaded"
        elif differing := different(row.config, self.resident.config):
            text = f"is loaded with another {', '.join(differing)} than before"
        else:
            self._seen_at = trio.current_time()
            self._calls.seen(rows, self.resident)
            return None
        self._calls.missed(rows, self.resident, by_call=by_call)
        return ModelEvictedError(f"{self._name}: {text}")


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
