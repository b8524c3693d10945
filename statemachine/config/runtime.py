"""The configuration that an agent chooses at run time: a provider, a model, and options."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from ..checks import option_names, plain_name
from ..frozen import FrozenDict
from ..text import fit_to_show
from .identity import short, signature, spelling
from .options import freeze_options

__all__ = ["RuntimeProviderConfig"]

_NO_OPTIONS: Final = FrozenDict()


@dataclass(frozen=True, repr=False, eq=False)
class RuntimeProviderConfig:
    """What an agent asks for: a provider, a model, and options. All three are the identity of the instance that it needs.

    Two are equal, with equal hashes, if their signatures are, see :mod:`.identity`. Raises ConfigurationError.
    """

    provider_name: str
    model_id: str
    adapter_options: Mapping[str, Any] = _NO_OPTIONS
    spelling: Hashable = field(init=False)
    """Equal only for configurations that were written alike, down to the type of each option."""

    def __post_init__(self) -> None:
        provider, model = self.provider_name, self.model_id
        if not (type(provider) is type(model) is str and provider and model):  # nearly all are
            object.__setattr__(self, "provider_name", plain_name("provider_name", provider))
            object.__setattr__(self, "model_id", plain_name("model_id", model))
        names = spelling(self.provider_name), spelling(self.model_id)
        if self.adapter_options is _NO_OPTIONS:  # as most, and some programs make one for each call
            object.__setattr__(self, "spelling", names)
            return
        options = freeze_options(self.adapter_options, "adapter_options")
        object.__setattr__(self, "adapter_options", options)
        object.__setattr__(self, "spelling", (names, spelling(options)) if options else names)

    @cached_property
    def config_signature(self) -> str:
        """The identity of this configuration by itself (64 hex digits), without the base options of the provider."""
        return signature(self.provider_name, self.model_id, self.adapter_options)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RuntimeProviderConfig):
            return NotImplemented
        return self.config_signature == other.config_signature

    def __hash__(self) -> int:
        return hash(self.config_signature)

    def __repr__(self) -> str:
        digest, names = short(self.config_signature), option_names(self.adapter_options)
        provider, model = fit_to_show(self.provider_name), fit_to_show(self.model_id)
        return f"RuntimeProviderConfig({provider!r}, {model!r}, options: {names}, #{digest})"
