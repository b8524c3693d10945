"""Options of a command as one frozen dataclass: each field says its type, default, help and bounds once.

::

    @dataclass(frozen=True, kw_only=True)
    class Options:
        model: str = argument("the model to load")
        sessions: int = option(12, "sessions that run at once", least=1)

From it come the command's parser (``MODEL --sessions N``), the checked object that the command gets, and the command line that
repeats a run. A rule that spans several options belongs in the dataclass's ``__post_init__``.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeVar

from ..checks import check_word, is_number, shown
from ..config.identity import public_url
from ..errors import ConfigurationError
from ..text import fit_to_show

__all__ = [
    "COUNT_LIMIT",
    "CommandOptions",
    "UsageError",
    "argument",
    "command_line",
    "counts_list",
    "numbers_list",
    "option",
    "parsed",
    "parser_of",
    "seconds_list",
]

LINE_LIMIT: Final = 20_000  # characters of a command line
COUNT_LIMIT: Final = 10_000_000
"""Largest count that an option takes."""

_HARMLESS: Final = re.compile(r"-?[\d.]{1,20}|true|false|null|[\w./:@-]{1,40}", re.ASCII)
T = TypeVar("T")
OptionsT = TypeVar("OptionsT", bound="CommandOptions")


class UsageError(Exception):
    """The words of a command line do not fit its options."""


class CommandOptions(Protocol):
    """A dataclass whose fields are made by :func:`option` and :func:`argument`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def option(
    default: T,
    help: str,
    *,
    parse: Callable[[str], Any] | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    metavar: str | None = None,
) -> T:
    """Declare one option: ``--name`` for the field ``name``.

    ``parse`` makes a value of a word, or raises ValueError with the rule; by default the type of ``default`` does.
    A ``()`` as default means that the option may be repeated; a bool is a switch without a value.
    ``least`` and ``most`` bound numbers; an integer is at most :data:`COUNT_LIMIT` where ``least`` is given without ``most``.
    ``choices`` are the only words that are allowed, where there are any.
    """
    bounds = {"least": least, "most": most, "choices": choices}
    return dataclasses.field(default=default, metadata={"help": help, "parse": parse, "metavar": metavar, **bounds})


def argument(help: str, *, parse: Callable[[str], Any] = str, count: str | None = None) -> Any:
    """Declare one positional argument, by its place among the fields.

    ``count``: None for exactly one; ``"?"``: one, or None where it is missing; ``"+"``: a tuple of at least one.
    """
    metadata = {"help": help, "parse": parse, "metavar": None, "least": None, "most": None, "choices": ()}
    default: Any = None if count == "?" else dataclasses.MISSING
    return dataclasses.field(default=default, metadata={**metadata, "count": count})


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage as an exception, so that one place decides how errors look."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser_of(prog: str, summary: str, options: type[CommandOptions]) -> argparse.ArgumentParser:
    """Return the parser of a command's options."""
    parser = _Parser(prog=prog, description=summary, allow_abbrev=False)
    for field in dataclasses.fields(options):
        _add(parser, field)
    return parser


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    about = field.metadata
    if "count" in about:
        parser.add_argument(field.name, nargs=about["count"], help=about["help"].replace("%", "%%"))
        return
    if isinstance(field.default, bool):
        parser.add_argument(_word_of(field), action="store_true", help=about["help"].replace("%", "%%"))
        return
    default = "" if field.default in (None, ()) else f" (default: {_word(field.default)})"
    choices = f" ({', '.join(about['choices'])})" if about["choices"] else ""
    parser.add_argument(
        _word_of(field),
        action="append" if field.default == () else "store",
        metavar=about["metavar"],
        help=(about["help"] + choices + default).replace("%", "%%"),
    )


def parsed(parser: argparse.ArgumentParser, options: type[OptionsT], words: Sequence[str]) -> OptionsT:
    """Parse and check ``words``. Raises UsageError, or ConfigurationError with the option, the rule and the value."""
    known, unknown = parser.parse_known_args(words)
    if unknown:
        word = unknown[0].partition("=")[0]  # what comes after it may be a credential
        parser.error(f"there is no {word!r}" if word.startswith("-") else f"{word!r} has no option before it")
    values = {}
    for field in dataclasses.fields(options):
        word = getattr(known, field.name)
        if word is not None:
            values[field.name] = tuple(_value(field, each) for each in word) if _is_many(field) else _value(field, word)
    return options(**values)


def _is_many(field: dataclasses.Field[Any]) -> bool:
    return field.default == () or field.metadata.get("count") == "+"


def _word_of(field: dataclasses.Field[Any]) -> str:
    """Return how the field is written on a command line."""
    return field.name if "count" in field.metadata else f"--{field.name.replace('_', '-')}"


def _value(field: dataclasses.Field[Any], word: Any) -> Any:
    """Return the value of a word. Raises ConfigurationError."""
    default: Any = field.default
    parse = field.metadata["parse"] or (str if default in (None, ()) else type(default))
    try:
        value = parse(word)
    except ValueError as error:
        rule = {int: "must be an integer", float: "must be a number"}.get(parse, str(error))
        raise ConfigurationError(_word_of(field), rule, repr(word)) from None
    if field.metadata["choices"]:
        check_word(_word_of(field), value, tuple(field.metadata["choices"]))
    _check_bounds(field, value)
    return value


def _check_bounds(field: dataclasses.Field[Any], value: object) -> None:
    least, most = field.metadata["least"], field.metadata["most"]
    if least is None:
        return
    integer = isinstance(value, int)
    most = (COUNT_LIMIT if integer else math.inf) if most is None else most
    if not is_number(value) or not math.isfinite(value) or not least <= value <= most:
        upper = "" if most == math.inf else f" to {most:,}" if integer else f" to {most:g}"
        kind = "an integer" if integer else "a finite number"
        rule = f"must be {kind} from {least:,}{upper}" if upper else f"must be {kind} of at least {least:g}"
        raise ConfigurationError(_word_of(field), rule, shown(value))


def seconds_list(text: str) -> tuple[float, ...]:
    """Parse numbers of seconds with commas, each once. Raises ValueError with the rule."""
    return _numbers(text, "numbers of seconds")


def numbers_list(text: str) -> tuple[float, ...]:
    """Parse numbers of at least 0 with commas, each once. Raises ValueError with the rule."""
    return _numbers(text, "numbers")


def _numbers(text: str, what: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ValueError(f"must be {what} with commas") from None
    if not all(0 <= number < math.inf for number in numbers):
        raise ValueError(f"must be finite {what} of at least 0")
    if len(set(numbers)) < len(numbers):
        raise ValueError("must name each once")
    return numbers


def counts_list(text: str) -> tuple[int, ...]:
    """Parse counts of at least 1 with commas, each once. Raises ValueError with the rule."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word[:9]) > 0 and len(word) < 9 for word in words):
        raise ValueError("must be integers of at least 1 with commas")
    if len(set(words)) < len(words):
        raise ValueError("must name each number once")
    return tuple(map(int, words))


def command_line(command: str, options: CommandOptions) -> str:
    """Return the command line that repeats a run: every option that is not at its default.

    It is shown in reports. So a URL is without user info and query, and of ``NAME=VALUE`` a text is left out, which may be a credential.
    """
    words = ["python", "-m", "simulation", command]
    for field in dataclasses.fields(options):
        value, name = getattr(options, field.name), _word_of(field)
        if value is True:
            words.append(name)
        elif value != field.default:
            for item in value if field.default == () else [value]:
                words += [name, _public(_word(item))]
    return fit_to_show(shlex.join(words), LINE_LIMIT)


def _word(item: object) -> str:
    return ",".join(f"{number:g}" for number in item) if isinstance(item, tuple) else str(item)


def _public(word: str) -> str:
    if "://" in word:
        return public_url(word)
    name, equals, value = word.partition("=")
    return word if not equals or _HARMLESS.fullmatch(value) else f"{name}=..."
