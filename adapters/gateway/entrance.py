"""Read one request of a forwarded path and understand it: who asks for which model, and whether it can be forwarded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from statemachine import ForwardRequest, ProviderManagerError

from ..ollama.adapter import RUNNER_CHECKS
from .answer import ClientAnswer, Receive, Send
from .asking import Prefix, asking
from .dialects import OLLAMA
from .gateway import Gateway, RequestUnderWay
from .passage import Passage, carry
from .problems import Problem, problem_of
from .reading import RefusedError, UnreadableBodyError, json_object, read_body
from .routes import Route, speaks
from .settings import ProviderSettings

__all__ = ["UNLOADS", "enter"]

OFF: Final = ("0", "false", "no", "off")
"""What a client says in ``X-Queue-Comments`` to get none."""

UNLOADS: Final = Problem(
    403,
    "unload_refused",
    "a client cannot unload a model, which other agents may be using; the gateway unloads it when another one is needed",
    "permission_error",
)


async def enter(
    gateway: Gateway, route: Route, prefix: Prefix, scope: Mapping[str, Any], receive: Receive, send: Send
) -> None:
    """Answer one request of a forwarded path, whatever comes of it. ``prefix`` is what its path begins with."""
    answer = ClientAnswer(send, route.dialect)
    with RequestUnderWay(gateway) as admission:
        try:
            admission.check()
            settings = gateway.settings
            raw = await read_body(
                receive, admission.hold, most_bytes=settings.body_limit, seconds=settings.sender_seconds
            )
            await carry(gateway, await _understand(gateway, route, prefix, scope, raw, answer), answer)
        except UnreadableBodyError:
            return
        except RefusedError as error:
            problem = error.problem
        except ProviderManagerError as error:
            problem = problem_of(error)
        else:
            return
        gateway.metrics.refused(problem)
        await answer.problem(problem)


async def _understand(
    gateway: Gateway, route: Route, prefix: Prefix, scope: Mapping[str, Any], raw: bytes, answer: ClientAnswer
) -> Passage:
    settings = gateway.settings
    body, model_at = json_object(raw)
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise RefusedError(Problem(400, "missing_model", "model: must be a non-empty string", param="model"))
    stream = body.get("stream", route.dialect.streams)
    answer.streams = stream is True
    if route.dialect is OLLAMA and _only_unloads(body):
        raise RefusedError(UNLOADS)
    headers = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
    named = dict(headers)
    answer.comments_off = named.get("x-queue-comments", "").lower() in OFF
    who = asking(prefix, named, body, scope["client"][0])
    provider, model = await gateway.catalogue.find(name)
    kind = settings.provider(provider).kind
    if not speaks(kind, route.path):
        text = f"{provider} is a server of the kind {kind}, which has no {route.path}"
        raise RefusedError(Problem(501, "not_implemented", text, "not_implemented"))
    options = _identity(body) if route.dialect is OLLAMA else {}
    if kind == "ollama" and route.dialect is not OLLAMA:
        _refuse_configured(settings.provider(provider), route.path)
    query = scope.get("query_string", b"").decode("latin-1")
    path = f"{route.path}?{query}" if query else route.path
    return Passage(route, who, provider, model, ForwardRequest("POST", path, headers, raw, model_at), options)


def _identity(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an Ollama request that make the server load the model again: they are part of the instance's identity.

    Raises ConfigurationError for a value that makes no sense.
    """
    given = body.get("options")
    found = (
        {name: given[name] for name in RUNNER_CHECKS if given.get(name) is not None}
        if isinstance(given, Mapping)
        else {}
    )
    for name, value in found.items():
        RUNNER_CHECKS[name](f"options.{name}", value)
    return found


def _refuse_configured(provider: ProviderSettings, path: str) -> None:
    """Refuse a path that cannot say what the model is loaded with: the server would load it again, otherwise. Raises RefusedError."""
    if configured := sorted(RUNNER_CHECKS.keys() & provider.config.base_options.keys()):
        text = f"{provider.name} is configured with {', '.join(configured)}, which Ollama takes on its own paths only, not on {path}"
        raise RefusedError(Problem(501, "not_implemented", text, "not_implemented"))


def _only_unloads(body: Mapping[str, Any]) -> bool:
    """Return whether this is how Ollama's clients unload: nothing is asked, and the model is not to be kept."""
    return not body.get("prompt") and not body.get("messages") and body.get("keep_alive") in (0, "0", "0s")
