"""The wire: the one place that knows httpx. Adapters are written on this; see ``docs/adapters.md``.

================== =========================================================================================================================
file               what it does
================== =========================================================================================================================
``bounds``         the table of all bounds, and the patience of one call
``client``         requests with typed errors; ``response``: their answers
``errors``         what a server's error means
``stream``         one call: a request, a reader, events
``reader``         what all readers of JSON answers share
``chat``           the reader for OpenAI-compatible chats; ``messages`` makes their requests; ``responses``: another
``sse, ndjson``    the two framings of streams, on ``lines``
``forward``        a client's request passed on as it is; ``kept``: the connections for that; ``heads``, ``members``: what is written anew
``options``        checks of the options that all adapters have
``library``        names the HTTP library, for all the others
================== =========================================================================================================================
"""

from __future__ import annotations

from .bounds import Bounds, Patience
from .chat import ChatReader, stream_chat
from .client import HttpClient
from .error_body import has_error, retry_after_seconds
from .errors import adapter_error
from .forward import forward, with_model
from .library import Transport
from .lines import LineTooLongError
from .messages import chat_request, checked_headers
from .ndjson import NDJSONDecoder
from .options import HTTP_CHECKS, Check, check_base_url, check_options, check_seconds, check_token, token_of
from .reader import JsonAnswerReader
from .response import HttpResponse
from .responses import responses_request, stream_responses
from .sse import ServerSentEvent, SSEDecoder
from .stream import AnswerReader, HttpRequest, stream_answer

__all__ = [
    "HTTP_CHECKS",
    "AnswerReader",
    "Bounds",
    "ChatReader",
    "Check",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "JsonAnswerReader",
    "LineTooLongError",
    "NDJSONDecoder",
    "Patience",
    "SSEDecoder",
    "ServerSentEvent",
    "Transport",
    "adapter_error",
    "chat_request",
    "check_base_url",
    "check_options",
    "check_seconds",
    "check_token",
    "checked_headers",
    "forward",
    "has_error",
    "responses_request",
    "retry_after_seconds",
    "stream_answer",
    "stream_chat",
    "stream_responses",
    "token_of",
    "with_model",
]
