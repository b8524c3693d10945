"""Options of a command as one frozen dataclass: each field says its type, default, help and bounds once.

::

    @dataclass(frozen=True, kw_only=True)
    class Options:
        sessions: int = option(12, "sessions that run at once", least=1)

From it come the command's parser, the checked object that the command gets, and the command line that repeats a run.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeVar

from statemachine.checks import is_number, shown
from statemachine.errors import ConfigurationError

from ..workloads.text import fit_to_show

__all__ = [
    "COUNT_LIMIT",
    "CommandOptions",
    "command_line",
    "counts_list",
    "option",
    "parsed",
    "parser_of",
    "seconds_list",
]

LINE_LIMIT: Final = 20_000  # characters of a command line
COUNT_LIMIT: Final = 10_000_000
"""Largest count that an option takes."""

T = TypeVar("T")
OptionsT = TypeVar("OptionsT", bound="CommandOptions")


class CommandOptions(Protocol):
    """A dataclass whose fields are made by :func:`option`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


def option(
    default: T,
    help: str,
    *,
    parse: Callable[[str], Any] | None = None,
    least: float | None = None,
    most: float | None = None,
    metavar: str | None = None,
) -> T:
    """Declare one option: ``--name`` for the field ``name``.

    ``parse`` makes a value of a word, or raises ValueError with the rule; by default the type of ``default`` does.
    A ``()`` as default means that the option may be repeated.
    ``least`` and ``most`` bound numbers; an integer is at most :data:`COUNT_LIMIT` where ``least`` is given without ``most``.
    """
    metadata = {"help": help, "parse": parse, "least": least, "most": most, "metavar": metavar}
    return dataclasses.field(default=default, metadata=metadata)


class _Parser(argparse.ArgumentParser):
    """Reports bad usage as an exception, so that one place decides how errors look."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError("command line", "must be as --help says", message)


def parser_of(prog: str, summary: str, options: type[CommandOptions]) -> argparse.ArgumentParser:
    """Return the parser of a command's options."""
    parser = _Parser(prog=prog, description=summary, allow_abbrev=False)
    for field in dataclasses.fields(options):
        _add(parser, field)
    return parser


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    name, about = f"--{field.name.replace('_', '-')}", field.metadata
    if isinstance(field.default, bool):
        parser.add_argument(name, action="store_true", help=about["help"])
        return
    default = "" if field.default in (None, ()) else f" (default: {field.default})"
    parser.add_argument(
        name,
        action="append" if field.default == () else "store",
        metavar=about["metavar"],
        help=(about["help"] + default).replace("%", "%%"),
    )


def parsed(parser: argparse.ArgumentParser, options: type[OptionsT], words: Sequence[str]) -> OptionsT:
    """Parse and check ``words``. Raises ConfigurationError with the option, the value and the rule."""
    found = vars(parser.parse_args(words))
    values = {}
    for field in dataclasses.fields(options):
        word = found[field.name]
        if word is not None:
            values[field.name] = tuple(word) if field.default == () else _value(field, word)
            _check(field, values[field.name])
    return options(**values)


def _value(field: dataclasses.Field[Any], word: Any) -> Any:
    default: Any = field.default
    parse = field.metadata["parse"] or (str if default is None else type(default))
    try:
        return parse(word)
    except ValueError as error:
        rule = {int: "must be an integer", float: "must be a number"}.get(parse, str(error))
        raise ConfigurationError(field.name, rule, repr(word)) from None


def _check(field: dataclasses.Field[Any], value: object) -> None:
    least, most = field.metadata["least"], field.metadata["most"]
    if value is None or least is None:
        return
    integer = isinstance(value, int)
    most = (COUNT_LIMIT if integer else math.inf) if most is None else most
    if not is_number(value) or not math.isfinite(value) or not least <= value <= most:
        upper = "" if most == math.inf else f" to {most:,}" if integer else f" to {most:g}"
        kind = "an integer" if integer else "a finite number"
        rule = f"must be {kind} from {least:,}{upper}" if upper else f"must be {kind} of at least {least:g}"
        raise ConfigurationError(field.name, rule, shown(value))


def seconds_list(text: str) -> tuple[float, ...]:
    """Parse numbers of seconds with commas, each once. Raises ValueError with the rule."""
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ValueError("must be numbers of seconds with commas") from None
    if not all(0 <= number < math.inf for number in numbers):
        raise ValueError("must be finite numbers of seconds of at least 0")
    if len(set(numbers)) < len(numbers):
        raise ValueError("must name each time once")
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
    """Return the command line that repeats a run: every option that is not at its default."""
    words = ["python", "-m", "simulation", command]
    for field in dataclasses.fields(options):
        value, name = getattr(options, field.name), f"--{field.name.replace('_', '-')}"
        if value is True:
            words.append(name)
        elif value != field.default:
            for item in value if field.default == () else [value]:
                words += [name, _word(item)]
    return fit_to_show(shlex.join(words), LINE_LIMIT)


def _word(item: object) -> str:
    return ",".join(f"{number:g}" for number in item) if isinstance(item, tuple) else str(item)
