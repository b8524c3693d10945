"""The configuration that an agent chooses at run time: a provider, a model, and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..checks import check_name, option_names
from ..frozen import freeze
from ..text import fit_to_show
from .identity import copy_options, short, signature

__all__ = ["RuntimeProviderConfig"]


@dataclass(frozen=True, repr=False, eq=False)
class RuntimeProviderConfig:
    """What an agent asks for: a provider, a model, and options. All three are the identity of the instance that it needs.

    Two are equal, with equal hashes, if their signatures are, see :mod:`.identity`. Raises ConfigurationError.
    """

    provider_name: str
    model_id: str
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    config_signature: str = field(init=False)
    """The identity of this configuration by itself (64 hex digits), without the base options of the provider."""

    def __post_init__(self) -> None:
        check_name("provider_name", self.provider_name)
        check_name("model_id", self.model_id)
        options = copy_options(self.adapter_options, "adapter_options")
        object.__setattr__(self, "adapter_options", freeze(options))
        object.__setattr__(self, "config_signature", signature(self.provider_name, self.model_id, options))

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
