"""LMStudioAdapter's options: spellings that are taken, and values that are refused."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from adapters import LMStudioAdapter
from simulation.mock.transport import StreamingTransport
from statemachine import AdapterConfig, AdapterProtocolError, ConfigurationError

from .events import text
from .lmstudio import A, Proxy, answer, make, mock


@pytest.mark.parametrize(
    "url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/", "HTTP://h:1/v1", "http://h:1/sub/v1/"]
)
async def test_spellings_of_the_base_url(url: str, autojump_clock: trio.testing.MockClock) -> None:
    server = mock()
    proxy = Proxy(server)
    below = "/sub" if "sub" in url else ""
    async with StreamingTransport(proxy) as transport:
        adapter = make(transport, base_url=url)
        if below:
            with pytest.raises(AdapterProtocolError):
                await adapter.start()
        else:
            await adapter.start()
            assert text(await answer(adapter))
        await adapter.shutdown()
    assert proxy.requests[0] == f"{below}/api/v1/models"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("base_url", 1),
        ("base_url", "localhost:1234"),
        ("base_url", "ftp://host"),
        ("base_url", "http://"),
        ("base_url", "http://host/?key=s3cret"),
        ("base_url", "http://host:s3cret"),
        ("api_token", ""),
        ("api_token", "s3cret\n"),
        ("api_token", "s3crét"),
        ("api_token", 7),
        ("context_length", 0),
        ("context_length", True),
        ("context_length", "s3cret"),
        ("context_length", None),
        ("eval_batch_size", 1.5),
        ("num_experts", -1),
        ("flash_attention", 1),
        ("offload_kv_cache_to_gpu", "s3cret"),
        ("connect_timeout", 0),
        ("read_timeout", float("inf")),
        ("load_timeout", "s3cret"),
        ("unload_timeout", -1),
        ("transport", "s3cret"),
        ("temperature", 0.7),
    ],
)
def test_bad_options_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=f"adapter_options.{option}: must ") as caught:
        LMStudioAdapter(AdapterConfig("lmstudio", A, {option: value}))
    assert "s3cr" not in str(caught.value)
    if option == "base_url":
        assert str(caught.value).endswith("; got a str" if isinstance(value, str) else f"; got {value!r}")
