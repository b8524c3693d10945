"""Adapters that take the time they are told and remember what was done to them, and tasks that remember how their acquire ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import trio
import trio.testing

from statemachine import (
    AdapterConfig,
    CallOptions,
    Lease,
    Message,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
    StreamEvent,
)

What: TypeAlias = Literal["construct", "start", "started", "call", "shutdown", "down"]
"""``started`` and ``down`` are the successful ends of ``start`` and ``shutdown``."""


class Record(NamedTuple):
    """At ``time`` (virtual seconds), ``what`` happened to adapter ``number`` (from 0, in the order of construction)."""

    time: float
    what: What
    number: int
    model: str


@dataclass
class Script:
    """How the adapters of one model behave. Times in seconds; ``answer`` is events, seconds to sleep, and errors to raise."""

    load: float = 0.0
    unload: float = 0.0
    construct_error: BaseException | None = None
    start_error: BaseException | None = None
    shutdown_error: BaseException | None = None
    answer: Sequence[StreamEvent | float | BaseException] = (StreamEvent("token", "hi"), StreamEvent("end", "stop"))


class RecordingAdapter:
    """One adapter of a Recorder."""

    def __init__(self, recorder: Recorder, config: AdapterConfig, number: int) -> None:
        self.recorder = recorder
        self.config = config
        self.number = number

    def note(self, what: What) -> None:
        """Remember that ``what`` happened now."""
        self.recorder.records.append(Record(trio.current_time(), what, self.number, self.config.model_id))

    @property
    def script(self) -> Script:
        """How it behaves now."""
        return self.recorder.scripts.get(self.config.model_id, Script())

    async def start(self) -> None:
        self.note("start")
        await trio.sleep(self.script.load)
        if self.script.start_error is not None:
            raise self.script.start_error
        self.note("started")

    async def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        self.note("call")
        for item in self.script.answer:
            if isinstance(item, StreamEvent):
                yield item
            elif isinstance(item, BaseException):
                raise item
            else:
                await trio.sleep(item)

    async def shutdown(self) -> None:
        self.note("shutdown")
        await trio.sleep(self.script.unload)
        if self.script.shutdown_error is not None:
            raise self.script.shutdown_error
        self.note("down")


class Recorder:
    """A factory of adapters. ``scripts`` are by model; what is not scripted works and takes no time."""

    def __init__(self, **scripts: Script) -> None:
        self.scripts = scripts
        self.records: list[Record] = []
        self.made: list[RecordingAdapter] = []

    def __call__(self, config: AdapterConfig) -> RecordingAdapter:
        script = self.scripts.get(config.model_id, Script())
        if script.construct_error is not None:
            raise script.construct_error
        adapter = RecordingAdapter(self, config, len(self.made))
        self.made.append(adapter)
        adapter.note("construct")
        return adapter

    def story(self, *whats: What) -> list[tuple[What, str]]:
        """What happened to which model, in order; only ``whats`` if there are any."""
        return [(r.what, r.model) for r in self.records if not whats or r.what in whats]

    def times(self, what: What, model: str | None = None) -> list[float]:
        """When ``what`` happened (to ``model``)."""
        return [r.time for r in self.records if r.what == what and model in (None, r.model)]

    def most_live(self) -> int:
        """The largest number of adapters that were constructed and not down, at any moment."""
        live = most = 0
        for record in self.records:
            live += {"construct": 1, "down": -1}.get(record.what, 0)
            most = max(most, live)
        return most

    def each_shut_down_once(self) -> bool:
        """Whether every constructed adapter was shut down exactly once."""
        return sorted(r.number for r in self.records if r.what == "shutdown") == list(range(len(self.made)))


@dataclass
class Attempt:
    """How one acquire goes. Times in virtual seconds."""

    lease: Lease | None = None
    error: BaseException | None = None
    granted: float | None = None
    ended: float | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def run(self, manager: ProviderManager, config: RuntimeProviderConfig, seconds: float, **how: Any) -> None:
        """Acquire, hold for ``seconds``, release."""
        with self.scope:
            try:
                async with manager.acquire(config, **how) as self.lease:
                    self.granted = trio.current_time()
                    await trio.sleep(seconds)
            except Exception as error:
                self.error = error
        self.ended = trio.current_time()


async def spawn(
    nursery: trio.Nursery, manager: ProviderManager, config: RuntimeProviderConfig, seconds: float = 0.0, **how: Any
) -> Attempt:
    """Attempt to hold ``config`` in a task of its own; returns when everything that needs no time has happened."""
    attempt = Attempt()
    nursery.start_soon(lambda: attempt.run(manager, config, seconds, **how))
    await trio.testing.wait_all_tasks_blocked()
    return attempt


def want(provider: str, model: str, **options: Any) -> RuntimeProviderConfig:
    """A runtime configuration."""
    return RuntimeProviderConfig(provider, model, options)


def api_manager(
    recorder: Recorder, limit: int = 1, *, names: Iterable[str] = ("api",), **config: Any
) -> ProviderManager:
    """A manager of API providers that share ``recorder``."""
    return ProviderManager(
        ProviderManagerConfig([ProviderConfig(name, recorder, limit=limit) for name in names], **config)
    )


def local_manager(recorder: Recorder, parallel: int = 1, **config: Any) -> ProviderManager:
    """A manager of one local provider, ``local``."""
    return ProviderManager(
        ProviderManagerConfig([ProviderConfig("local", recorder, is_local=True, parallel=parallel)], **config)
    )
