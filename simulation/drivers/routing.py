"""Where each call of a run goes, when there are several local slots: to which provider, and which of those share a machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from statemachine import ProviderManagerConfig, RuntimeProviderConfig
from statemachine.config.providers import Demand

__all__ = ["Routing"]


@dataclass(frozen=True)
class Routing:
    """``providers``: the provider's name for each call, by the call's id; ``machines``: the number of each provider's machine."""

    providers: Sequence[str]
    machines: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def on_one(cls, config: ProviderManagerConfig, calls: int) -> Routing:
        """Send all ``calls`` to the first provider of ``config``."""
        return cls([config.available_providers[0].name] * calls)

    @property
    def shared_machines(self) -> Mapping[str, int]:
        """The machine of each provider that is not alone on it."""
        tenants = Counter(self.machines.values())
        return {name: machine for name, machine in self.machines.items() if tenants[machine] > 1}

    def demands(self, config: ProviderManagerConfig, models: Sequence[str]) -> list[Demand]:
        """Resolve what each call needs; ``models`` has each call's. Raises ConfigurationError."""
        pairs = dict.fromkeys(zip(self.providers, models, strict=True))
        resolved = {pair: config.resolve(RuntimeProviderConfig(*pair)) for pair in pairs}
        return [resolved[pair] for pair in zip(self.providers, models, strict=True)]
