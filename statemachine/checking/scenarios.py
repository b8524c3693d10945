"""The scenarios that the checker explores: the standard ones on every run of CI, the large ones to prove more."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from ..config.adapter import Adapter, AdapterConfig
from ..config.providers import ProviderConfig, ProviderManagerConfig
from ..policies import Affinity, Fair, Fifo, Gated, PolicyFactory
from .experienced import Experienced
from .scenario import Scenario, Wish
from .system import REQUEST_OVERTAKEN

__all__ = ["COMPONENTS", "LARGE", "NONE_OR_SOME", "STANDARD"]

TIMEOUT: Final = 1.0  # any number: time does not pass

NONE_OR_SOME: Final = (0.0, 0.001)  # seconds: a quantum of Fair's
NONE_OR_PAUSE: Final = (0.0, 0.016)  # seconds: what Experienced takes for little or for much, and as long as it pauses


def _never_called(config: AdapterConfig) -> Adapter:
    raise AssertionError("the checker runs no adapter")


def _local(*, parallel: int = 1, policy: PolicyFactory = Fifo, **options: Any) -> ProviderManagerConfig:
    provider = ProviderConfig("local", _never_called, is_local=True, parallel=parallel)
    return ProviderManagerConfig([provider], policy=policy, **options)


def _api(limit: int, **options: Any) -> ProviderManagerConfig:
    return ProviderManagerConfig([ProviderConfig("api", _never_called, limit=limit)], **options)


def _live(
    name: str,
    policy: PolicyFactory,
    *,
    busy: int = 2,
    durations: tuple[float, ...] = (0.0,),
    shows: tuple[str, ...] = (),
) -> Scenario:
    """Return a scenario of liveness: ``busy`` tasks of agent x ask for model a without end, and a task of agent y asks for b.

    Beside them, one request of agent x for b has to be served.
    """
    wishes = (
        Wish("local", "a", busy, renew=True, agent="x"),
        Wish("local", "b", 1, renew=True, agent="y"),
        Wish("local", "b", 1, watched=True, agent="x"),
    )
    config = _local(on_conflict="wait", policy=policy)
    shows = ("succession", "failure_with_waiters", *shows)
    return Scenario(name, config, wishes, shows, closing=False, durations=durations)


def _learns(name: str, policy: PolicyFactory) -> Scenario:
    """Return a scenario with two agents and two models, in which each lease or load takes no time or one millisecond."""
    return Scenario(
        name,
        _local(on_conflict="wait", policy=policy, parallel=2),
        (Wish("local", "a", 1, agent="x"), Wish("local", "a", 1, agent="y"), Wish("local", "b", 2, agent="x")),
        ("succession", "failure_with_waiters", REQUEST_OVERTAKEN),
        closing=False,
        durations=NONE_OR_SOME,
    )


STANDARD: Final = (
    Scenario(
        "api-wait",
        _api(2),
        (Wish("api", "a", 2, timeout=TIMEOUT), Wish("api", "b", 1), Wish("api", "c", 1)),
        (
            "saturation",
            "eviction_for_room",
            "failure_with_waiters",
            "switch",
            "cancel_between_grant_and_delivery",
            "close",
        ),
    ),
    Scenario(
        "api-raise", _api(1, on_limit="raise"), (Wish("api", "a", 2), Wish("api", "b", 2)), ("contention", "close")
    ),
    Scenario(
        "slot-raise",
        _local(parallel=2),
        (Wish("local", "a", 3), Wish("local", "b", 2)),
        ("contention", "eviction_for_room", "succession", "failure_with_joiners", "close"),
    ),
    Scenario(
        "slot-wait",
        _local(on_conflict="wait"),
        (Wish("local", "a", 2, timeout=TIMEOUT), Wish("local", "b", 1, priority=1), Wish("local", "c", 1)),
        ("saturation", "failure_with_waiters", "switch", "cancel_between_grant_and_delivery", "close"),
    ),
    Scenario(
        "slot-parallel",
        _local(on_conflict="wait", parallel=2),
        (Wish("local", "a", 2, owner="t"), Wish("local", "a", 1), Wish("local", "b", 1, priority=1)),
        ("contention", "succession", "close"),
    ),
    Scenario(
        "slot-below",
        _local(on_conflict="wait", parallel=2),
        (
            Wish("local", "a", 1, owner="p"),
            Wish("local", "a", 1, below="p"),
            Wish("local", "b", 1, below="p", priority=1),
            Wish("local", "a", 1),
        ),
        ("contention", "refused_below_a_holder", "refused_in_the_queue", "failure_with_joiners", "close"),
    ),
    Scenario(
        "api-below",
        _api(2),
        (Wish("api", "a", 2, owner="p"), Wish("api", "b", 1, below="p")),
        ("contention", "refused_below_a_holder", "saturation", "close"),
    ),
    Scenario(
        "slot-gated",
        _local(on_conflict="wait", policy=Gated),
        (Wish("local", "a", 4), Wish("local", "b", 2), Wish("local", "c", 1)),
        ("succession", REQUEST_OVERTAKEN),
        faults=False,
        closing=False,
    ),
    Scenario(
        "slot-gated-faults",
        _local(on_conflict="wait", policy=partial(Gated, 1), parallel=2),
        (Wish("local", "a", 2), Wish("local", "b", 2)),
        ("succession", "failure_with_waiters", REQUEST_OVERTAKEN),
        closing=False,
    ),
    Scenario(
        "slot-affinity",
        _local(on_conflict="wait", policy=partial(Affinity, 1)),
        (Wish("local", "a", 3), Wish("local", "b", 2)),
        ("succession", "failure_with_waiters", REQUEST_OVERTAKEN),
        closing=False,
    ),
    Scenario(
        "slot-cost-aware",
        _local(on_conflict="wait", policy=Experienced),
        (Wish("local", "a", 3), Wish("local", "b", 1)),
        ("pause", "failure_with_waiters", REQUEST_OVERTAKEN, "close"),
        durations=NONE_OR_PAUSE,
    ),
    Scenario(
        "pause-full",
        _local(on_conflict="wait", policy=Experienced, max_waiting=1),
        (Wish("local", "a", 2), Wish("local", "b", 1), Wish("local", "b", 1, priority=1)),
        ("pause", "queue_full", REQUEST_OVERTAKEN, "close"),
        durations=NONE_OR_PAUSE,
    ),
    Scenario(
        "live-api",
        _api(1),
        (
            Wish("api", "a", 1, renew=True),
            Wish("api", "b", 1, renew=True),
            Wish("api", "a", 1, watched=True),
            Wish("api", "b", 1, watched=True),
        ),
        ("succession", "failure_with_waiters"),
        closing=False,
    ),
    Scenario(
        "live-api-2",
        _api(2),
        (Wish("api", "b", 1, renew=True), Wish("api", "b", 1, watched=True)),
        closing=False,
    ),
    Scenario(
        "history-api",
        _api(1, max_waiting=1),
        (Wish("api", "a", 2, timeout=TIMEOUT), Wish("api", "b", 1)),
        ("saturation", "switch", "cancel_between_grant_and_delivery", "close"),
        history=True,
    ),
    Scenario(
        "history-slot",
        _local(on_conflict="wait", parallel=2),
        (Wish("local", "a", 2, timeout=TIMEOUT), Wish("local", "a", 1, priority=1), Wish("local", "b", 1, priority=1)),
        ("failure_with_waiters", "succession", "cancel_between_grant_and_delivery", "close"),
        history=True,
    ),
    Scenario("history-drain", _local(parallel=3), (Wish("local", "a", 3),), ("saturation", "close"), history=True),
    Scenario(
        "full-api",
        _api(2, max_waiting=1),
        (Wish("api", "a", 2), Wish("api", "b", 2)),
        ("queue_full", "failure_with_waiters", "close"),
    ),
    Scenario(
        "full-slot",
        _local(on_conflict="wait", parallel=3, max_waiting=1),
        (Wish("local", "a", 3), Wish("local", "b", 2, priority=1)),
        ("queue_full", "overfull_by_return", "close"),
    ),
    _live("live-fifo", Fifo),
    _live("live-gated", Gated),
    _live("live-gated-extra", partial(Gated, 1)),
    _live("live-affinity", partial(Affinity, 1)),
    _learns("slot-fair", partial(Fair, 0, 1)),
    _live("live-cost-aware", Experienced, busy=1, shows=("pause",)),
    _live("live-fair", partial(Fair, 0, 1), busy=1, durations=NONE_OR_SOME),
)
"""Small enough to be explored whole in seconds; their state counts are pinned in the tests."""


def _endless(name: str, config: ProviderManagerConfig, times: tuple[int, int, int], shows: tuple[str, ...]) -> Scenario:
    """Return a scenario with three configurations: ``times`` requests for each at once, without end, any of which may time out."""
    provider = config.available_providers[0].name
    wishes = tuple(Wish(provider, m, n, timeout=TIMEOUT, renew=True) for m, n in zip("abc", times, strict=True))
    return Scenario(name, config, wishes, shows)


def _waits(name: str, config: ProviderManagerConfig, times: tuple[int, int, int]) -> Scenario:
    """Return a scenario with three configurations: ``times`` tasks that ask for each without end, and one request that must be served."""
    provider = config.available_providers[0].name
    renewed = tuple(Wish(provider, coordinator, n, renew=True) for coordinator, n in zip("abc", times, strict=True))
    shows = ("failure_with_waiters", "switch")
    return Scenario(name, config, (*renewed, Wish(provider, "c", 1, watched=True)), shows, closing=False)


def _side_by_side() -> Scenario:
    """Return a scenario with an API pool and a local slot in one coordinator."""
    providers = [*_api(1).available_providers, *_local().available_providers]
    config = ProviderManagerConfig(providers, on_conflict="wait", policy=Fifo)
    wishes = tuple(wish for component in COMPONENTS for wish in component.wishes)
    return Scenario("side-by-side", config, wishes, ("saturation", "eviction_for_room", "switch"), closing=False)


COMPONENTS: Final = (
    Scenario(
        "component-api", _api(1), (Wish("api", "a", 1), Wish("api", "b", 1)), ("eviction_for_room",), closing=False
    ),
    Scenario(
        "component-slot",
        _local(on_conflict="wait"),
        (Wish("local", "a", 1), Wish("local", "b", 1)),
        ("eviction_for_room",),
        closing=False,
    ),
)
"""The parts of ``side-by-side``. It has as many states as the product of these, which shows that the pools do not influence each other."""

LARGE: Final = (
    _endless("large-api", _api(2), (3, 3, 2), ("saturation", "eviction_for_room", "switch", "close")),
    _waits("large-live-api", _api(2), (2, 1, 1)),
    _endless("large-slot-wait", _local(on_conflict="wait"), (3, 3, 3), ("failure_with_waiters", "switch", "close")),
    _endless(
        "large-slot-wait-2",
        _local(on_conflict="wait", parallel=2),
        (3, 3, 3),
        ("failure_with_waiters", "switch", "close"),
    ),
    _endless("large-slot-raise", _local(), (3, 3, 3), ("contention", "eviction_for_room", "close")),
    _endless("large-slot-raise-2", _local(parallel=2), (3, 3, 3), ("contention", "eviction_for_room", "close")),
    _waits("large-live-slot", _local(on_conflict="wait"), (2, 2, 1)),
    _waits("large-live-slot-2", _local(on_conflict="wait", parallel=2), (2, 2, 1)),
    _live("large-live-cost-aware", Experienced, busy=1, durations=NONE_OR_PAUSE, shows=("pause",)),
    _live("large-live-fair", partial(Fair, 1, 1), durations=NONE_OR_SOME),
    Scenario(
        "large-pause-priority",
        _local(on_conflict="wait", policy=Experienced, parallel=2),
        (Wish("local", "a", 2), Wish("local", "b", 1), Wish("local", "a", 1, priority=1)),
        ("pause", REQUEST_OVERTAKEN, "close"),
        durations=NONE_OR_PAUSE,
    ),
    *COMPONENTS,
    _side_by_side(),
)
"""The longest first. Each component by itself, for three configurations, with every fault and close at any moment: requests without end, at
most nine at once on a slot and eight on an API pool. Waiting under fairness. And two pools side by side."""
