"""Every error the library raises, in one tree.

::

    ProviderManagerError
    ├── ConfigurationError            the caller's fault: field, value, rule
    ├── UnknownProviderError          the caller's fault: no such provider
    ├── ManagerClosedError            the caller's fault: before, or after, the manager's life
    ├── WrongEventLoopError           the caller's fault: not called from a trio task
    ├── LeaseReleasedError            the caller's fault: the lease is over
    ├── ContentionError               what was asked for is held by others; trying later may help
    │   ├── ProviderLimitError
    │   ├── QueueFullError
    │   ├── AcquireTimeoutError
    │   ├── LocalProviderConflictError
    │   └── LocalInstanceBusyError
    ├── ThreadStoreError              the file of thread configurations cannot be used
    ├── JournalError                  the file is no journal, or cannot be read
    ├── AdapterInstantiationError     the adapter's fault: it could not be constructed or started
    ├── InvariantError                a bug of ours, found by check_invariants
    └── AdapterError                  the adapter's fault, while it was used
        ├── AdapterConnectError       no answer, or the connection was lost
        ├── AdapterTimeoutError       the server took too long
        ├── AdapterProtocolError      the server said something that makes no sense
        │   └── TruncatedStreamError  a stream stopped without its closing event
        ├── AdapterRequestError       the server refuses the request as it stands
        │   ├── AuthenticationError
        │   ├── ModelNotFoundError
        │   └── ContextLengthError
        ├── ModelLoadError            the server could not load the model
        ├── ModelEvictedError         the server dropped the model, perhaps in mid-answer
        └── AdapterBusyError          the server has no capacity just now

Any other bug of ours shows as ``transitions.MachineError`` (an illegal trigger) or ``AssertionError``, and is
not part of this tree. No message holds an option's value: options may be credentials.
"""

from __future__ import annotations

from typing import Any, ClassVar

from .text import fit_to_show

__all__ = [
    "AcquireTimeoutError",
    "AdapterBusyError",
    "AdapterConnectError",
    "AdapterError",
    "AdapterInstantiationError",
    "AdapterProtocolError",
    "AdapterRequestError",
    "AdapterTimeoutError",
    "AuthenticationError",
    "ConfigurationError",
    "ContentionError",
    "ContextLengthError",
    "InvariantError",
    "JournalError",
    "LeaseReleasedError",
    "LocalInstanceBusyError",
    "LocalProviderConflictError",
    "ManagerClosedError",
    "ModelEvictedError",
    "ModelLoadError",
    "ModelNotFoundError",
    "ProviderLimitError",
    "ProviderManagerError",
    "QueueFullError",
    "ThreadStoreError",
    "TruncatedStreamError",
    "UnknownProviderError",
    "WrongEventLoopError",
]


class ProviderManagerError(Exception):
    """Base of every error of this library. All of them survive pickle, copy and deepcopy with their data (causes stay behind)."""

    cure: ClassVar[str] = "See the subclass."
    """What to do about it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(
    kind: type[ProviderManagerError], arguments: tuple[Any, ...], data: dict[str, Any]
) -> ProviderManagerError:
    """Make the error again, without calling its constructor, which takes other arguments than those of the message."""
    error = kind.__new__(kind, *arguments)
    error.args = arguments  # OSError, the base of TimeoutError, leaves them to its constructor
    error.__dict__.update(data)
    return error


class ConfigurationError(ProviderManagerError, ValueError):
    """A configuration value was refused when it was given.

    ``field`` is the path to the value (``"base_options.headers[2]"``), ``rule`` what it must satisfy,
    ``shown`` how the value is described: a repr where that is safe, else its type.
    """

    cure = (
        "Change the field that is named so that it satisfies the rule. The value is not shown, as it may be a secret."
    )

    def __init__(self, field: str, rule: str, shown: str) -> None:
        super().__init__(f"{fit_to_show(field)}: {rule}; got {shown}")
        self.field = field
        self.rule = rule
        self.shown = shown


class UnknownProviderError(ProviderManagerError, LookupError):
    """The runtime configuration names a provider that was not registered."""

    cure = "Name one of the providers in ``available``, or add the provider to ``ProviderManagerConfig``."

    def __init__(self, provider: str, available: tuple[str, ...]) -> None:
        names = ", ".join(repr(fit_to_show(name)) for name in available)
        super().__init__(f"unknown provider {fit_to_show(provider)!r}; available: {names}")
        self.provider = provider
        self.available = available


class ManagerClosedError(ProviderManagerError):
    """The manager is not open: not entered yet, closing, or closed."""

    cure = "Use the manager inside its ``async with`` block only, and make a new one for each block."


class WrongEventLoopError(ProviderManagerError, RuntimeError):
    """The library was used outside of a trio task, such as under asyncio."""

    cure = "Start the program with ``trio.run(main)``, or use ``AsyncioProviderManager`` or ``SyncProviderManager``."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "a ProviderManager runs on trio: start the program with trio.run(main), or take the bridge, see docs/asyncio.md: "
            "AsyncioProviderManager in an asyncio program, SyncProviderManager in plain code"
        )


class LeaseReleasedError(ProviderManagerError):
    """The lease was released or revoked; its adapter is no longer ours to use."""

    cure = "Use the adapter before the lease is released; acquire again for another call."


class ContentionError(ProviderManagerError):
    """What was asked for is held by others.

    ``requested`` and ``holder`` are labels such as ``"lmstudio/phi-4#1f0c9a2e"`` (``holder`` is None
    where no single instance is in the way); ``agents`` are the names of the agents that use the holder, as far as they gave one; ``limit``
    is the capacity that was reached, where there is one; ``waited`` is the time in seconds from the call to the refusal.
    """

    cure = "Try again later, or wait: ``on_limit='wait'``, ``on_conflict='wait'``, a longer ``timeout``."

    def __init__(
        self,
        message: str,
        *,
        requested: str,
        holder: str | None = None,
        limit: int | None = None,
        waited: float = 0.0,
        agents: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.requested = requested
        self.holder = holder
        self.limit = limit
        self.waited = waited
        self.agents = agents


class ProviderLimitError(ContentionError):
    """An API provider has all its instances in use, and waiting is switched off (or the task would wait for what it holds itself)."""

    cure = "Release leases sooner, raise the provider's ``limit``, or set ``on_limit='wait'``."


class QueueFullError(ContentionError):
    """As many requests as ``max_waiting`` allows are waiting already."""

    cure = "Try again later, send fewer requests at a time, or raise ``max_waiting``."


class AcquireTimeoutError(ContentionError, TimeoutError):
    """The request was not granted within its time-out, loading included."""

    cure = "Give a longer ``timeout`` or ``acquire_timeout``. A load that was begun goes on, so a second try is often served at once."


class LocalProviderConflictError(ContentionError):
    """Another local configuration holds the slot."""

    cure = "Set ``on_conflict='wait'`` to queue, or release the lease of ``holder`` first. A task cannot wait for what it holds."


class LocalInstanceBusyError(ContentionError):
    """The same local configuration holds the slot, with all its leases taken."""

    cure = "Set ``on_conflict='wait'`` to queue, or raise ``parallel`` where the server takes several calls at once."


class ThreadStoreError(ProviderManagerError):
    """The file of a thread store cannot be used: not ours, damaged, locked, or not accessible. The cause is chained."""

    cure = "Read the cause. Give another path, repair or delete the file, close the program that locks it, or ``chmod 600`` it."


class JournalError(ProviderManagerError):
    """The file is no journal of a coordinator, or cannot be read. What is wrong with a line is said with its number."""

    cure = "Give the path of a journal that this version has written; a journal that was cut off can be read up to the line named."


class AdapterInstantiationError(ProviderManagerError):
    """An adapter could not be constructed or started. The cause is chained (``TimeoutError`` when it was overdue)."""

    cure = "Read the reason and the chained cause: is the server up, does it have the model, does the model fit into its memory?"

    def __init__(self, message: str, *, requested: str) -> None:
        super().__init__(message)
        self.requested = requested


class InvariantError(ProviderManagerError, AssertionError):
    """A bug of ours: after a change of the model, one of its properties does not hold. Nothing the manager says can be relied on any more.

    ``property`` is its name and ``sentence`` what it says; ``change`` counts the events and expired deadlines up to the one that
    broke it, ``event``.
    """

    cure = "Report it, with its text, and restart the program."

    def __init__(self, property: str, sentence: str, change: int, event: str) -> None:
        super().__init__(f"{property} does not hold after change {change}, {event}: {sentence}")
        self.property = property
        self.sentence = sentence
        self.change = change
        self.event = event


class AdapterError(ProviderManagerError):
    """A call failed. ``retryable``: the same call may succeed later. ``broken``: the instance must not be reused.

    The class attributes are the defaults of each cause; either can be overridden where it is raised. ``status`` (the HTTP status, or
    the one that an error inside a stream names), ``type``, ``code`` and ``param`` are what the server said, where it said so.
    ``retry_after`` is how long it asks to wait, in seconds.
    """

    cure = "See the subclass; ``retryable`` tells whether the same call may succeed later."

    retryable: bool = False
    broken: bool = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        broken: bool | None = None,
        status: int | None = None,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable
        if broken is not None:
            self.broken = broken
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.retry_after = retry_after


class AdapterConnectError(AdapterError):
    """The server does not answer, or the connection was lost. ``sent`` is False where the request certainly never left."""

    cure = "Start the server, or correct ``base_url``; then call again."

    retryable = True
    sent: bool = True


class AdapterTimeoutError(AdapterError, TimeoutError):
    """The server took longer than the adapter's own time-out."""

    cure = "Call again, or raise the adapter's time-out that the message names."

    retryable = True


class AdapterProtocolError(AdapterError):
    """The server's answer does not follow its protocol."""

    cure = "Correct the adapter, or check that ``base_url`` is a server of the adapter's kind and version."


class TruncatedStreamError(AdapterProtocolError):
    """A stream ended without its closing event."""

    cure = (
        "Call again; the text so far may be incomplete. In an adapter of your own, yield ``StreamEvent('end')`` last."
    )

    retryable = True


class AdapterRequestError(AdapterError):
    """The server refuses the request as it stands."""

    cure = "Correct what the server complains of: prompt, parameters or tools."


class AuthenticationError(AdapterRequestError):
    """The server wants other credentials."""

    cure = "Give the server's API key among the provider's ``base_options``."


class ModelNotFoundError(AdapterRequestError):
    """The server does not have the model."""

    cure = "Download the model on the server, or name one that it lists."


class ContextLengthError(AdapterRequestError):
    """The prompt does not fit into the model's context."""

    cure = "Shorten the prompt, or load the model with a longer context (an adapter option)."


class ModelLoadError(AdapterError):
    """The server has the model but could not load it."""

    cure = "Look at the server's log: in most cases its memory is too small for the model and its options."


class ModelEvictedError(AdapterError):
    """The server dropped the model: the instance is of no more use."""

    cure = "Call again: the instance is replaced. If it happens often, keep other programs from loading models on that server."

    retryable = True
    broken = True


class AdapterBusyError(AdapterError):
    """The server has no capacity just now."""

    cure = "Call again, after ``retry_after`` seconds where the server says so."

    retryable = True
