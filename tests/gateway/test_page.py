"""The status page in a real browser: nothing overflows, every waiter has its row, and the console stays silent.

``PAGE_SCREENSHOTS=folder`` keeps what was seen.
"""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import trio

from statemachine import RuntimeProviderConfig

from .browser import CHROMIUM, browser, page
from .served import GEMMA, QWEN, Served, served, until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

TOKEN = "a-token-of-enough-characters"
TOO_WIDE = "[...document.querySelectorAll('section, .scroll, td')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.outerHTML)"
LONG = "a-vendor/a-model-with-quite-a-long-name-instruct-2507-q4_k_m"


def wait(here: Served, waiters: int) -> ExitStack:
    """Put ``waiters`` of 40 agents into the gateway's waiting room."""
    stack = ExitStack()
    for number in range(waiters):
        agent = (
            f"agent-{number % 40}"
            if number
            else "an-agent-with-a-name-as-long-as-a-session-identifier-0123456789abcdef"
        )
        stack.enter_context(here.gateway.waiting.enter(agent, "studio", (GEMMA, QWEN, LONG)[number % 3], "local"))
    return stack


@pytest.mark.parametrize("waiters", [0, 3, 300])
async def test_the_page(waiters: int, tmp_path: Path) -> None:
    folder = Path(os.environ.get("PAGE_SCREENSHOTS", tmp_path))
    gateway = served(token_env="TOKEN", environment={"TOKEN": TOKEN}, waiting_per_agent=1000)
    async with gateway as here, browser(tmp_path) as chromium:
        for model in (GEMMA, QWEN):  # what the strip shows
            async with here.gateway.manager.acquire(RuntimeProviderConfig("studio", model), timeout=math.inf) as lease:
                here.gateway.granted("ann", model, lease)
        with wait(here, waiters):
            for width in (1280, 400):
                for scheme in ("light", "dark"):
                    async with page(chromium, f"{here.url}/#token={TOKEN}", width=width, scheme=scheme) as seen:
                        await seen.until(f"document.querySelectorAll('#queue tr').length === {max(waiters, 1)}")
                        await seen.until("document.querySelectorAll('.strip span').length >= 1")
                        await trio.Path(folder / f"page-{waiters}-{width}-{scheme}.png").write_bytes(
                            await seen.screenshot()
                        )
                        assert await seen.value("document.documentElement.scrollWidth") <= width
                        assert await seen.value(TOO_WIDE) == []
                        assert await seen.value("getComputedStyle(document.body).backgroundColor") == (
                            "rgb(250, 250, 250)" if scheme == "light" else "rgb(19, 21, 24)"
                        )
                        assert seen.complaints() == []


async def test_the_buttons(tmp_path: Path) -> None:
    async with served(token_env="TOKEN", environment={"TOKEN": TOKEN}) as here, browser(tmp_path) as chromium:
        async with page(chromium, f"{here.url}/#token={TOKEN}", width=1280, scheme="light") as seen:
            await seen.until("document.querySelector('#model')?.options.length === 3")
            await seen.value(
                f"document.querySelector('#model').value = '{QWEN}'; document.querySelector('[name=load]').click()"
            )
            await seen.until(f"document.querySelector('#said').textContent === '{QWEN} is loaded'")
            assert [instance.model.key for instance in here.server.loaded] == [QWEN]
            await seen.value("document.querySelector('[name=unload]').click()")
            await seen.until("document.querySelector('#said').textContent === 'unloaded: qwen'")
            await until(lambda: not here.server.loaded)
            assert seen.complaints() == []


async def test_without_a_token_there_are_no_controls(tmp_path: Path) -> None:
    async with served() as here, browser(tmp_path) as chromium:
        async with page(chromium, here.url, width=1280, scheme="light") as seen:
            await seen.until("document.querySelector('#state')?.textContent.includes('under way')")
            assert await seen.value("document.querySelector('#control').hidden")
        async with httpx.AsyncClient(base_url=here.url) as client:
            for action in ("load", "unload", "drain"):
                assert (await client.post(f"/control/{action}", json={})).status_code == 403
