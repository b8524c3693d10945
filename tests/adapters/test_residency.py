"""Residency over the four verbs of a server: every end of a load, whose it is, foreign models, and unloading. In virtual time."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock as Clock

from adapters.residency import Residency, Resident
from statemachine import AdapterConnectError, AdapterError, AdapterTimeoutError, ModelLoadError

_Words = list[str]
_Said = list[tuple[float, str]]


class Server:
    """Loads in the background, as llama.cpp does. ``script``: what happens to the row after ``load``, as (seconds, row or None)."""

    def __init__(self, *script: tuple[float, Resident | None]) -> None:
        self.rows: dict[str, Resident] = {}
        self.script = script
        self.tells_id = True
        self.said: _Said = []
        self.began = trio.current_time()
        self.nursery: trio.Nursery | None = None
        self.on_unload: Callable[[str], Awaitable[None]] | None = None
        self.on_load: Callable[[], None] = lambda: None
        self.away_until = -math.inf

    def away_for(self, seconds: float) -> Callable[[], None]:
        """What loses the answer of a load, and leaves no server listening for that long."""

        def away() -> None:
            self.away_until = trio.current_time() + seconds
            raise AdapterConnectError("lost")

        return away

    async def list(self) -> Sequence[Resident]:
        await trio.lowlevel.checkpoint()
        if trio.current_time() < self.away_until:
            error = AdapterConnectError("refused")
            error.sent = False
            raise error
        return tuple(self.rows.values())

    async def load(self) -> str | None:
        self.said.append((trio.current_time(), "load"))
        assert self.nursery is not None
        self.nursery.start_soon(self._play)
        await trio.lowlevel.checkpoint()
        self.on_load()
        return "m" if self.tells_id else None

    async def _play(self) -> None:
        for seconds, row in self.script:
            await trio.sleep(seconds)
            self.rows.pop("m", None)
            if row is not None:
                self.rows[row.id] = row

    async def unload(self, resident_id: str) -> None:
        self.said.append((trio.current_time(), f"unload {resident_id}"))
        if self.on_unload is not None:
            await self.on_unload(resident_id)
        else:
            self.rows.pop(resident_id, None)

    def fits(self, resident: Resident) -> bool:
        return resident.model == "m"

    @property
    def orders(self) -> _Words:
        return [what for _, what in self.said]


LOADING = Resident("m", "m", "loading")
LOADED = Resident("m", "m", "loaded", {"context_length": 4096})
FAILED = Resident("m", "m", "failed", reason="exit code 1\x1b[31m")
OTHER = Resident("n", "n")


@pytest.fixture
async def nursery_of(nursery: trio.Nursery) -> Callable[[Server], Server]:
    def adopt(server: Server) -> Server:
        server.nursery = nursery
        return server

    return adopt


def residency(server: Server, config: dict[str, Any] | None = None, **options: Any) -> Residency:
    return Residency(server, "s: m", options, config=config)


@pytest.mark.parametrize("tells_id", [True, False])
async def test_f27_a_load_that_ends_well_is_waited_for(autojump_clock: Clock, nursery_of: Any, tells_id: bool) -> None:
    server = nursery_of(Server((1, LOADING), (5, LOADED)))
    server.tells_id = tells_id
    life = residency(server)
    await life.start()
    assert life.resident == LOADED
    assert trio.current_time() - server.began == pytest.approx(6, abs=0.6)
    await life.shutdown()
    assert server.orders == ["load", "unload m"]
    assert server.rows == {}


@pytest.mark.parametrize("tells_id", [True, False])
@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ([(1, LOADING), (2, FAILED)], r"exit code 1\\x1b\[31m"),
        ([(3, FAILED)], "exit code 1"),
        ([(1, LOADING), (2, None)], "the model is not there"),
        ([(1, LOADING), (2, replace(LOADED, config={"context_length": 2048}))], "another context_length"),
    ],
)
async def test_f27_every_other_end_of_a_load_is_seen_with_its_cause(
    autojump_clock: Clock, nursery_of: Any, script: list[Any], cause: str, tells_id: bool
) -> None:
    server = nursery_of(Server(*script))
    server.tells_id = tells_id
    if not tells_id and "another" in cause:
        pytest.skip("without an id only what fits can be known to be ours")
    life = residency(server, {"context_length": 4096}, load_timeout=60)
    with pytest.raises(ModelLoadError, match=cause):
        await life.start()
    assert trio.current_time() - server.began < 5
    await life.shutdown()
    assert not any(row.state == "loaded" for row in server.rows.values())
    assert trio.current_time() - server.began < 6


async def test_a_load_that_never_ends_is_given_up_and_unloaded(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server((1, LOADING)))
    life = residency(server, load_timeout=20)
    with pytest.raises(AdapterTimeoutError, match="20 s"):
        await life.start()
    await life.shutdown()
    assert server.orders == ["load", "unload m"]


async def test_what_somebody_else_is_loading_is_waited_for_and_not_ours(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server())
    server.rows["m"] = LOADING
    life = residency(server)

    async def arrive() -> None:
        await trio.sleep(3)
        server.rows["m"] = LOADED

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        await life.start()
    await life.shutdown()
    assert (server.orders, list(server.rows)) == ([], ["m"])


async def test_foreign_models_are_left_alone_by_default(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server((1, LOADED)))
    server.rows["n"] = OTHER
    life = residency(server)
    await life.start()
    await life.shutdown()
    assert (server.orders, list(server.rows)) == (["load", "unload m"], ["n"])


async def test_foreign_models_are_waited_for(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server((1, LOADED)))
    server.rows["n"] = OTHER
    life = residency(server, on_foreign="wait")

    async def leave() -> None:
        await trio.sleep(7)
        server.rows.clear()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await life.start()
    assert server.said[0][0] - server.began >= 7
    await life.shutdown()
    server.rows["n"] = OTHER
    with pytest.raises(AdapterTimeoutError):
        await residency(server, on_foreign="wait", load_timeout=5).start()


@pytest.mark.parametrize("row", [OTHER, replace(LOADED, id="m:2", config={"context_length": 2048})])
async def test_foreign_models_are_evicted(autojump_clock: Clock, nursery_of: Any, row: Resident) -> None:
    """Another model, and the same one with another configuration."""
    server = nursery_of(Server((1, LOADED)))
    server.rows[row.id] = row

    async def slowly(resident_id: str) -> None:
        await trio.sleep(0.2)
        if server.orders.count(f"unload {resident_id}") == 2:
            server.rows.pop(resident_id)

    server.on_unload = slowly
    life = residency(server, {"context_length": 4096}, on_foreign="evict")
    await life.start()
    assert server.orders == [f"unload {row.id}"] * 2 + ["load"]
    assert list(server.rows) == ["m"]


async def test_an_unload_that_was_accepted_is_not_repeated_while_the_list_lags(
    autojump_clock: Clock, nursery_of: Any
) -> None:
    """A llama.cpp router would apply the second one to the model's next process."""
    server = nursery_of(Server((1, LOADED)))

    async def accepted(resident_id: str) -> None:
        async def gone() -> None:
            await trio.sleep(0.4)
            server.rows.clear()

        assert server.nursery is not None
        server.nursery.start_soon(gone)

    adapter = residency(server)
    await adapter.start()
    server.on_unload = accepted
    await adapter.shutdown()
    assert server.orders == ["load", "unload m"]


async def test_f25_an_unload_that_is_lost_is_repeated_and_one_under_way_is_not(
    autojump_clock: Clock, nursery_of: Any
) -> None:
    server = nursery_of(Server((0, LOADED)))
    life = residency(server)
    await life.start()

    async def lost_then_slow(resident_id: str) -> None:
        if server.orders.count("unload m") < 3:
            raise AdapterConnectError("lost")
        server.rows["m"] = replace(LOADED, state="unloading")
        assert server.nursery is not None
        server.nursery.start_soon(gone_later)

    async def gone_later() -> None:
        await trio.sleep(2)
        server.rows.clear()

    server.on_unload = lost_then_slow
    await life.shutdown()
    assert server.orders == ["load", *["unload m"] * 3]
    assert server.rows == {}


@pytest.mark.parametrize("comes", [False, True], ids=["is lost", "goes on"])
async def test_a_load_whose_server_was_away_is_waited_for_a_moment(
    autojump_clock: Clock, nursery_of: Any, comes: bool
) -> None:
    """Where the list does not show loads on their way, nothing else tells that a server that ended has lost one."""
    server = nursery_of(Server((8, LOADED if comes else None)))
    server.on_load = server.away_for(4)
    life = residency(server)
    if comes:
        await life.start()
        assert life.owned
    else:
        with pytest.raises(ModelLoadError, match="the model is not there"):
            await life.start()
        assert trio.current_time() - server.began == pytest.approx(14, abs=1.5)
    await life.shutdown()
    assert server.rows == {}


async def test_a_load_whose_server_does_not_come_back_is_given_up(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server())
    server.on_load = server.away_for(3600)
    life = residency(server)
    with pytest.raises(AdapterConnectError):
        await life.start()
    assert trio.current_time() - server.began == pytest.approx(10, abs=1)
    with pytest.raises(AdapterConnectError):
        await life.shutdown()  # it may be left behind


async def test_two_newcomers_cannot_be_told_apart(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server())
    server.tells_id = False
    life = residency(server)
    server.script = ((0, LOADED), (0, replace(LOADED, id="m:2")))

    async def both() -> None:
        server.rows.update({"m": LOADED, "m:2": replace(LOADED, id="m:2")})

    server._play = both
    with pytest.raises(AdapterError, match="unknown which is ours"):
        await life.start()


async def test_shutdown_without_a_start_says_nothing(autojump_clock: Clock, nursery_of: Any) -> None:
    server = nursery_of(Server())
    await residency(server).shutdown()
    assert server.said == []
