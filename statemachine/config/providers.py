"""The configuration of a manager and its providers: checked when it is given, copied deeply, frozen, and shown without option values.

Times are in seconds. ``None`` means "never" for a time-out and "no bound" for a limit, except where a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from ..checks import check_bool, check_callable, check_count, check_timeout, check_word, option_names, plain_name, shown
from ..errors import ConfigurationError, UnknownProviderError
from ..frozen import FrozenDict
from ..policies import Gated, Policy, PolicyFactory
from ..policies.names import factory_of
from ..text import fit_to_show
from .adapter import AdapterConfig, AdapterFactory
from .identity import public_url, short
from .options import freeze_options
from .runtime import RuntimeProviderConfig

__all__ = ["UNSET", "Demand", "PoolKey", "ProviderConfig", "ProviderManagerConfig", "Unset"]


class PoolKey(NamedTuple):
    """Names the pool of a request: that of an API provider by its name, or a local slot by its endpoint (``"local"``: the shared slot)."""

    kind: Literal["provider", "slot"]
    name: str


SHARED_SLOT: Final = PoolKey("slot", "local")


class Unset:
    """The type of UNSET. It means "use the manager's default", where None already has another meaning."""

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"  # unpickled, it is the same object


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True, repr=False)
class Demand:
    """What one request needs, resolved. ``adapter`` is for the driver: the coordinator decides by the other fields."""

    pool: PoolKey
    provider: str
    model: str
    signature: str
    parallel: int
    adapter: AdapterConfig = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{fit_to_show(self.provider)}/{fit_to_show(self.model)}#{short(self.signature)}"

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class ProviderConfig:
    """A provider that may be chosen at run time.

    ``adapter`` is called with one :class:`AdapterConfig` for each new instance. Its class may declare ``is_local``, which this must
    agree with, and ``option_names``, which ``base_options`` must be among. ``limit`` is the largest number of live instances of
    an API provider, ``idle_timeout`` how long one may be idle before it is evicted (None: no limit); both default to the manager's
    and neither may be given for a local provider, whose slot holds one instance without an idle time-out. ``parallel`` is the number
    of leases that one instance of a *local* provider carries at once. ``base_options`` are overlaid, shallowly, by a request's
    ``adapter_options``. Raises ConfigurationError.
    """

    name: str
    adapter: AdapterFactory
    is_local: bool = False
    limit: int | None = None
    idle_timeout: float | Unset | None = UNSET
    parallel: int = 1
    base_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_name("name", self.name))
        check_callable("adapter", self.adapter, "with one AdapterConfig")
        check_bool("is_local", self.is_local)
        check_count("parallel", self.parallel)
        if self.limit is not None:
            check_count("limit", self.limit)
        if not isinstance(self.idle_timeout, Unset):
            check_timeout("idle_timeout", self.idle_timeout)
        if self.is_local and self.limit is not None:
            raise ConfigurationError("limit", "is for API providers: a local slot holds one instance", repr(self.limit))
        if self.is_local and not isinstance(self.idle_timeout, Unset):
            raise ConfigurationError(
                "idle_timeout", "is for API providers: a local instance has none", repr(self.idle_timeout)
            )
        if not self.is_local and self.parallel != 1:
            raise ConfigurationError(
                "parallel", "must be 1 for an API provider: raise its limit instead", repr(self.parallel)
            )
        object.__setattr__(self, "base_options", freeze_options(self.base_options, "base_options"))
        self._check_against_adapter()

    def _check_against_adapter(self) -> None:
        """Compare with what the adapter's class declares: ``is_local``, and the ``option_names`` that it takes."""
        adapter = _class_of(self.adapter)
        name = getattr(adapter, "__name__", "the adapter")
        declared = getattr(adapter, "is_local", None)
        if isinstance(declared, bool) and declared != self.is_local:
            rule = f"must be {declared}, as {name} declares: write is_local={declared}"
            raise ConfigurationError("is_local", rule, repr(self.is_local))
        known = getattr(adapter, "option_names", self.base_options)
        for option in self.base_options:
            if option not in known:
                rule = f"must be an option of {name}: {', '.join(sorted(known))}"
                raise ConfigurationError(f"base_options.{option}", rule, "an unknown option")

    def __repr__(self) -> str:
        kind = "local" if self.is_local else "API"
        return f"ProviderConfig({fit_to_show(self.name)!r}, {kind}, base options: {option_names(self.base_options)})"


@dataclass(frozen=True)
class ProviderManagerConfig:
    """The configuration of a manager. Raises ConfigurationError.

    ``on_limit``: a saturated API provider lets requests ``"wait"`` or makes them ``"raise"`` ProviderLimitError.
    ``on_conflict``: the same for local slots (LocalProviderConflictError, LocalInstanceBusyError). ``local_scope``:
    ``"all"`` local providers share one slot, or there is one slot per ``"endpoint"``. ``policy`` orders the queue of a local
    slot: a policy, its class or another factory, or a name such as ``"gated:2"``. The default serves the requests of one model together,
    with a bound on how often a request is overtaken. API providers are first come, first served. ``max_waiting`` bounds the requests
    that wait in one pool (0: none). ``acquire_timeout`` bounds a
    request from call to grant, ``start_timeout`` and ``shutdown_timeout`` an adapter's start and shutdown (None: unbounded),
    ``close_grace`` the time that leases and starts are given when the manager closes (None: as long as they need).
    ``check_invariants`` looks at every ``always`` property of :mod:`statemachine.properties` after each step, and raises
    InvariantError where one does not hold: a bug of ours.
    """

    available_providers: Sequence[ProviderConfig]
    max_parallel_api_instances_per_provider: int = 5
    api_instance_idle_timeout_seconds: float | None = 300
    on_limit: Literal["wait", "raise"] = "wait"
    on_conflict: Literal["wait", "raise"] = "raise"
    local_scope: Literal["all", "endpoint"] = "all"
    policy: PolicyFactory | Policy | str = Gated
    max_waiting: int | None = None
    acquire_timeout: float | None = None
    start_timeout: float | None = 600
    shutdown_timeout: float | None = 30
    close_grace: float | None = 30
    check_invariants: bool = False

    def __post_init__(self) -> None:
        _check_providers(self.available_providers)
        object.__setattr__(self, "available_providers", tuple(self.available_providers))
        check_count("max_parallel_api_instances_per_provider", self.max_parallel_api_instances_per_provider)
        check_word("on_limit", self.on_limit, ("wait", "raise"))
        check_word("on_conflict", self.on_conflict, ("wait", "raise"))
        check_word("local_scope", self.local_scope, ("all", "endpoint"))
        _check_policy(self.policy_factory)
        check_bool("check_invariants", self.check_invariants)
        if self.max_waiting is not None:
            check_count("max_waiting", self.max_waiting, least=0)
        for name in (
            "api_instance_idle_timeout_seconds",
            "acquire_timeout",
            "start_timeout",
            "shutdown_timeout",
            "close_grace",
        ):
            check_timeout(name, getattr(self, name))

    @property
    def policy_factory(self) -> PolicyFactory:
        """The factory of the policies of queues, as ``policy`` says."""
        return factory_of(self.policy)

    def provider(self, name: str) -> ProviderConfig:
        """Return the provider called ``name``. Raises UnknownProviderError."""
        for provider in self.available_providers:
            if provider.name == name:
                return provider
        raise UnknownProviderError(name, tuple(p.name for p in self.available_providers))

    def limit_of(self, provider: ProviderConfig) -> int:
        """Return the largest number of live instances in one pool of ``provider``."""
        if provider.is_local:
            return 1
        return self.max_parallel_api_instances_per_provider if provider.limit is None else provider.limit

    def idle_timeout_of(self, provider: ProviderConfig) -> float | None:
        """Return the seconds until an idle instance of ``provider`` is evicted; None: never."""
        if provider.is_local:
            return None
        if isinstance(provider.idle_timeout, Unset):
            return self.api_instance_idle_timeout_seconds
        return provider.idle_timeout

    def resolve(self, runtime: RuntimeProviderConfig) -> Demand:
        """Find the pool of ``runtime``, and overlay its options on the provider's. Raises UnknownProviderError, ConfigurationError."""
        if not isinstance(runtime, RuntimeProviderConfig):
            raise ConfigurationError("runtime_config", "must be a RuntimeProviderConfig", shown(runtime))
        provider = self.provider(runtime.provider_name)
        options = FrozenDict({**provider.base_options, **runtime.adapter_options})
        adapter = AdapterConfig(provider.name, runtime.model_id, options)
        pool = self._slot(provider, options) if provider.is_local else PoolKey("provider", provider.name)
        return Demand(pool, provider.name, runtime.model_id, adapter.config_signature, provider.parallel, adapter)

    def _slot(self, provider: ProviderConfig, options: Mapping[str, Any]) -> PoolKey:
        if self.local_scope == "all":
            return SHARED_SLOT
        url = options.get("base_url", getattr(_class_of(provider.adapter), "default_base_url", None))
        return PoolKey("slot", public_url(url) if isinstance(url, str) else provider.name)


def _class_of(factory: object) -> object:
    """Return the class, or other callable, under any ``functools.partial``."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory


_OF_A_POLICY: Final = tuple(name for name in dir(Policy) if not name.startswith("_"))


def _check_policy(factory: PolicyFactory) -> None:
    """Make one policy, so that an error shows now and not in the middle of a step. Raises ConfigurationError."""
    try:
        policy = factory()
    except ConfigurationError:
        raise
    except Exception as error:
        rule = "must be callable without arguments, and return a policy"
        raise ConfigurationError("policy", rule, f"one that raised {type(error).__name__}") from error
    for name in _OF_A_POLICY:
        if not hasattr(policy, name):
            raise ConfigurationError("policy", f"must return a policy, which has {name!r}", shown(policy))


def _check_providers(providers: object) -> None:
    if isinstance(providers, (str, bytes)) or not isinstance(providers, Sequence):
        raise ConfigurationError("available_providers", "must be a sequence of ProviderConfig", shown(providers))
    seen: set[str] = set()
    for index, provider in enumerate(providers):
        path = f"available_providers[{index}]"
        if not isinstance(provider, ProviderConfig):
            raise ConfigurationError(path, "must be a ProviderConfig", shown(provider))
        if provider.name in seen:
            raise ConfigurationError(f"{path}.name", "must be unique", repr(fit_to_show(provider.name)))
        seen.add(provider.name)
