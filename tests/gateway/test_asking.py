"""Who asks: the first source that is there counts, and no key is ever shown."""

from __future__ import annotations

import pytest

from adapters.gateway.asking import Prefix, asking, split_prefix
from statemachine import ConfigurationError

NOTHING = Prefix("/v1/chat/completions")


@pytest.mark.parametrize(
    ("prefix", "headers", "body", "agent"),
    [
        (Prefix("/v1", agent="path"), {"x-agent-id": "header"}, {}, "path"),
        (NOTHING, {"x-agent-id": "header", "x-session-id": "session"}, {"user": "body"}, "header"),
        (NOTHING, {"x-claude-code-session-id": "claude"}, {"user": "body"}, "claude"),
        (NOTHING, {"session_id": "codex", "authorization": "Bearer k"}, {}, "codex"),
        (NOTHING, {"x-amp-thread-id": "amp"}, {}, "amp"),
        (NOTHING, {"x-litellm-session-id": "litellm"}, {}, "litellm"),
        (NOTHING, {"x-session-affinity": "opencode"}, {}, "opencode"),
        (NOTHING, {}, {"prompt_cache_key": "cache", "user": "user"}, "cache"),
        (NOTHING, {}, {"user": "user"}, "user"),
        (NOTHING, {}, {"user": ["no", "text"]}, "127.0.0.1"),
        (NOTHING, {}, {}, "127.0.0.1"),
    ],
)
def test_the_first_source_counts(prefix: Prefix, headers: dict[str, str], body: dict[str, object], agent: str) -> None:
    assert asking(prefix, headers, body, "127.0.0.1").agent == agent


def test_a_key_is_an_agent_but_is_not_shown() -> None:
    who = asking(NOTHING, {"authorization": "Bearer sk-secret"}, {}, "127.0.0.1")
    assert who.agent.startswith("key-")
    assert "secret" not in repr(who)
    assert who == asking(NOTHING, {"x-api-key": "sk-secret"}, {}, "127.0.0.1")
    assert who != asking(NOTHING, {"x-api-key": "another"}, {}, "127.0.0.1")


@pytest.mark.parametrize("name", ["x" * 10_000, "a\x1b[31mb", "a\nb", "\ud800"])
def test_names_that_are_not_fit_to_show_become_a_digest(name: str) -> None:
    agent = asking(NOTHING, {"x-agent-id": name}, {}, "127.0.0.1").agent
    assert agent.startswith("agent-")
    assert len(agent) < 20


def test_the_path_may_name_agent_and_priority() -> None:
    prefix = split_prefix("/agent/ann%20lee/priority/3/v1/chat/completions")
    assert prefix == Prefix("/v1/chat/completions", "ann lee", "3")
    assert asking(prefix, {"x-priority": "1"}, {}, "127.0.0.1").priority == 3
    named = split_prefix("/agent/team%2Fann%2520/v1/models/a%2Fb")
    assert (named.agent, named.path) == ("team/ann%20", "/v1/models/a/b")
    assert split_prefix("/v1/models").path == "/v1/models"
    assert split_prefix("/agent/ann").path == "/agent/ann"


@pytest.mark.parametrize("text", ["high", "1.5", "9" * 400, "", "NaN", "1_0", "\u0661", "+1", " 1", "1\n", "1000001"])
def test_a_priority_must_be_a_whole_number(text: str) -> None:
    with pytest.raises(ConfigurationError, match="X-Priority"):
        asking(NOTHING, {"x-priority": text}, {}, "127.0.0.1")


@pytest.mark.parametrize(
    "text", ["soon", "0", "0.0", "-1", "nan", "-inf", "inf", "1_0", "\u0661", "1e3", " 1", "1\n", "1000001"]
)
def test_a_time_out_must_be_seconds_above_0(text: str) -> None:
    with pytest.raises(ConfigurationError, match="X-Queue-Timeout"):
        asking(NOTHING, {"x-queue-timeout": text}, {}, "127.0.0.1")


def test_a_time_out_is_read() -> None:
    assert asking(NOTHING, {"x-queue-timeout": "2.5"}, {}, "127.0.0.1").timeout == 2.5
