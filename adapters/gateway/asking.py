"""Who asks: the agent, the priority and the time-out of one HTTP request.

Agents are told apart for fairness. Many clients name their session in a header already, so the first source that is there counts:

1. the path prefix ``/agent/NAME`` or the header ``X-Agent-ID``: set on purpose;
2. a session header of a known client (:data:`SESSION_HEADERS`);
3. ``prompt_cache_key`` or ``user`` of the body;
4. the client's key, as a digest;
5. the client's address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from statemachine.errors import ConfigurationError

__all__ = ["SESSION_HEADERS", "Asking", "Prefix", "asking", "credential", "split_prefix"]

SESSION_HEADERS: Final = (
    "x-session-affinity",  # opencode, crush
    "x-session-id",  # opencode, crush
    "x-claude-code-session-id",  # Claude Code
    "session_id",  # Codex
    "x-amp-thread-id",  # Amp
    "x-litellm-session-id",  # LiteLLM
)
AGENT_LIMIT: Final = 128
"""Characters of an agent's name. A longer name is replaced by a digest."""
PRIORITY_LIMIT: Final = 1_000_000
TIMEOUT_LIMIT_SECONDS: Final = 1_000_000

_PREFIX: Final = re.compile(r"/(agent|priority)/([^/]+)(?=/)")
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}")
_DECIMAL: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{0,10})?")
"""Numbers as HTTP writes them. Python reads more: ``1_0``, ``inf``, digits of other scripts."""
_FIT: Final = re.compile(r"[ -~]+")


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the path itself says, for clients that cannot set headers: ``/agent/ann/priority/2/v1/chat/completions``."""

    path: str
    agent: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """``agent`` is fit to show and never a credential. ``timeout`` is in seconds from the call to the grant (None: the default)."""

    agent: str
    priority: int = 0
    timeout: float | None = None


def split_prefix(path: str) -> Prefix:
    """Take ``/agent/NAME`` and ``/priority/N`` off the front of a path as it was sent: a name may hold an escaped slash."""
    said: dict[str, str] = {}
    while match := _PREFIX.match(path):
        said.setdefault(match[1], unquote(match[2]))
        path = path[match.end() :]
    return Prefix(unquote(path), said.get("agent"), said.get("priority"))


def asking(prefix: Prefix, headers: Mapping[str, str], body: Mapping[str, Any], address: str) -> Asking:
    """Read who asks. ``headers`` have lower-case names. Raises ConfigurationError for a priority or time-out that is no number."""
    named = prefix.agent or headers.get("x-agent-id") or _session(headers) or _in_body(body)
    agent = _shown(named) if named else _anonymous(headers, address)
    priority = _whole("X-Priority", prefix.priority or headers.get("x-priority"))
    timeout = _seconds("X-Queue-Timeout", headers.get("x-queue-timeout"))
    return Asking(agent, priority or 0, timeout)


def credential(headers: Mapping[str, str]) -> str | None:
    """Return the key that the client sent, if it sent one. It must not be shown."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None


def _session(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in SESSION_HEADERS if headers.get(name)), None)


def _in_body(body: Mapping[str, Any]) -> str | None:
    return next(
        (body[name] for name in ("prompt_cache_key", "user") if body.get(name) and isinstance(body[name], str)), None
    )


def _shown(name: str) -> str:
    name = name.strip()
    return name if len(name) <= AGENT_LIMIT and _FIT.fullmatch(name) else f"agent-{_digest(name)}"


def _anonymous(headers: Mapping[str, str], address: str) -> str:
    key = credential(headers)
    return f"key-{_digest(key)}" if key else address


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _whole(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _WHOLE.fullmatch(text) or abs(int(text)) > PRIORITY_LIMIT:
        raise ConfigurationError(name, f"must be a whole number of at most {PRIORITY_LIMIT} either way", "another text")
    return int(text)


def _seconds(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    if not _DECIMAL.fullmatch(text) or not 0 < float(text) <= TIMEOUT_LIMIT_SECONDS:
        rule = f"must be a number of seconds above 0, at most {TIMEOUT_LIMIT_SECONDS}"
        raise ConfigurationError(name, rule, "another text")
    return float(text)
