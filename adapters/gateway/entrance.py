"""Read one request of a forwarded path and understand it: who asks for which model, and whether it can be forwarded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from statemachine import ConfigurationError, ForwardRequest

from .answer import Answer, Receive, Send
from .asking import asking, split_prefix
from .dialects import OLLAMA
from .gateway import Gateway
from .passage import Passage, carry
from .problems import Problem, problem_of
from .reading import ClientGoneError, RefusedError, json_object, read_body
from .routes import Route, speaks

__all__ = ["UNLOADS", "enter"]

UNLOADS: Final = Problem(
    403,
    "unload_refused",
    "a client cannot unload a model, which other agents may be using; the gateway unloads it when another one is needed",
    "permission_error",
)


async def enter(gateway: Gateway, route: Route, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request of a forwarded path, whatever comes of it."""
    answer = Answer(send, route.dialect)
    try:
        with gateway.admitted():
            passage = await _understand(gateway, route, scope, receive, answer)
            await carry(gateway, passage, answer, receive)
    except ClientGoneError:
        return
    except RefusedError as error:
        gateway.metrics.refused(error.problem)
        await answer.problem(error.problem)
    except ConfigurationError as error:
        await answer.problem(problem_of(error))


async def _understand(
    gateway: Gateway, route: Route, scope: Mapping[str, Any], receive: Receive, answer: Answer
) -> Passage:
    settings = gateway.settings
    raw = await read_body(receive, most_bytes=settings.body_limit, seconds=settings.sender_seconds)
    body = json_object(raw)
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise RefusedError(Problem(400, "missing_model", "model: must be a non-empty string", param="model"))
    stream = body.get("stream", route.dialect.streams)
    answer.streams = stream is True
    if route.dialect is OLLAMA and _only_unloads(body):
        raise RefusedError(UNLOADS)
    headers = [(key.decode("latin-1").lower(), value.decode("latin-1")) for key, value in scope["headers"]]
    address = (scope.get("client") or ("unknown",))[0]
    who = asking(split_prefix(scope["prefixed_path"]), dict(headers), body, address)
    provider, model = await gateway.catalogue.find(name)
    kind = settings.provider(provider).kind
    if not speaks(kind, route.path):
        text = f"{provider} is a server of the kind {kind}, which has no {route.path}"
        raise RefusedError(Problem(501, "not_implemented", text, "not_implemented"))
    query = scope.get("query_string", b"").decode("latin-1")
    path = f"{route.path}?{query}" if query else route.path
    return Passage(route, who, provider, model, ForwardRequest("POST", path, headers, raw))


def _only_unloads(body: Mapping[str, Any]) -> bool:
    """Whether this is how Ollama's clients unload: nothing is asked, and the model is not to be kept."""
    return not body.get("prompt") and not body.get("messages") and body.get("keep_alive") in (0, "0", "0s")
