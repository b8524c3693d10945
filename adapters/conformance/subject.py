"""What is tested: an adapter, what it declares it can do, and a back door to its server.

Without a back door the suite sees what the adapter says, and this process. With one it sees what the adapter did.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, TypeAlias

from statemachine.config.adapter import Adapter, AdapterConfig
from statemachine.config.call import Message
from statemachine.errors import ConfigurationError

__all__ = ["Capabilities", "Heard", "PlantFault", "Subject", "SubjectFactory", "subject_factory", "target"]

PlantFault: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""Entering it makes the server do wrong; leaving it heals the server."""


class Heard(NamedTuple):
    """What a server has understood of a request. ``model``: which one answered it, as ``Subject.models`` names it. ``texts``: the texts
    of its messages in their order, those that call tools included. None: it cannot be told."""

    model: str | None
    texts: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the adapter declares. What it does not declare is not asked of it: those rules are skipped, and say so.

    ======================= =========================================================================================
    ``local``               its server holds one model at a time
    ``loads_models``        ``start`` loads the model, and ``shutdown`` unloads what was loaded
    ``needs_start``         a call before ``start`` is an error
    ``parallel``            how many calls one instance takes at once
    ``tool_calls``          an offered tool is called
    ``repeatable``          the same prompt gets the same answer
    ``deterministic_clock`` all its waiting is trio's, so that time can be virtual: no threads, no sockets
    ``silence_seconds``     how long its server may be silent before a call or a start fails, with the subject's options
    ``shutdown_seconds``    how long a shutdown may take, whatever the server does
    ``buffer_pieces``       how many pieces of an answer may be on their way to a reader that has stopped reading
    ``secret_options``      which of the subject's options are credentials
    ======================= =========================================================================================
    """

    local: bool = False
    loads_models: bool = False
    needs_start: bool = False
    parallel: int = 1
    tool_calls: bool = False
    repeatable: bool = False
    deterministic_clock: bool = False
    silence_seconds: float | None = None
    shutdown_seconds: float = 30
    buffer_pieces: int | None = None
    secret_options: tuple[str, ...] = ()


class Subject:
    """Subclass it: ``adapter`` is all that must be written. A new one is made for every program.

    ``models`` are two that the server has (one is enough for an adapter without a manager in front); ``options`` and
    ``parameters`` go to every adapter and every call.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    models: ClassVar[Sequence[str]] = ("model",)
    options: ClassVar[Mapping[str, Any]] = {}
    parameters: ClassVar[Mapping[str, Any]] = {}

    def adapter(self, config: AdapterConfig) -> Adapter:
        """Construct the adapter."""
        raise TypeError(f"{type(self).__name__} must define adapter(config)")

    @property
    def serves(self) -> bool:
        """Whether it brings its own server, as against one that runs elsewhere, or nowhere."""
        return type(self).serving is not Subject.serving

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Run the server for the length of one program. The default runs none: there is none, or it runs elsewhere."""
        yield

    # ---- the back door: None, or nothing, where it cannot tell ----

    async def probe_resident(self) -> Collection[str] | None:
        """Return the ids of what is loaded on the server."""
        return None

    def connections(self) -> int | None:
        """Return how many calls the server is answering."""
        return None

    def requests(self) -> int | None:
        """Return how many requests of any kind have reached the server."""
        return None

    def pieces_sent(self) -> int | None:
        """Return how many pieces of answers the server has sent."""
        return None

    def expected_text(self, prompt: Sequence[Message]) -> str | None:
        """Return what the tokens of the answer to ``prompt``, which has just been given, must join to: as far as the server has sent it."""
        return None

    def heard(self, prompt: Sequence[Message]) -> Heard | None:
        """Return what the server has understood of the last request whose prompt was ``prompt``."""
        return None

    def server_faults(self) -> Mapping[str, PlantFault]:
        """Return the faults that can be planted, by their names in :mod:`adapters.conformance.faults`."""
        return {}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values that must not be shown."""
        return tuple(str(self.options[name]) for name in self.capabilities.secret_options if self.options.get(name))


SubjectFactory: TypeAlias = Callable[[], Subject]


@dataclass(frozen=True)
class _PlainFactory:
    """Makes subjects of a factory that takes an AdapterConfig, without a back door."""

    factory: Callable[[AdapterConfig], Adapter]
    capabilities: Capabilities
    models: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Subject:
        subject = Subject()
        given: dict[str, Any] = {
            "adapter": self.factory,
            "capabilities": self.capabilities,
            "models": self.models,
            "options": self.options,
        }
        vars(subject).update(given)
        return subject


def subject_factory(
    given: Any,
    *,
    capabilities: Mapping[str, Any] | None = None,
    models: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> SubjectFactory:
    """Make a subject for each program of a Subject class, or of what makes an adapter of an AdapterConfig.

    The latter may have an attribute ``capabilities``, or ``is_local`` alone; what is given here is overlaid. Raises
    ConfigurationError.
    """
    if hasattr(given, "server_faults"):
        if capabilities or models or options:
            raise ConfigurationError("capabilities, models, options", "must be said by the Subject itself", "more")
        return given  # type: ignore[no-any-return]
    if not callable(given):
        raise ConfigurationError("target", "must be a Subject class, or a factory of adapters", type(given).__name__)
    declared = getattr(given, "capabilities", Capabilities(local=getattr(given, "is_local", False)))
    try:
        declared = replace(declared, **(capabilities or {}))
    except TypeError:
        known = ", ".join(Capabilities.__slots__)
        raise ConfigurationError(
            "capabilities", f"must be among {known}", ", ".join(sorted(capabilities or {}))
        ) from None
    return _PlainFactory(given, declared, tuple(models) or ("model",), dict(options or {}))


def target(name: str) -> Any:
    """Import what ``"package.module:name"`` names. Raises ConfigurationError."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise ConfigurationError("target", "must be package.module:name", repr(name))
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError("target", "must be importable", f"{name!r} ({error})") from error
    return found
