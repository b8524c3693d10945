"""Which provider has a model: what was offered once is known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio
import trio.testing

from adapters.gateway.catalogue import Catalogue
from adapters.gateway.facts import ModelFacts
from adapters.gateway.reading import RefusedError
from adapters.gateway.settings import ProviderSettings, settings_of

SETTINGS = settings_of({"providers": {"one": {"kind": "lmstudio"}}}, {})


async def test_a_known_model_is_found_without_asking_again(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[str] = []

    async def list_models(provider: ProviderSettings) -> Mapping[str, ModelFacts]:
        asked.append(provider.name)
        return {"known": ModelFacts()}

    catalogue = Catalogue(SETTINGS, list_models)
    assert await catalogue.find("known") == ("one", "known")
    await trio.sleep(3600)
    assert await catalogue.find("known") == ("one", "known")
    assert len(asked) == 1, "a request does not wait for a list"
    with pytest.raises(RefusedError):
        await catalogue.find("new")
    assert len(asked) == 2, "a name that is not known may be new"
