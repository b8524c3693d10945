"""Keep secrets out of a file: find the parts of a value that must not be written in clear, and put them back later.

There are two rules, because two kinds of values are stored.

*Adapter options* contain credentials, under names that no list can foresee. So a string is written only under a name
in ``PLAIN_OPTIONS``, and only without ``@``, ``?`` and ``#`` (user info, query and fragment of a URL). Numbers are
written unless their name looks like a credential's.

*Other values* are the application's own. Strings and numbers are written unless their name looks like a
credential's; a URL with user info or, standing alone, with a query or fragment is not written either; nor is
a text in which something has the shape of a well-known credential (``sk-...``, ``Bearer ...``, a private key in PEM, a JSON
Web Token, tokens of GitHub, Hugging Face, Slack, ...). Any other secret in plain prose cannot be recognised.

In both, a name that looks like a credential's covers everything below it, a list's items have the list's name, and
``None``, ``True``, ``False`` and what is empty are always written. Names themselves (of providers, models, options,
keys) are no secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from ..errors import ConfigurationError

__all__ = ["PLAIN_OPTIONS", "Path", "looks_like_credential", "put_back", "withhold"]

Path: TypeAlias = tuple[str | int, ...]
"""The path to a part of a value: keys of mappings and indices of lists, outermost first. ``()`` is the value itself."""

PLAIN_OPTIONS: Final = frozenset(
    [
        "anthropic_version",
        "api_version",
        "base_url",
        "device",
        "dtype",
        "keep_alive",
        "quantization",
        "reasoning_effort",
        "region",
    ]
)
"""The adapter options whose text is never a credential."""

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CREDENTIAL_WORD: Final = re.compile(
    """ auth|oauth|authori[sz]ation|bearer|cookies?|credentials?|creds|headers?|jwt|otp|private|sas|sig|signature
    |   pass|passcode|passwd|pat|pin|pwd?
    |   [a-z]*(?:passphrase|password|secret|token)s?
    |   (?:access|api|auth|client|encryption|license|master|private|secret|service|session|signing|ssh)?keys? """,
    re.VERBOSE,
)
_CREDENTIAL_SHAPE: Final = re.compile(
    r"""  \b sk-[\w-]{16,}                                 # OpenAI, Anthropic, OpenRouter, ...
    |   \b (?:bearer|basic)\s+[\w.~+/=-]{12,}           # an Authorization header
    |   -----BEGIN [A-Z ]*PRIVATE\ KEY                   # PEM
    |   \b (?:gh[oprsu]_|github_pat_|glpat-|hf_|gsk_|xox[abeoprs]-|ya29\.|npm_|pypi-)[\w-]{10,}
    |   \b (?:AKIA|ASIA)[0-9A-Z]{16} \b                 # Amazon
    |   \b AIza[\w-]{30,}                               # Google
    |   \b eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.                # a JSON Web Token
    """,
    re.VERBOSE | re.IGNORECASE,
)
_REVEALING_URL: Final = re.compile(r"//[^\s/?#]*@|\A\s*[a-zA-Z][a-zA-Z0-9+.-]*://[^\s?#]*[?#]\S*\s*\Z")


def looks_like_credential(name: str, value: object = "") -> bool:
    """Return whether ``value`` must be treated as a credential because of its name. A number of "tokens" is a count."""
    words = [word.lower() for word in _WORDS.findall(name)]
    counted = isinstance(value, (int, float))
    return any(_CREDENTIAL_WORD.fullmatch(word) and not (counted and word.endswith("tokens")) for word in words)


def withhold(value: Any, name: str, *, options: bool) -> tuple[Any, list[Path]]:
    """Return ``value`` (JSON data called ``name``) with None for what must not be written, and the paths to these places.

    ``options``: it is a mapping of adapter options. Returns a copy.
    """
    left_out: list[Path] = []

    def visit(item: Any, name: str, path: Path) -> Any:
        if not _may_be_written(item, name, options):
            left_out.append(path)
            return None
        if isinstance(item, dict):
            _check_names(item, ".".join(map(str, (name, *path))))
            return {key: visit(below, key, (*path, key)) for key, below in item.items()}
        if isinstance(item, (list, tuple)):
            return [visit(below, name, (*path, index)) for index, below in enumerate(item)]
        return item

    return visit(value, name, ()), left_out


def _check_names(mapping: dict[str, Any], path: str) -> None:
    """Names are written as they are, so one that looks like a credential is refused. Raises ConfigurationError."""
    if any(_CREDENTIAL_SHAPE.search(key) for key in mapping):
        raise ConfigurationError(path, "has a name that looks like a credential: give credentials as values", "one")


def _may_be_written(item: Any, name: str, options: bool) -> bool:
    if item is None or isinstance(item, bool) or item in ("", [], (), {}):
        return True
    if looks_like_credential(name, item):
        return False
    if not isinstance(item, str):
        return True
    if _CREDENTIAL_SHAPE.search(item):
        return False
    if options:
        return name in PLAIN_OPTIONS and not set(item) & set("@?#")
    return not _REVEALING_URL.search(item)


def put_back(value: Any, supplied: Iterable[tuple[Path, Any]]) -> Any:
    """Return ``value`` with each supplied part in the place that its path names. Changes ``value``."""
    for path, part in supplied:
        if not path:
            return part
        *above, last = path
        place = value
        for step in above:
            place = place[step]
        place[last] = part
    return value
