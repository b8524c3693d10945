"""How the mock LM Studio is set up: its version, the switches of the real one's settings page, and what is only guessed of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulation.timing.latency import ModelSpec
from statemachine.checks import check_bool, check_count, check_timeout, check_word

__all__ = ["SWITCHES", "VERSIONS", "Settings", "Version"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What one version of the server has, and how it answers. ``unknown_model_status``: of an OpenAI-compatible request."""

    v0: bool = True
    v1: bool = True
    responses: bool = True
    messages: bool = True
    unknown_model_status: int = 400
    batches: bool = True
    flat_no_models: bool = False
    named_stream_errors: bool = False
    guesses_model: bool = False
    """With just-in-time loading off: one loaded model answers for every name; with several, the error lists them."""


VERSIONS: Final = {
    "0.3.5": Version(
        v0=False,
        v1=False,
        responses=False,
        messages=False,
        unknown_model_status=404,
        batches=False,
        flat_no_models=True,
        named_stream_errors=True,
        guesses_model=True,
    ),
    "0.3.30": Version(v1=False, messages=False, batches=False),
    "0.4": Version(),
}


SWITCHES: Final = (
    "cors",
    "jit",
    "auto_evict",
    "evict_busy",
    "racing_loads",
    "strict_keys",
    "pretty",
    "stubborn_prefill",
    "cancel_loading",
    "show_ttl",
    "swallow_overflow",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The defaults are those of a fresh installation of 0.4. Raises ConfigurationError.

    The settings page: ``api_token`` (None: no authentication), ``cors``, ``jit`` (a request loads its model), ``default_ttl`` (idle
    seconds after which such a model goes, where the request does not say; None: never), ``auto_evict`` ("only keep last JIT loaded model").

    Habits of the real server that can be turned off: ``evict_busy`` (an eviction cuts answers), ``racing_loads`` (two first requests load
    two copies), ``strict_keys`` (native endpoints refuse unknown members), ``pretty`` (they indent their JSON), ``stubborn_prefill`` (a
    client that leaves does not stop the reading of its prompt). ``memory_bytes`` bounds what can be loaded (None: nothing does).

    Not published, so to be chosen: ``cancel_loading`` (an unload ends a load under way; otherwise it is refused), ``load_failure_status``,
    ``crash_status``, ``unexpected_status`` (of an unknown path; 200 in the versions known). Of some builds only: ``show_ttl``, and
    ``swallow_overflow`` (a stream whose prompt does not fit ends without a token, not with an error).
    ``reasoning_field`` names the member in which chats carry reasoning. ``downloadable`` are models that a download finds, at
    ``download_bytes_per_second``. ``epoch`` is the Unix time at the first request.
    """

    version: str = "0.4"
    api_token: str | None = None
    cors: bool = False
    jit: bool = True
    default_ttl: float | None = 3600.0
    auto_evict: bool = True
    evict_busy: bool = True
    racing_loads: bool = True
    strict_keys: bool = True
    pretty: bool = True
    stubborn_prefill: bool = True
    memory_bytes: int | None = None
    cancel_loading: bool = False
    load_failure_status: int = 500
    crash_status: int = 400
    unexpected_status: int = 200
    show_ttl: bool = False
    swallow_overflow: bool = False
    reasoning_field: str = "reasoning"
    downloadable: tuple[ModelSpec, ...] = ()
    download_bytes_per_second: float = 100e6
    epoch: float = 1_767_225_600.0

    def __post_init__(self) -> None:
        check_word("version", self.version, tuple(VERSIONS))
        check_word("reasoning_field", self.reasoning_field, ("reasoning", "reasoning_content"))
        check_timeout("default_ttl", self.default_ttl)
        check_timeout("download_bytes_per_second", self.download_bytes_per_second)
        for name in SWITCHES:
            check_bool(name, getattr(self, name))
        for name in ("load_failure_status", "crash_status", "unexpected_status"):
            check_count(name, getattr(self, name), least=200)
        if self.memory_bytes is not None:
            check_count("memory_bytes", self.memory_bytes)

    @property
    def profile(self) -> Version:
        """What the version has."""
        return VERSIONS[self.version]

    @property
    def indent(self) -> int | None:
        """Of the native endpoints' JSON."""
        return 2 if self.pretty else None
