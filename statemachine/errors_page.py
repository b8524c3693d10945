"""The command ``errors``: print a page that lists every error with its cause and cure, made from the classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass

from . import errors
from .errors import AdapterError, ProviderManagerError

__all__ = ["Options", "page", "public_errors", "run"]

_HEAD = """# Errors

Every error of the library, with its cause and what to do about it. All of them are subclasses of `ProviderManagerError` and can be imported
from `statemachine`. They carry data, not only text, and survive `pickle`, `copy` and `deepcopy`. No message shows an option's value.

This page is made from the classes by `python -m statemachine errors`; a test compares them.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """There are none."""


def run(options: Options) -> int:
    """Print the page. Returns the exit status."""
    print(page(), end="")
    return 0


def public_errors() -> Iterator[type[ProviderManagerError]]:
    """Yield the classes, each after the one that it derives from, in the order of the module."""
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, ProviderManagerError):
            yield found


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([_HEAD, *(_section(kind) for kind in public_errors())])


def _section(kind: type[ProviderManagerError]) -> str:
    bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    cause = (inspect.getdoc(kind) or "").replace("``", "`")
    lines = [
        f"## {kind.__name__}",
        "",
        f"A kind of {bases}.",
        "",
        f"**Cause.** {cause}",
        "",
        f"**Cure.** {kind.cure.replace('``', '`')}",
        "",
    ]
    if issubclass(kind, AdapterError):
        yes = {True: "yes", False: "no"}
        lines += [
            f"Retryable: {yes[kind.retryable]}; breaks its instance: {yes[kind.broken]} (unless the error says otherwise).",
            "",
        ]
    return "\n".join(lines)
