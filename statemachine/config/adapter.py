"""The protocol of adapters, as the core sees it. The manager depends on this file, never on ``adapters/``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ..checks import option_names, plain_name, shown
from ..errors import ConfigurationError
from ..text import fit_to_show
from .call import CallOptions, Message, StreamEvent
from .identity import short, signature

__all__ = ["Adapter", "AdapterConfig", "AdapterFactory", "StartableAdapter", "StoppableAdapter"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class AdapterConfig:
    """The argument of an adapter's factory. ``options``: the provider's base options, overlaid by the request's.

    Two are equal, with equal hashes, if their signatures are. Raises ConfigurationError.
    """

    provider_name: str
    model_id: str
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider_name", plain_name("provider_name", self.provider_name))
        object.__setattr__(self, "model_id", plain_name("model_id", self.model_id))
        if not isinstance(self.options, Mapping):
            raise ConfigurationError("options", "must be a mapping of option names to values", shown(self.options))

    @property
    def config_signature(self) -> str:
        """The key of the instance, as 64 hex digits."""
        return signature(self.provider_name, self.model_id, self.options)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AdapterConfig):
            return NotImplemented
        return self.config_signature == other.config_signature

    def __hash__(self) -> int:
        return hash(self.config_signature)

    def __repr__(self) -> str:
        names, digest = option_names(self.options), short(self.config_signature)
        provider, model = fit_to_show(self.provider_name), fit_to_show(self.model_id)
        return f"AdapterConfig({provider!r}, {model!r}, options: {names}, #{digest})"


@runtime_checkable
class Adapter(Protocol):
    """What every adapter must have. ``start()`` and ``shutdown()`` are optional, see the two protocols below."""

    def call(self, prompt: Sequence[Message], options: CallOptions) -> AsyncIterator[StreamEvent]:
        """Stream the answer to ``prompt``."""
        ...


@runtime_checkable
class StartableAdapter(Protocol):
    """An adapter that does something before its first call, such as loading the model."""

    async def start(self) -> None: ...


@runtime_checkable
class StoppableAdapter(Protocol):
    """An adapter that cleans up, such as unloading the model. ``shutdown`` is called exactly once, also after a failed start."""

    async def shutdown(self) -> None: ...


AdapterFactory: TypeAlias = Callable[[AdapterConfig], Adapter]
