"""The options of an adapter: each name has its check, an unknown name is refused, and no message shows a string."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from statemachine.checks import check_count, check_timeout, is_number, shown
from statemachine.errors import ConfigurationError

from .library import httpx

__all__ = ["HTTP_CHECKS", "Check", "check_base_url", "check_options", "check_seconds", "check_token", "token_of"]

Check: TypeAlias = Callable[[str, object], None]
"""Called with the path to an option and its value; raises ConfigurationError."""


_HOST: Final = re.compile(rb"(?=.{1,253}\Z)([\w-]{1,63}\.)*[\w-]{1,63}\.?|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(%[\w.-]{1,63})?")
"""A host name in ASCII, or an IPv6 address, perhaps with a zone."""


def check_options(options: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Refuse an option that ``checks`` does not name, or whose check fails. Raises ConfigurationError."""
    for name, value in options.items():
        path = f"adapter_options.{name}"
        if name not in checks:
            raise ConfigurationError(path, f"must be one of {', '.join(sorted(checks))}", "an unknown option")
        try:
            checks[name](path, value)
        except ConfigurationError as error:
            if isinstance(value, str):  # any string may be a credential in the wrong place
                raise ConfigurationError(error.field, error.rule, "a str") from None
            raise


def check_seconds(path: str, value: object) -> None:
    """Check that ``value`` is a finite number of seconds of at least 0."""
    if not is_number(value) or not 0 <= value < math.inf:
        raise ConfigurationError(path, "must be a finite number of seconds of at least 0", shown(value))


def check_base_url(path: str, value: object) -> None:
    """Check that ``value`` is an http or https URL with a host, without query and fragment."""
    try:
        url = httpx.URL(value if isinstance(value, str) else "")
    except httpx.InvalidURL:
        url = httpx.URL("")
    well_formed = _HOST.fullmatch(url.raw_host) and (url.port is None or 0 < url.port < 65536)
    if url.scheme not in ("http", "https") or not well_formed or url.query or url.fragment:
        rule = "must be an http or https URL with a host, a port from 1 to 65535 if any, and without query and fragment"
        raise ConfigurationError(path, rule, shown(value))


def check_token(path: str, value: object) -> None:
    """Check that ``value`` is a credential that can stand in a header: printable ASCII without blanks. None: no credential."""
    if value is None or (isinstance(value, str) and value and all("!" <= character <= "~" for character in value)):
        return
    raise ConfigurationError(path, "must be printable ASCII without blanks, or None", f"a {type(value).__name__}")


HTTP_CHECKS: Final[Mapping[str, Check]] = {
    "api_key": check_token,
    "api_token": check_token,
    "base_url": check_base_url,
    "call_timeout": check_timeout,
    "connect_timeout": check_timeout,
    "first_event_timeout": check_timeout,
    "max_body_bytes": check_count,
    "max_event_bytes": check_count,
    "max_line_bytes": check_count,
    "read_timeout": check_timeout,
}
"""The options that every adapter over HTTP has; see ``bounds``."""


def token_of(options: Mapping[str, Any], variable: str) -> str | None:
    """Return the credential to send: the option ``api_token`` (or ``api_key``, which is the same), None for none.

    Where it is not given, it is the environment's ``variable``. Raises ConfigurationError.
    """
    given = [options[name] for name in ("api_token", "api_key") if name in options]
    if len(given) > 1:
        raise ConfigurationError("adapter_options.api_key", "is api_token by another name: give one of them", "both")
    if given:
        token: str | None = given[0]
        return token
    token = os.environ.get(variable) or None
    check_token(f"the environment variable {variable}", token)
    return token
