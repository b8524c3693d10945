"""The command ``serve``: the mock LM Studio server on a real socket, until it is interrupted."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import trio

from statemachine.checks import check_count
from statemachine.errors import ConfigurationError
from statemachine.shell.options import option

from ..mock.faults import STREAM_FAULTS, Faults, StreamFault
from ..mock.lmstudio import DOWNLOADED, DownloadedModel, MockLMStudio, described
from ..mock.serve import LM_STUDIO_PORT, serve
from ..timing.latency import LatencyProfile, ModelSpec

__all__ = ["Options", "run", "server_of"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the server serves and where, how it is set up, and what goes wrong."""

    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(LM_STUDIO_PORT, "port, 0 for a free one", least=0, most=65535)
    log_requests: bool = option(False, "print a line for each request")
    seed: int = option(0, "seed of latencies and answers")
    # what it serves
    model: tuple[str, ...] = option(
        (),
        "a downloaded model, with default latencies; text-embedding-... is an embedding model; may be repeated"
        f" (default: {', '.join(model.key for model in DOWNLOADED)})",
        metavar="KEY",
    )
    reasoning_model: tuple[str, ...] = option((), "the same; its answers begin with reasoning", metavar="KEY")
    downloadable: tuple[str, ...] = option((), "a model that a download finds; may be repeated", metavar="KEY")
    parallel: int | None = option(None, "answers that an instance makes at once", parse=int, least=1, most=1024)
    context_length: int | None = option(None, "tokens of an instance's context", parse=int, least=1)
    load_seconds: float | None = option(None, "how long a load takes", parse=float, least=0)
    prefill_rate: float | None = option(None, "prompt tokens per second", parse=float, least=1e-3)
    decode_rate: float | None = option(None, "tokens made per second", parse=float, least=1e-3)
    # how it is set up
    server_version: str = option("0.4", "whose manners: 0.3.5, 0.3.30 or 0.4")
    api_token: str | None = option(None, "the token that every request must carry")
    cors: bool = option(False, "answer pages of any origin")
    no_jit: bool = option(False, "requests do not load their models")
    ttl: float | None = option(
        None, "idle seconds after which a model that a request loaded goes", parse=float, least=1
    )
    no_auto_evict: bool = option(False, "a request's load unloads nothing")
    no_busy_eviction: bool = option(False, "it waits for models at work before it unloads them")
    no_racing_loads: bool = option(False, "two first requests for a model share one load")
    memory_gb: float | None = option(None, "memory for models, in 10^9 bytes", parse=float, least=1e-3)
    lenient: bool = option(False, "native endpoints ignore members that they do not know")
    compact: bool = option(False, "native endpoints do not indent their JSON")
    prompt_reading_stops: bool = option(False, "a client that leaves stops the reading of its prompt")
    loads_can_be_cancelled: bool = option(False, "an unload ends a load under way")
    show_ttl: bool = option(False, "instances tell remaining_ttl_seconds, as in some builds")
    swallow_overflow: bool = option(False, "a stream whose prompt is too long ends without a token, as in some builds")
    load_failure_status: int = option(500, "status of a native load that fails", least=200, most=599)
    crash_status: int = option(400, "status of an answer whose engine crashes", least=200, most=599)
    unexpected_status: int = option(200, "status of an unknown path", least=200, most=599)
    # what goes wrong
    hide_instances: bool = option(False, "the native list shows no loaded instances, as in some builds")
    fail_load: tuple[str, ...] = option((), "the next load fails with this text; may be repeated", metavar="TEXT")
    break_stream: tuple[str, ...] = option(
        (),
        f"the next stream goes wrong after CHUNKS pieces (default: 0): {', '.join(STREAM_FAULTS)}; may be repeated",
        metavar="HOW[:CHUNKS]",
    )
    answer: tuple[str, ...] = option(
        (), "what the next request to a path gets; may be repeated", metavar="PATH=STATUS:JSON"
    )


def run(options: Options) -> int:
    """Serve until interrupted, which is how a server is stopped: status 0. Raises ConfigurationError, OSError."""
    try:
        trio.run(_until_interrupted, server_of(options), options)
    except* KeyboardInterrupt:
        pass
    return 0


def server_of(options: Options) -> MockLMStudio:
    """Make the server that ``options`` ask for. Raises ConfigurationError."""
    server = MockLMStudio(_models(options), LatencyProfile(seed=options.seed), **_settings(options))
    _order_faults(server.faults, options)
    return server


async def _until_interrupted(server: MockLMStudio, options: Options) -> None:
    async with serve(server, options.host, options.port, log_requests=options.log_requests) as url:
        print(f"{url} serves {', '.join(server.models)}", flush=True)
        await trio.sleep_forever()


FIGURES: Final = {
    "parallel": "parallel",
    "context_length": "context_length",
    "load_seconds": "load_seconds",
    "prefill_rate": "prefill_tokens_per_second",
    "decode_rate": "decode_tokens_per_second",
}
"""Options that every model gets, and the names of its figures."""


def _models(options: Options) -> list[DownloadedModel]:
    plain = [described(ModelSpec(key)) for key in options.model]
    reasoning = [DownloadedModel(key, reasons=True) for key in options.reasoning_model]
    figures = {figure: getattr(options, name) for name, figure in FIGURES.items()}
    given: Any = {figure: value for figure, value in figures.items() if value is not None}
    models = [*plain, *reasoning] or DOWNLOADED
    return [replace(model, **_fitting(model, given)) for model in models]


def _fitting(model: DownloadedModel, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is replaced in ``model``: a context that is longer than its longest makes that longer, too."""
    return {**given, "max_context_length": max(model.max_context_length, given.get("context_length", 0))}


def _settings(options: Options) -> dict[str, Any]:
    same = (
        "api_token",
        "cors",
        "show_ttl",
        "swallow_overflow",
        "load_failure_status",
        "crash_status",
        "unexpected_status",
    )
    settings = {name: getattr(options, name) for name in same}
    if options.ttl is not None:
        settings["default_ttl"] = options.ttl
    if options.memory_gb is not None:
        settings["memory_bytes"] = int(options.memory_gb * 1e9)
    return settings | {
        "version": options.server_version,
        "jit": not options.no_jit,
        "auto_evict": not options.no_auto_evict,
        "evict_busy": not options.no_busy_eviction,
        "racing_loads": not options.no_racing_loads,
        "strict_keys": not options.lenient,
        "pretty": not options.compact,
        "stubborn_prefill": not options.prompt_reading_stops,
        "cancel_loading": options.loads_can_be_cancelled,
        "downloadable": tuple(map(ModelSpec, options.downloadable)),
        "epoch": time.time(),
    }


def _order_faults(faults: Faults, options: Options) -> None:
    faults.hide_instances = options.hide_instances
    for text in options.fail_load:
        faults.fail_next_load(text)
    for word in options.break_stream:
        how, _, chunks = word.partition(":")
        faults.break_next_stream(cast(StreamFault, how), after_chunks=_count("break_stream", chunks or "0", word))
    for word in options.answer:
        path, _, rest = word.partition("=")
        status, _, body = rest.partition(":")
        faults.answer_next(path, _count("answer", status, word, least=200), _json("answer", body, word))


def _count(name: str, text: str, word: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigurationError(name, "must have a number where --help says so", repr(word))
    check_count(name, int(text), least=least)
    return int(text)


def _json(name: str, text: str, word: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(name, "must end in JSON", repr(word)) from None
