"""Name programs, so that a printed line can run them in another process: ``package.module:function`` or ``...:function(1, 'x')``."""

from __future__ import annotations

import ast
import functools
import pkgutil
import shlex
import sys

from .running import Program

__all__ = ["line", "resolve"]


def line(program: Program, tape: object) -> str:
    """Return a line that repeats the run: a shell command, or a Python expression if ``program`` cannot be imported by a name."""
    name = _name(program)
    if name is None:
        return f"replay(<{getattr(program, '__qualname__', program)}>, {str(tape)!r})"
    return shlex.join(["python", "-m", "statemachine.schedules", name, str(tape)])


def resolve(name: str) -> Program:
    """Return the program of this name. Raises ValueError, ImportError or AttributeError."""
    where, bracket, rest = name.partition("(")
    function: Program = pkgutil.resolve_name(where)
    if not callable(function):
        raise ValueError(f"{where} is not a function")
    if not bracket:
        return function
    return functools.partial(function, *ast.literal_eval(f"({rest[:-1]},)" if rest != ")" else "()"))


def _name(program: Program) -> str | None:
    if isinstance(program, functools.partial):
        inner = None if program.keywords else _name(program.func)
        arguments = ", ".join(map(repr, program.args))
        name = f"{inner}({arguments})"
    else:
        inner = name = f"{_module(program)}:{getattr(program, '__qualname__', '')}"
    try:
        if inner is None or resolve(name) is None:
            return None
    except (ValueError, SyntaxError, ImportError, AttributeError):
        return None
    return name


def _module(program: Program) -> str:
    module = getattr(program, "__module__", "")
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return module if spec is None else spec.name  # also for what was run with python -m
