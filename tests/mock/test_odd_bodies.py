"""Odd request bodies: whatever a member is, the mock LM Studio answers or refuses, and no error of its own leaves it."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from simulation.mock.lmstudio import DownloadedModel, MockLMStudio

from .mock_server import ALPHA, CHAT, EXACT, LOAD, UNLOAD, connected

TOOL = {"name": "f", "parameters": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}}
TURN = {"role": "user", "content": [{"type": "text", "text": "x"}], "tool_calls": [{"function": {"name": "f"}}]}
SCHEMA = {"type": "json_schema", "json_schema": {"schema": TOOL["parameters"]}, "schema": TOOL["parameters"]}
COMMON: dict[str, Any] = {
    "model": "lab/alpha",
    "stream": True,
    "max_tokens": 3,
    "max_completion_tokens": 3,
    "max_output_tokens": 3,
    "stop": ["x"],
    "stop_sequences": ["x"],
    "n": 2,
    "seed": 1,
    "ttl": 5,
    "logprobs": True,
    "top_logprobs": 2,
    "stream_options": {"include_usage": True},
}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {
        **COMMON,
        "messages": [TURN],
        "tools": [{"function": TOOL}],
        "tool_choice": "auto",
        "response_format": SCHEMA,
    },
    "/v1/completions": {**COMMON, "prompt": ["x"], "logprobs": 1},
    "/v1/embeddings": {"model": "embedder", "input": ["x"]},
    "/v1/responses": {
        **COMMON,
        "input": [TURN],
        "tools": [TOOL],
        "text": {"format": SCHEMA},
        "reasoning": {"effort": "low"},
    },
    "/v1/messages": {**COMMON, "messages": [TURN], "tools": [TOOL], "system": [], "thinking": {"type": "enabled"}},
    "/api/v1/chat": {
        "model": "lab/alpha",
        "input": [{"type": "text", "content": "x"}],
        "integrations": [{"type": "plugin", "id": "x", "allowed_tools": ["y"]}],
        "reasoning": "on",
        "store": True,
        "stream": True,
    },
    LOAD: {"model": "lab/alpha", "context_length": 100, "echo_load_config": True, "flash_attention": False},
    UNLOAD: {"instance_id": "lab/alpha"},
    "/api/v1/models/download": {"model": "new", "quantization": "x"},
}
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body, but for itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in ((*path, key), *places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], odd: object) -> Any:
    """``value`` with something else in one place."""
    if not path:
        return odd
    key, *rest = path
    if isinstance(value, dict):
        return {**value, key: changed(value[key], tuple(rest), odd)}
    return [changed(item, tuple(rest), odd) if index == key else item for index, item in enumerate(value)]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_body_breaks_the_server(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(BODIES)))
    body = BODIES[path]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(body)))
        body = changed(body, place, data.draw(ODD))

    async def post() -> None:
        server = MockLMStudio([ALPHA, DownloadedModel("embedder", kind="embedding")], EXACT)
        async with connected(server) as client:
            response = await client.post(path, json=body)
            assert response.status_code in (200, 400, 404)
            assert response.content

    trio.run(post, clock=MockClock(autojump_threshold=0))
