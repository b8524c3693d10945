"""Plain threads with a manager: the same rules as in trio."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from statemachine import (
    AcquireTimeoutError,
    AdapterConnectError,
    CallOptions,
    ConfigurationError,
    LeaseReleasedError,
    LocalProviderConflictError,
    ManagerClosedError,
    Observer,
    ProviderManager,
    StateManager,
    SyncProviderManager,
    SyncReasoningEngine,
    Transition,
)

from .world import PROMPT, World, check_threads_have_ended, want

ROOT = Path(__file__).parents[2]


@contextmanager
def managed(*observers: Observer, **config: Any) -> Iterator[tuple[SyncProviderManager, World]]:
    """A manager in its block, and a look at what is left after it."""
    world = World()
    with SyncProviderManager(world.config(**config), observers=observers) as manager:
        yield manager, world
    check_threads_have_ended()
    world.check_nothing_is_left()


def test_a_call_streams_and_frees_its_lease() -> None:
    with managed() as (manager, _):
        with SyncReasoningEngine(manager).call(PROMPT, CallOptions(want("a"))) as stream:
            assert not stream.lease.released
            assert [event.data for event in stream] == ["0 ", "1 ", "2 ", "stop"]
            assert stream.lease.released
        assert manager.statistics().slots["local"].state == "resident"


def test_a_stream_that_is_left_is_closed() -> None:
    with managed() as (manager, world):
        with SyncReasoningEngine(manager).call(PROMPT, CallOptions(want("a"))) as stream:
            next(stream)
            stream.close()
            assert world.live[0].calls == 0
            with pytest.raises(trio.ClosedResourceError):
                next(stream)


def test_threads_wait_for_each_other() -> None:
    with managed() as (manager, world):

        def agent(model: str) -> list[str]:
            with manager.acquire(want(model), agent=model) as lease:
                with closing(lease.adapter.call(PROMPT, CallOptions())) as events:
                    for _ in events:
                        pass
                return [adapter.model for adapter in world.live]

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(agent, "abcabc")) == [[model] for model in "abcabc"]
        assert manager.statistics().counters.grants == 6


def test_who_would_wait_for_itself_is_refused() -> None:
    with managed() as (manager, _):
        with manager.acquire(want("a")):
            with pytest.raises(LocalProviderConflictError):
                manager.get_adapter(want("b"))


def test_a_time_out_is_told() -> None:
    with managed() as (manager, _):
        lease = manager.get_adapter(want("a"))
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(AcquireTimeoutError):
                pool.submit(manager.get_adapter, want("b"), timeout=0.01).result()
        lease.release()


def test_a_lease_may_be_released_by_another_thread() -> None:
    with managed() as (manager, _):
        lease = manager.get_adapter(want("a"))
        thread = threading.Thread(target=lease.release)
        thread.start()
        thread.join()
        assert lease.released
        with pytest.raises(LeaseReleasedError):
            lease.adapter  # noqa: B018
        with manager.acquire(want("b")):
            pass


def test_a_broken_instance_is_replaced() -> None:
    with managed() as (manager, world):
        with pytest.raises(AdapterConnectError):
            with manager.acquire(want("a")):
                raise AdapterConnectError("the instance is gone", broken=True)
        with manager.acquire(want("a")):
            assert world.made == 2


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """SIGINT as in a program in the foreground; one that a shell has put into the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_cancels_the_call() -> None:
    """As Ctrl-C does. The interrupted thread waits until the call has ended, so nothing is granted to a caller that is gone."""

    waiting = threading.get_ident()

    def interrupt_who_waits(change: Transition) -> None:
        if change.machine == "request" and change.dest == "waiting":
            signal.pthread_kill(waiting, signal.SIGINT)

    with managed(interrupt_who_waits) as (manager, _), ThreadPoolExecutor(1) as pool:
        lease = pool.submit(manager.get_adapter, want("a")).result()
        with pytest.raises(KeyboardInterrupt):
            manager.get_adapter(want("b"))
        assert manager.statistics().slots["local"].waiting == 0
        lease.release()


def test_a_thread_of_the_state_manager_chooses_its_provider() -> None:
    with managed() as (manager, _):
        state = StateManager()
        manager.run(state.set_thread_config_value, "t", "runtime_provider_config", want("a"))
        with SyncReasoningEngine(manager, state).call(PROMPT, CallOptions(thread_id="t")) as stream:
            assert stream.lease.model_id == "a"


def test_after_its_life_a_manager_says_so() -> None:
    with managed() as (manager, _):
        pass
    for use in (lambda: manager.get_adapter(want("a")), manager.statistics, manager.__enter__):
        with pytest.raises(ManagerClosedError):
            use()


def test_an_exception_leaves_bare_and_skips_the_grace() -> None:
    with pytest.raises(KeyError, match="mine"):
        with managed(close_grace=None) as (manager, _):
            lease = manager.get_adapter(want("a"))
            raise KeyError("mine")
    check_threads_have_ended()
    assert lease.released


def test_an_observer_that_waits_for_the_background_thread_is_told() -> None:
    caught: list[RuntimeError] = []
    with managed() as (manager, _):

        async def wait_for_itself() -> None:
            with pytest.raises(RuntimeError, match="wait for itself") as info:
                manager.get_adapter(want("a"))
            caught.append(info.value)

        manager.run(wait_for_itself)
    assert caught


def test_an_engine_refuses_a_manager_of_another_kind() -> None:
    with pytest.raises(ConfigurationError, match="manager"):
        SyncReasoningEngine(ProviderManager(World().config()))  # type: ignore[arg-type]


def test_a_thread_that_ends_takes_its_twin_with_it() -> None:
    with managed() as (manager, _):

        def work() -> None:
            with manager.acquire(want("a")):
                pass

        def count() -> int:
            return len(manager.host.background.nursery.child_tasks)

        before = manager.host.background.read(count)
        for _ in range(5):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        manager.run(trio.testing.wait_all_tasks_blocked)
        assert manager.host.background.read(count) == before


def _script(text: str, *, fails: bool = False) -> str:
    head = "from tests.bridge.world import *\nfrom tests.bridge.world import PROMPT\nfrom statemachine import *\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) is fails, done.stderr
    return done.stdout + done.stderr


def test_a_script_that_never_closes_its_manager_ends_and_unloads() -> None:
    output = _script(
        "world = World()\n"
        "manager = SyncProviderManager(world.config())\n"
        "manager.__enter__()\n"
        "lease = manager.get_adapter(want('a'))\n"
        "import atexit\n"
        "atexit.register(lambda: print('made', world.made, 'shut down', world.shut_down, 'released', lease.released))\n"
    )
    assert output == "made 1 shut down 1 released True\n"


def test_threads_that_outlive_the_main_thread_keep_their_manager() -> None:
    output = _script(
        "world = World()\n"
        "manager = SyncProviderManager(world.config())\n"
        "def work():\n"
        "    threading.main_thread().join()\n"
        "    with manager, SyncReasoningEngine(manager).call(PROMPT, CallOptions(want('a'))) as stream:\n"
        "        print(*(event.data for event in stream))\n"
        "threading.Thread(target=work).start()\n"
    )
    assert output == "0  1  2  stop\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_is_told_and_can_open_its_own() -> None:
    output = _script(
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"  # newer versions of Python warn of a fork with threads
        "world = World()\n"
        "with SyncProviderManager(world.config()) as manager:\n"
        "    with manager.acquire(want('a')):\n"
        "        pass\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        try:\n"
        "            manager.get_adapter(want('a'))\n"
        "        except ManagerClosedError as error:\n"
        "            print(error, flush=True)\n"
        "        with SyncProviderManager(World().config()) as own:\n"
        "            with own.acquire(want('b')) as lease:\n"
        "                print(lease.model_id, flush=True)\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    with manager.acquire(want('c')) as lease:\n"
        "        print(lease.model_id)\n"
    )
    assert output.splitlines() == ["it was opened before a fork, in another process: open another one here", "b", "c"]


def test_an_application_may_be_stopped_while_threads_wait() -> None:
    """A daemon thread waits for a lease that will not be released; the interpreter's exit rejects it."""
    output = _script(
        "world = World()\n"
        "manager = SyncProviderManager(world.config())\n"
        "manager.__enter__()\n"
        "lease = manager.get_adapter(want('a'))\n"
        "def wait():\n"
        "    try:\n"
        "        manager.get_adapter(want('b'))\n"
        "    except ManagerClosedError:\n"
        "        print('rejected', flush=True)\n"
        "waiting = threading.Thread(target=wait, daemon=True)\n"
        "waiting.start()\n"
        "import atexit\n"
        "atexit.register(waiting.join, 10)  # the interpreter itself would not let it finish its line\n"
        "import time\n"
        "while not manager.statistics().slots['local'].waiting: time.sleep(0.001)\n"
    )
    assert "rejected" in output
