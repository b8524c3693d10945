"""The official clients of OpenAI and Anthropic against the mock LM Studio on loopback. ``make clients`` has more of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import trio

from tests.clients import anthropic_calls, openai_calls
from tests.clients.server import judged

CASES = [
    pytest.param(call, id=f"{client} {name}")
    for client, module in (("openai", openai_calls), ("anthropic", anthropic_calls))
    for name, call in module.CALLS.items()
]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with judged() as address:
        yield address


@pytest.mark.parametrize("call", CASES)
async def test_f29_an_official_client_gets_what_it_asks_for(url: str, call: Callable[[str], None]) -> None:
    await trio.to_thread.run_sync(call, url)
