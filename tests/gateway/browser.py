"""Headless Chromium, driven over its own protocol (CDP) through two pipes: pages are looked at as a person would."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import trio

__all__ = ["CHROMIUM", "Browser", "Page", "browser"]

CHROMIUM: Final = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Browser:
    """One Chromium. Messages are JSON with a NUL at the end."""

    def __init__(self, reads: trio.abc.ReceiveStream, writes: trio.abc.SendStream) -> None:
        self._reads, self._writes = reads, writes
        self._numbers = count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._arrived = trio.Condition()
        self.events: list[dict[str, Any]] = []

    async def follow(self) -> None:
        """Read what the browser says, until it ends."""
        text = b""
        async for piece in self._reads:
            *whole, text = (text + piece).split(b"\0")
            async with self._arrived:
                for message in map(json.loads, whole):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._arrived.notify_all()

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        await self._writes.send_all(json.dumps(message).encode() + b"\0")
        async with self._arrived:
            while number not in self._answers:
                await self._arrived.wait()
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return dict(answer["result"])


class Page:
    """One tab, of a size and a colour scheme."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command to the tab."""
        return await self._browser.ask(method, self._session, **params)

    async def value(self, expression: str) -> Any:
        """Return what a JavaScript expression comes to."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Return when the expression is true. The test's time-out bounds it."""
        for _ in count():
            if await self.value(expression):
                return
            await trio.sleep(0.02)  # the browser is another process

    async def screenshot(self) -> bytes:
        """Return what is seen, as a PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot"))["data"])

    def complaints(self) -> list[str]:
        """Return what the page has written to the console, and its exceptions."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        mine = [event for event in self._browser.events if event.get("sessionId") == self._session]
        return [json.dumps(event["params"]) for event in mine if event["method"] in names]


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """Run Chromium for the length of the block; its profile lies in ``folder``."""
    assert CHROMIUM is not None
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    command = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", CHROMIUM, *FLAGS]
    command += [f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = await trio.lowlevel.open_process(
        command,
        pass_fds=(to_browser, from_browser),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        async with trio.lowlevel.FdStream(to_us) as reads, trio.lowlevel.FdStream(from_us) as writes:
            async with trio.open_nursery() as nursery:
                opened = Browser(reads, writes)
                nursery.start_soon(opened.follow)
                yield opened
                nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


@asynccontextmanager
async def page(browser: Browser, url: str, *, width: int, scheme: str) -> AsyncIterator[Page]:
    """Open ``url`` in a tab of its own."""
    target = (await browser.ask("Target.createTarget", url="about:blank"))["targetId"]
    session = (await browser.ask("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
    opened = Page(browser, session)
    for domain in ("Page", "Runtime", "Log"):
        await opened.ask(f"{domain}.enable")
    phone = width < 600
    await opened.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await opened.ask("Emulation.setEmulatedMedia", features=features)
    await opened.ask("Page.navigate", url=url)
    try:
        yield opened
    finally:
        with trio.move_on_after(5, shield=True):
            await browser.ask("Target.closeTarget", targetId=target)
