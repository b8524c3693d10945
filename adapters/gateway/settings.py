"""What the gateway is told: providers, limits, aliases, where to listen. Every value is checked when it is given.

The TOML file has the same names: see ``examples/gateway.toml``. An error names the key (``providers.studio.parallel``), the
rule, and the value where it cannot be a secret. Keys of servers are never in the file: it names environment variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from statemachine.checks import check_count, check_name, check_timeout, check_word, is_number, shown
from statemachine.config.providers import ProviderConfig, ProviderManagerConfig
from statemachine.errors import ConfigurationError

from .backends import BACKENDS, KINDS

__all__ = [
    "DEFAULT_PORT",
    "DEFAULT_URL",
    "GATEWAY_VARIABLE",
    "TOKEN_VARIABLE",
    "GatewaySettings",
    "ProviderSettings",
    "load_settings",
    "settings_of",
]

DEFAULT_PORT: Final = 8400
DEFAULT_URL: Final = f"http://127.0.0.1:{DEFAULT_PORT}"
TOKEN_VARIABLE: Final = "LLM_SLOTS_TOKEN"
"""Where the commands that talk to a gateway look for its token."""
GATEWAY_VARIABLE: Final = "LLM_SLOTS_GATEWAY"
"""Where they look for its URL; the command ``run`` sets it for its program."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
FILE_LIMIT_BYTES: Final = 1024 * 1024
TOKEN_LEAST: Final = 16
MIB: Final = 1024 * 1024

Check: TypeAlias = Callable[[str, object], None]


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """One provider: its ``kind`` of server, the models it offers (None: ask the server), and those to load at the start.

    A local server's model that was idle for ``idle_seconds`` is unloaded (None: never), except those of ``pin``.
    """

    config: ProviderConfig
    kind: str
    models: tuple[str, ...] | None = None
    preload: tuple[str, ...] = ()
    idle_seconds: float | None = None
    pin: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.config.name


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """All of it. ``token``: what a client must send, None: nothing. Times are in seconds, ``comment_seconds`` None: no comments.

    A client has ``sender_seconds`` to send its body, and ``reader_seconds`` to read a piece of its answer. ``body_limit`` is in bytes,
    and so is ``bodies_limit``, for the bodies of all requests at a time. ``requests_limit`` and ``connections_limit`` count those at a
    time, ``waiting_per_agent`` the requests of one agent that have no lease yet. ``aliases`` map a
    name that clients use to ``(provider, model)``. ``fixed``: what cannot change while the gateway runs. ``owned_file``: where is
    noted what was loaded, for the next run (None: nowhere).
    """

    providers: tuple[ProviderSettings, ...]
    manager: ProviderManagerConfig
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    owned_file: str | None = None
    token: str | None = field(default=None, repr=False)
    aliases: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    comment_seconds: float | None = 5.0
    body_limit: int = 64 * MIB
    bodies_limit: int = 1024 * MIB
    connections_limit: int = 8192
    sender_seconds: float = 30.0
    reader_seconds: float = 60.0
    requests_limit: int = 4096
    waiting_per_agent: int = 256
    fixed: object = field(default=None, repr=False)

    def provider(self, name: str) -> ProviderSettings:
        """Return the provider called ``name``, which is known to exist."""
        return next(provider for provider in self.providers if provider.name == name)


def load_settings(path: Path, environment: Mapping[str, str], **given: Any) -> GatewaySettings:
    """Read a TOML file; what is ``given`` replaces keys of its table ``gateway``.

    Raises ConfigurationError, also where the file cannot be read.
    """
    return settings_of(_document(path), environment, **given)


def _document(path: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            raw = file.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise ConfigurationError("config", f"must be a readable file: {error.strerror}", repr(str(path))) from error
    if len(raw) > FILE_LIMIT_BYTES:
        raise ConfigurationError("config", f"must be a file of at most {FILE_LIMIT_BYTES} bytes", "more")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, which no TOML error tells of
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigurationError("config", f"must be a TOML file: {reason}", repr(str(path))) from error


def settings_of(document: Mapping[str, Any], environment: Mapping[str, str], **given: Any) -> GatewaySettings:
    """Check a whole document. Raises ConfigurationError; nothing of a document with an error is used."""
    _check_table("", document, dict.fromkeys(("gateway", "manager", "providers", "aliases"), _check_mapping))
    document = {**document, "gateway": {**document.get("gateway", {}), **given}}
    gateway = _table(document, "gateway", _GATEWAY)
    manager = _table(document, "manager", _MANAGER)
    port = gateway.get("port", DEFAULT_PORT)
    owned_file = gateway.get("owned_file", _usual_owned_file(port, environment)) or None
    providers = tuple(
        _provider(name, table, environment, owned_file) for name, table in document.get("providers", {}).items()
    )
    if not providers:
        raise ConfigurationError("providers", "must name at least one provider", "none")
    host = gateway.get("host", "127.0.0.1")
    token = _from_environment("gateway.token_env", gateway.get("token_env"), environment)
    _check_exposure(host, token)
    return GatewaySettings(
        providers,
        _manager_config(manager, providers),
        host=host,
        port=port,
        owned_file=owned_file,
        token=token,
        aliases=_aliases(document.get("aliases", {}), {provider.name for provider in providers}),
        comment_seconds=_off(gateway.get("comment_seconds", 5.0)),
        **_bodies(gateway),
        connections_limit=gateway.get("connections_limit", 8192),
        sender_seconds=gateway.get("sender_seconds", 30.0),
        reader_seconds=gateway.get("reader_seconds", 60.0),
        requests_limit=gateway.get("requests_limit", 4096),
        waiting_per_agent=gateway.get("waiting_per_agent", 256),
        fixed=(manager, document.get("providers"), host, gateway.get("port"), owned_file),
    )


# ---- the tables of the file ----


def _check_mapping(path: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise ConfigurationError(path, "must be a table", f"a {type(value).__name__}")


def _check_port(path: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        raise ConfigurationError(path, "must be a whole number from 0 to 65535", shown(value))


def _check_seconds_or_off(path: str, value: object) -> None:
    if value is False:
        return
    if value is True or not is_number(value) or not 0 < value < math.inf:
        raise ConfigurationError(path, "must be a number of seconds above 0, or false for never", shown(value))


def _check_name_or_off(path: str, value: object) -> None:
    if value is not False:
        check_name(path, value)


def _check_names(path: str, value: object) -> None:
    if not isinstance(value, list):
        raise ConfigurationError(path, "must be a list of strings", f"a {type(value).__name__}")
    for index, item in enumerate(value):
        check_name(f"{path}[{index}]", item)


_GATEWAY: Final[Mapping[str, Check]] = {
    "host": check_name,
    "port": _check_port,
    "token_env": check_name,
    "comment_seconds": _check_seconds_or_off,
    "body_limit_mib": check_count,
    "bodies_limit_mib": check_count,
    "connections_limit": check_count,
    "sender_seconds": check_timeout,
    "reader_seconds": check_timeout,
    "requests_limit": check_count,
    "waiting_per_agent": check_count,
    "owned_file": _check_name_or_off,
}
_MANAGER: Final[Mapping[str, Check]] = {
    "policy": check_name,
    "on_conflict": partial(check_word, words=("wait", "raise")),
    "on_limit": partial(check_word, words=("wait", "raise")),
    "local_scope": partial(check_word, words=("all", "endpoint")),
    "max_waiting": partial(check_count, least=0),
    "acquire_timeout": _check_seconds_or_off,
    "start_timeout": _check_seconds_or_off,
    "shutdown_timeout": _check_seconds_or_off,
    "close_grace": _check_seconds_or_off,
}
_PROVIDER: Final[Mapping[str, Check]] = {
    "kind": partial(check_word, words=KINDS),
    "base_url": check_name,
    "key_env": check_name,
    "parallel": check_count,
    "limit": check_count,
    "idle_timeout": _check_seconds_or_off,
    "models": _check_names,
    "preload": _check_names,
    "pin": _check_names,
    "options": _check_mapping,
}


def _check_table(path: str, table: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    for key, value in table.items():
        place = f"{path}.{key}" if path else key
        if key not in checks:
            raise ConfigurationError(place, f"must be one of {', '.join(sorted(checks))}", "an unknown key")
        checks[key](place, value)


def _table(document: Mapping[str, Any], name: str, checks: Mapping[str, Check]) -> Mapping[str, Any]:
    table: Mapping[str, Any] = document.get(name, {})
    _check_table(name, table, checks)
    return table


def _off(value: float | bool) -> float | None:
    return None if value is False else float(value)


def _bodies(table: Mapping[str, Any]) -> dict[str, int]:
    """Return the bounds on one body and on all, in bytes. Raises ConfigurationError where all may have less than one."""
    one, every = table.get("body_limit_mib", 64), table.get("bodies_limit_mib", 1024)
    if every < one:
        raise ConfigurationError(
            "gateway.bodies_limit_mib", f"must be at least body_limit_mib, which is {one}", f"{every}"
        )
    return {"body_limit": one * MIB, "bodies_limit": every * MIB}


def _usual_owned_file(port: int, environment: Mapping[str, str]) -> str | None:
    """Return a path in the user's folder for the state of programs, by the port, of which one gateway at a time has it."""
    home = environment.get("HOME")
    folder = environment.get("XDG_STATE_HOME") or (home and f"{home}/.local/state")
    return f"{folder}/llm-slots/owned-{port}.jsonl" if folder and port else None


def _provider(name: str, table: object, environment: Mapping[str, str], owned_file: str | None) -> ProviderSettings:
    path = f"providers.{name}"
    _check_mapping(path, table)
    assert isinstance(table, Mapping)
    _check_table(path, table, _PROVIDER)
    if "/" in name or not name:
        raise ConfigurationError(path, "must be a name without a slash", repr(name))
    if "kind" not in table:
        raise ConfigurationError(f"{path}.kind", f"must be given, as one of {', '.join(KINDS)}", "nothing")
    backend = BACKENDS[table["kind"]]
    options = dict(table.get("options", {}))
    if owned_file is not None and backend.is_local:
        options.setdefault("owned_file", owned_file)
    if "base_url" in table:
        options["base_url"] = table["base_url"]
    key = _from_environment(f"{path}.key_env", table.get("key_env"), environment)
    if key is not None:
        options["api_token"] = key
    given: dict[str, Any] = {name: table[name] for name in ("parallel", "limit") if name in table}
    idle_seconds = _off(table.get("idle_timeout", False))
    if "idle_timeout" in table and not backend.is_local:
        given["idle_timeout"] = idle_seconds
    try:
        config = ProviderConfig(name, backend.adapter(), backend.is_local, base_options=options, **given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}.{error.field}", error.rule, error.shown) from None
    models = tuple(table["models"]) if "models" in table else None
    preload, pin = tuple(table.get("preload", ())), tuple(table.get("pin", ()))
    return ProviderSettings(config, table["kind"], models, preload, idle_seconds if backend.is_local else None, pin)


def _manager_config(table: Mapping[str, Any], providers: tuple[ProviderSettings, ...]) -> ProviderManagerConfig:
    given = dict(table)
    for name in ("acquire_timeout", "start_timeout", "shutdown_timeout", "close_grace"):
        if name in given:
            given[name] = _off(given[name])
    try:
        return ProviderManagerConfig([provider.config for provider in providers], **{"on_conflict": "wait", **given})
    except ConfigurationError as error:
        raise ConfigurationError(f"manager.{error.field}", error.rule, error.shown) from None


def _aliases(table: Mapping[str, Any], names: set[str]) -> Mapping[str, tuple[str, str]]:
    aliases: dict[str, tuple[str, str]] = {}
    for alias, target in table.items():
        provider, slash, model = target.partition("/") if isinstance(target, str) else ("", "", "")
        if not slash or not model or provider not in names:
            raise ConfigurationError(
                f"aliases.{alias}", 'must be "PROVIDER/MODEL" with a configured provider', shown(target)
            )
        aliases[alias] = (provider, model)
    return MappingProxyType(aliases)


def _from_environment(path: str, variable: str | None, environment: Mapping[str, str]) -> str | None:
    if variable is None:
        return None
    if not environment.get(variable):
        raise ConfigurationError(path, "must name an environment variable that is set", "one that is not")
    return environment[variable]


def _check_exposure(host: str, token: str | None) -> None:
    """Refuse an address beyond loopback without a token that is long enough: anyone on the network could use the models."""
    if host not in LOOPBACK and (token is None or len(token) < TOKEN_LEAST):
        rule = f"must be a loopback address, or token_env must name a token of at least {TOKEN_LEAST} characters"
        raise ConfigurationError("gateway.host", rule, repr(host))
