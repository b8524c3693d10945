"""LM Studio's own Python SDK, as far as it speaks HTTP: it asks for the greeting. The rest is websocket, which the mock has not."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import lmstudio

from .server import Calls

__all__ = ["CALLS"]


def greeting(url: str) -> None:
    assert lmstudio.Client.is_valid_api_host(urlsplit(url).netloc)


CALLS: Final[Calls] = {"greeting (the rest is websocket)": greeting}
