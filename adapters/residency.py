"""Residency: bring a model into a local server's memory, keep account of whose it is, and take it out again.

It is the same for every local server that loads models, and the same mistakes are made everywhere: a load that is repeated makes a second
copy, a load that failed is waited for, an unload that was lost is not repeated, what the user loaded is unloaded, an "eviction"
is reported that was none. So it is written once. **An author writes the four verbs of a server**, and the adapter passes its life through::

    class MyServer:
        def __init__(self, http: HttpClient, model: str) -> None: ...

        async def list(self) -> Sequence[Resident]:     # all in memory, also on its way in or out, and loads that failed
            rows = (await self._http.json("GET", "/models"))["data"]
            return [Resident(row["id"], row["id"], _state(row), _config(row)) for row in rows if _state(row)]

        async def load(self) -> str | None:              # begin a load; return the instance's id, or None if the server does not tell
            await self._http.json("POST", "/load", {"model": self._model}, seconds=600, otherwise=ModelLoadError)
            return self._model

        async def unload(self, resident_id: str) -> None:   # may return before it is out; what is out already is fine
            await self._http.json("POST", "/unload", {"model": resident_id})

        def fits(self, resident: Resident) -> bool:      # is it the model that is wanted? (its configuration is compared here)
            return resident.model == self._model


    class MyAdapter:
        is_local, default_base_url = True, "http://localhost:9999"

        def __init__(self, config: AdapterConfig) -> None:
            check_options(config.options, {**HTTP_CHECKS, **RESIDENCY_CHECKS})
            self._http = HttpClient(config.options.get("base_url", self.default_base_url), bounds=Bounds.of(config.options))
            self._residency = Residency(MyServer(self._http, config.model_id), f"my server: {config.model_id}", config.options)

        async def start(self) -> None:
            await self._residency.start()

        async def shutdown(self) -> None:
            try:
                await self._residency.shutdown()
            finally:
                await self._http.aclose()

        def call(self, prompt, options):
            request = chat_request(self._residency.id, prompt, options)
            return self._residency.watched(lambda: stream_chat(self._http, request))

        def forward(self, request):
            return forward(self._http, request, self._residency.id)

What it keeps to:

- **The server's list is the truth.** It is read before a load, until the load has ended, before each call, after an answer that broke, and
  until an unload is done. ``load`` may return at once or when the model is loaded; a model that fits and is being loaded is waited for.
- **A load is sent once.** If its answer is lost (but not if the request never left), the list tells what became of it. Every end
  of a load is seen: loaded; failed, with the server's reason; or gone. A load that is refused because the server is busy (no room, a
  full queue) is asked for again; one that is refused because the model is being loaded already (``model_already_running``) is
  another's.
- **Owned is what this adapter loaded**, and only that is unloaded: by its id, and only while the list shows it as it was. The user may
  have unloaded it, and another program loaded the same id with another configuration: that is left alone.
- **An unload is repeated** until the list no longer shows the instance, within ``unload_timeout``. A fault that may pass (no answer,
  429, 5xx) decides nothing.
- **An eviction is reported only where the list shows one**: the instance is gone, or is another one. Else the error stays what it was.
  Where the list cannot be read after a connection was lost, the error is ``broken``, so that the instance is looked at afresh.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, Protocol

import trio

from statemachine.checks import check_timeout, check_word
from statemachine.config.call import StreamEvent
from statemachine.config.forward import ForwardRequest, ForwardResponse
from statemachine.errors import (
    AdapterBusyError,
    AdapterConnectError,
    AdapterError,
    AdapterProtocolError,
    AdapterRequestError,
    AdapterTimeoutError,
    ContextLengthError,
    ModelEvictedError,
    ModelLoadError,
    ModelNotFoundError,
    TruncatedStreamError,
)
from statemachine.text import fit_to_show

from .http.client import HttpClient
from .http.forward import forward
from .http.health import Health
from .http.options import check_seconds

__all__ = ["ALREADY_RUNNING", "RESIDENCY_CHECKS", "ModelServer", "Residency", "Resident"]

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
_FIRST_PAUSE_SECONDS: Final = 0.05
_SETTLE_SECONDS: Final = 0.3
"""How long a server may take to notice that a model's process has died."""
ALREADY_RUNNING: Final = "model_already_running"
"""The code of the refusal to load what is loaded, or being loaded."""

RESIDENCY_CHECKS: Final[Mapping[str, Callable[[str, object], None]]] = {
    "load_timeout": check_timeout,
    "look_seconds": check_seconds,
    "on_foreign": partial(check_word, words=("ignore", "wait", "evict")),
    "unload_timeout": check_timeout,
}
"""The options of :class:`Residency`, for ``check_options``."""


@dataclass(frozen=True, slots=True)
class Resident:
    """One model in a server's memory, or on its way there or out, or a load that has failed.

    ``id`` is the name to call and to unload it by, ``model`` the model it is an instance of. ``config`` is what the server tells of
    its configuration, under the names that are asked for; nothing that changes by itself, such as a remaining time. ``reason`` is
    why it failed.
    """

    id: str
    model: str
    state: Literal["loading", "loaded", "unloading", "failed"] = "loaded"
    config: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


class ModelServer(Protocol):
    """A server as :class:`Residency` sees it. Every method but ``fits`` may raise AdapterError.

    ``load``: any answer that certainly means "not loaded" must be a ModelLoadError, a ModelNotFoundError or another AdapterRequestError.
    ``unload``: what is not loaded any more is fine.
    """

    async def list(self) -> Sequence[Resident]: ...

    async def load(self) -> str | None: ...

    async def unload(self, resident_id: str) -> None: ...

    def fits(self, resident: Resident) -> bool: ...


class Residency:
    """The life of one model on ``server``. ``name`` begins its messages; ``config`` is what was asked of the load.

    ``list_lag`` (seconds): how long after a load was sent it may be missing from the list before it counts as gone. Where the list does not
    show a load on its way, it is infinite. ``answered_lag``: the same from the answer to the load on, where that comes when the load
    is over; None: it may come before.

    ======================= ================= ==================================================================================
    option                  default           meaning
    ======================= ================= ==================================================================================
    ``load_timeout``        600               seconds that a load may take, waiting for foreign models included; None: unbounded
    ``unload_timeout``      25                seconds that the shutdown may take, below the manager's own default
    ``look_seconds``        1                 seconds for which a look at the list holds, for requests that are passed on
    ``on_foreign``          ``"ignore"``      what is done about another model in memory before a load: it is left there; waited for
                                              until it is gone; or unloaded (``"evict"``)
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
    ) -> None:
        self.resident: Resident | None = None  # the one to talk to, as it was when it was found
        self._server: Final = server
        self._name: Final = fit_to_show(name)
        self._config: Final = dict(config or {})
        self._list_lag: Final = list_lag
        self._answered_lag: Final = list_lag if answered_lag is None else answered_lag
        self._load_seconds: Final = _seconds(options.get("load_timeout", 600))
        self._unload_seconds: Final = _seconds(options.get("unload_timeout", 25))
        self._look_seconds: Final = options.get("look_seconds", 1)
        self._on_foreign: Final = options.get("on_foreign", "ignore")
        self._load: Literal["none", "open", "doubtful", "owned"] = "none"  # what is known of our load
        self._owned_id: str | None = None
        self._seen_at: float | None = None  # when the list last showed the resident as it was
        self._looking: Final = trio.Lock()

    @property
    def owned(self) -> bool:
        """Whether the instance was loaded here."""
        return self._load == "owned"

    @property
    def id(self) -> str | None:
        """What the instance is called on the server; None before the start."""
        return None if self.resident is None else self.resident.id

    async def start(self) -> None:
        """Use a loaded instance of the model with this configuration, or load one. Raises AdapterError."""
        with trio.move_on_after(self._load_seconds):
            self.resident = await self._unless_busy(self._find_or_load)
            self._seen_at = trio.current_time()
            return
        raise AdapterTimeoutError(f"{self._name}: the load takes longer than {self._load_seconds:g} s")

    async def shutdown(self) -> None:
        """Unload what was loaded here, also what a load in progress still brings. Raises AdapterError if it may be left behind."""
        with trio.move_on_after(self._unload_seconds):
            if self._load in ("open", "doubtful"):
                with suppress(ModelLoadError):  # then there is nothing to unload
                    await self._find_own(self._list_lag)
            if self._load == "owned" and self._owned_id is not None:
                await self._unload(self._owned_id, as_ours=True)
            self._load = "none"
            return
        raise AdapterTimeoutError(f"{self._name}: not seen unloaded after {self._unload_seconds:g} s")

    # ---- before, during and after calls ----

    async def watched(self, call: Callable[[], AsyncGenerator[StreamEvent, None]]) -> AsyncGenerator[StreamEvent, None]:
        """The events of ``call()``, looked at by the list: before it, and after an error that may be an eviction."""
        if (gone := await self.evicted()) is not None:
            yield StreamEvent("error", gone)
            return
        async with aclosing(call()) as events:
            async for event in events:
                if isinstance(event.data, AdapterError):
                    event = StreamEvent("error", await self.judged(event.data))
                yield event

    async def evicted(self) -> ModelEvictedError | None:
        """The eviction that the list shows, if it shows one. A list that cannot be read shows nothing.

        A list that was read at this very moment is not read again: on a clock that stands still nothing has changed since.
        """
        if self._seen_at == trio.current_time():
            return None
        try:
            return await self._look()
        except AdapterError:
            return None

    async def judged(self, error: AdapterError) -> AdapterError:
        """What an error of a call is, after a look at the list: an eviction only if the list shows one."""
        if self.resident is None or not _may_be_eviction(error):
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
        return _not_evicted(error)

    async def health(self) -> Health:
        """Whether the server answers, and has the instance loaded."""
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
            async with forward(http, request, model, self.judged) as response:
                yield response
        except (AdapterConnectError, AdapterProtocolError, AdapterTimeoutError) as error:
            raise await self.judged(error) from None

    async def _evicted_lately(self) -> ModelEvictedError | None:
        """The same as :meth:`evicted`; a look holds for ``look_seconds``, and one look serves all who wait for it."""
        if self._was_seen_lately():
            return None
        async with self._looking:
            return None if self._was_seen_lately() else await self.evicted()

    def _was_seen_lately(self) -> bool:
        return self._seen_at is not None and trio.current_time() - self._seen_at < self._look_seconds

    async def _look(self) -> ModelEvictedError | None:
        """Compare the list with what was found at the start. Raises AdapterError."""
        if self.resident is None:
            return None
        row = _by_id(await self._server.list(), self.resident.id)
        self._seen_at = None
        if row is None or row.state != "loaded":
            return ModelEvictedError(f"{self._name}: is no longer loaded")
        if differing := self._changed(row):
            return ModelEvictedError(f"{self._name}: is loaded with another {', '.join(differing)} than before")
        self._seen_at = trio.current_time()
        return None

    # ---- finding and loading ----

    async def _find_or_load(self) -> Resident:
        rows = await self._server.list()
        if not self._fitting(rows) and self._on_foreign != "ignore":
            rows = await self._without_foreign(rows)
        return await self._coming(rows) or await self._loaded()

    async def _coming(self, rows: Sequence[Resident]) -> Resident | None:
        """An instance that fits and is loaded, or will be: it is waited for. None: there is none."""
        while fitting := self._fitting(rows):
            for row in fitting:
                if row.state == "loaded":
                    return row
            await trio.sleep(POLL_SECONDS)
            rows = await self._rows()
        return None

    async def _loaded(self) -> Resident:
        """Load it, own it, and wait until it is there."""
        try:
            self._load, lag = "open", self._list_lag
            self._owned_id = await self._server.load()
            lag = self._answered_lag
        except (AdapterConnectError, AdapterTimeoutError) as error:
            if isinstance(error, AdapterConnectError) and not error.sent:
                self._load = "none"
                raise
        except AdapterError as error:
            self._load = _after_refusal(error)
            if error.code == ALREADY_RUNNING and (resident := await self._coming(await self._rows())) is not None:
                return resident
            raise
        if self._owned_id is not None:
            self._load = "owned"
        resident = await self._find_own(lag)
        if resident is None:
            raise ModelLoadError(f"{self._name}: the load ended, and the model is not there")
        if differing := self._differing(resident):
            raise ModelLoadError(f"{self._name}: loaded with another {', '.join(differing)} than was asked for")
        return resident

    async def _unless_busy(self, find: Callable[[], Awaitable[Resident]]) -> Resident:
        """What ``find()`` returns; begun again, with a look at the list, while the server is busy. Then nothing has been loaded."""
        for pause in _pauses():
            try:
                return await find()
            except AdapterBusyError as error:
                self._load = "none"
                pause = max(pause, error.retry_after or 0)
            await trio.sleep(pause)
        raise AssertionError("there is always another pause")

    async def _find_own(self, lag: float) -> Resident | None:
        """Wait for the end of our load, and own what it brought. None: nothing. Raises ModelLoadError with its cause.

        ``lag``: how many seconds it may be missing from the list. What the server has told the id of is unloaded even if it never showed.
        """
        seen_loading = False
        missing_from = trio.current_time() + lag
        for pause in _pauses():
            row = self._own(rows := await self._rows())
            if row is not None and row.state == "loaded":
                self._load, self._owned_id, self.resident = "owned", row.id, row
                return row
            failed = next((r for r in rows if r.state == "failed" and self._is_ours(r)), None)
            if failed is not None:
                self._load = "none"
                raise ModelLoadError(f"{self._name}: {fit_to_show(failed.reason) or 'the load failed'}")
            over = seen_loading or self._load == "doubtful" or trio.current_time() >= missing_from
            if row is None and over:
                self._load = "none" if self._owned_id is None else "owned"
                return None
            seen_loading = seen_loading or row is not None
            await trio.sleep(pause)
        return None

    def _own(self, rows: Sequence[Resident]) -> Resident | None:
        """The instance that our load made: by its id; else the one that fits, as none did before. Two of them cannot be told apart."""
        if self._owned_id is not None:
            return _by_id(rows, self._owned_id)
        fitting = self._fitting(rows)
        if len(fitting) > 1:
            text = "several instances appeared during the load, and it is unknown which is ours"
            raise AdapterError(f"{self._name}: {text}")
        return fitting[0] if fitting else None

    def _is_ours(self, row: Resident) -> bool:
        return row.id == self._owned_id if self._owned_id is not None else self._server.fits(row)

    # ---- others ----

    async def _without_foreign(self, rows: Sequence[Resident]) -> Sequence[Resident]:
        """Wait until no other model is in memory, or unload them. Returns the list then."""
        while foreign := [row for row in rows if row.state != "failed" and row not in self._fitting(rows)]:
            if self._on_foreign == "evict":
                for row in foreign:
                    log.info("%s: unloads %s, which is foreign", self._name, fit_to_show(row.id))
                    await self._unload(row.id, as_ours=False)
            else:
                await trio.sleep(POLL_SECONDS)
            rows = await self._rows()
        return rows

    # ---- unloading ----

    async def _unload(self, resident_id: str, *, as_ours: bool) -> None:
        """Unload until the list says that it is gone. What may pass is asked again; ``as_ours``: only while it is as it was."""
        for pause in _pauses():
            row = _by_id(await self._rows(), resident_id)
            if row is None and as_ours and self.resident is None:  # never seen, but the server has told its id
                await self._ask_to_unload(resident_id)
            if row is None or row.state == "failed":
                return
            if as_ours and (differing := self._changed(row)):
                log.warning(
                    "%s: left loaded: it has another %s than what was loaded here", self._name, ", ".join(differing)
                )
                return
            if row.state != "unloading":
                await self._ask_to_unload(resident_id)
            if _by_id(await self._rows(), resident_id) is None:
                return
            await trio.sleep(pause)

    async def _ask_to_unload(self, resident_id: str) -> None:
        """Once. Whether it helped, the list tells; only what cannot pass is raised."""
        try:
            await self._server.unload(resident_id)
        except (ModelNotFoundError, ModelEvictedError):
            pass
        except AdapterError as error:
            if not _may_pass(error):
                raise

    async def _rows(self) -> Sequence[Resident]:
        """The list; asked again where it cannot be read for a reason that may pass."""
        while True:
            try:
                return await self._server.list()
            except AdapterError as error:
                if not _may_pass(error):
                    raise
            await trio.sleep(POLL_SECONDS)

    # ---- comparing ----

    def _fitting(self, rows: Sequence[Resident]) -> list[Resident]:
        """The instances of our model with our configuration, loaded or on their way in."""
        usable = [row for row in rows if row.state in ("loaded", "loading")]
        return [row for row in usable if self._server.fits(row) and not self._differing(row)]

    def _differing(self, row: Resident) -> list[str]:
        """What the instance has otherwise than was asked for. What the server does not tell is no difference: of some it tells little."""
        return _different(row.config, self._config)

    def _changed(self, row: Resident) -> list[str]:
        """What the instance has otherwise than when it was found."""
        before = self.resident
        return [] if before is None or before.id != row.id else _different(row.config, before.config)


def _different(config: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [name for name, value in wanted.items() if config.get(name, value) != value]


def _by_id(rows: Sequence[Resident], resident_id: str) -> Resident | None:
    return next((row for row in rows if row.id == resident_id), None)


def _after_refusal(error: AdapterError) -> Literal["none", "open", "doubtful"]:
    """What is known of a load that was answered by an error: an answer that makes no sense says nothing, one that may pass little."""
    if isinstance(error, AdapterProtocolError):
        return "open"
    return "doubtful" if _may_pass(error) else "none"


def _may_pass(error: AdapterError) -> bool:
    """Whether the same request may succeed later."""
    return error.retryable or isinstance(error, AdapterProtocolError) or (error.status or 0) >= 500


def _may_be_eviction(error: AdapterError) -> bool:
    """Whether an instance that is gone could be the cause."""
    if isinstance(error, (AdapterBusyError, ContextLengthError)):
        return False
    return not isinstance(error, AdapterRequestError) or isinstance(error, ModelNotFoundError)


def _not_evicted(error: AdapterError) -> AdapterError:
    """An error of a call whose instance is loaded as it was: then it says nothing of the instance, which can be used on."""
    if not isinstance(error, ModelEvictedError):
        return error
    if error.status is None:  # it said so in the middle of an answer, which is lost; the model has come back since
        error.broken = False
        return error
    return AdapterError(
        str(error), status=error.status, type=error.type, code=error.code, param=error.param, retryable=False
    )


def _pauses() -> Iterator[float]:
    """How long to wait between two looks: short at first, since most things are quick."""
    seconds = _FIRST_PAUSE_SECONDS
    while True:
        yield min(seconds, POLL_SECONDS)
        seconds *= 2


def _seconds(timeout: float | None) -> float:
    return float("inf") if timeout is None else timeout
