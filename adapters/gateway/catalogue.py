"""Which models there are, and which provider has the one that a client names.

A name means, in this order: an alias of the configuration; ``PROVIDER/MODEL``; a model that one provider offers. What a provider
offers is configured, or asked of its server and remembered for a few seconds. Where a server cannot be asked, nothing is known
about its models, and a name that no other provider offers is tried there: the server has the last word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import trio

from statemachine.errors import AdapterError

from .facts import UNKNOWN, ModelFacts
from .problems import Problem
from .reading import RefusedError
from .settings import GatewaySettings, ProviderSettings

__all__ = ["Catalogue", "ListModels", "OfferedModel"]

FRESH_SECONDS: Final = 5.0
NAMES_SHOWN: Final = 10

ListModels: TypeAlias = Callable[[ProviderSettings], Awaitable[Mapping[str, ModelFacts]]]
"""Asks a provider's server for its models, by name. Raises AdapterError."""


@dataclass(frozen=True, slots=True)
class OfferedModel:
    """A model of one provider. ``name`` is what a client calls it: the model's own name where that is unique."""

    name: str
    provider: str
    model: str
    facts: ModelFacts = UNKNOWN


class Catalogue:
    """The models of all providers."""

    def __init__(self, settings: GatewaySettings, list_models: ListModels) -> None:
        self.settings = settings
        self._list_models = list_models
        self._known: dict[str, tuple[float, Mapping[str, ModelFacts] | None]] = {}
        self._asking = trio.Lock()

    async def offered(self) -> list[OfferedModel]:
        """Return every model under the name that finds it, aliases first."""
        found = {provider.name: await self._models(provider) or {} for provider in self.settings.providers}
        rows = [
            OfferedModel(alias, provider, model, found[provider].get(model, UNKNOWN))
            for alias, (provider, model) in self.settings.aliases.items()
        ]
        names = [name for models in found.values() for name in models]
        for provider, models in found.items():
            for model, facts in models.items():
                unique = names.count(model) == 1 and model not in self.settings.aliases
                rows.append(OfferedModel(model if unique else f"{provider}/{model}", provider, model, facts))
        return rows

    async def find(self, name: str) -> tuple[str, str]:
        """Return the provider and its model that ``name`` means. Raises RefusedError (404)."""
        if name in self.settings.aliases:
            return self.settings.aliases[name]
        for (
            provider
        ) in self.settings.providers:  # what was offered once is not asked for again: the server has the last word
            if name in (self._remembered(provider) or ()):
                return provider.name, name
        head, slash, tail = name.partition("/")
        unknown: list[str] = []
        for provider in self.settings.providers:
            models = await self._models(provider)
            if models is None:
                unknown.append(provider.name)
            elif name in models:
                return provider.name, name
        if slash and tail and head in {provider.name for provider in self.settings.providers}:
            return head, tail
        if unknown:
            return unknown[0], name
        raise RefusedError(await self._not_found(name))

    def _remembered(self, provider: ProviderSettings) -> Collection[str] | None:
        return self._known[provider.name][1] if provider.name in self._known else provider.models

    async def _models(self, provider: ProviderSettings) -> Mapping[str, ModelFacts] | None:
        """Return what the provider offers; None where its server cannot be asked."""
        if provider.models is not None:
            return dict.fromkeys(provider.models, UNKNOWN)
        async with self._asking:  # one question at a time, and its answer serves all who wait for it
            now = trio.current_time()
            asked, models = self._known.get(provider.name, (-FRESH_SECONDS, None))
            if now - asked >= FRESH_SECONDS:
                try:
                    models = await self._list_models(provider)
                except AdapterError:
                    models = None
                self._known[provider.name] = (trio.current_time(), models)
            return models

    async def _not_found(self, name: str) -> Problem:
        names = [row.name for row in await self.offered()]
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        text = f"there is no model of this name; there are: {', '.join(names[:NAMES_SHOWN])}{more}"
        return Problem(404, "model_not_found", text, param="model")
