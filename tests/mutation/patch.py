"""A mutant in the place of what is imported already: functions take their changed code, and constants their changed values."""

from __future__ import annotations
import __future__

import ast
import dis
import gc
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import TypeAlias

from .subjects import FIRST_PARTY

__all__ = ["Imported", "without_lines"]

_LOOK_UPS = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD"})  # also of another module's constant
Place: TypeAlias = tuple[str, str, int]
"""File, qualified name and first line."""


class Imported:
    """What has been imported, with its functions, and with the names that were looked up meanwhile."""

    def __init__(self) -> None:
        self._modules = [module for name, module in sys.modules.items() if name.partition(".")[0] in FIRST_PARTY]
        self._functions = _functions(gc.get_objects())
        self._used = {name for module in self._modules for name in _used_at_import(module)}

    def patch(self, file: str, old: str, new: str, *, functions: bool) -> bool:
        """Make ``file`` what it would be with the source ``new``. ``functions``: those may be changed that differ.

        False, and nothing is changed, where that is not possible: something else differs from the source ``old``.
        """
        before, after = (compile(source, file, "exec", dont_inherit=True) for source in (old, new))
        pairs = _changed(before, after)
        if pairs is None:
            return self._patch_constant(file, ast.parse(old).body, ast.parse(new).body)
        return functions and self._patch_functions(pairs)

    def _patch_functions(self, pairs: list[tuple[CodeType, CodeType]]) -> bool:
        changes = [(function, after) for before, after in pairs for function in self._functions.get(_place(before), ())]
        if len({_place(function.__code__) for function, _ in changes}) < len(pairs):
            return False
        if any(function.__code__.co_freevars != after.co_freevars for function, after in changes):
            return False
        for function, after in changes:
            function.__code__ = after
        return True

    def _patch_constant(self, file: str, old: list[ast.stmt], new: list[ast.stmt]) -> bool:
        """Only one assignment may differ, of a name that was not looked up at import: what it made would stay."""
        differ = [pair for pair in zip(old, new, strict=False) if ast.dump(pair[0]) != ast.dump(pair[1])]
        if len(old) != len(new) or len(differ) != 1:
            return False
        (name, same), statement = map(_assigned, differ[0]), differ[0][1]
        if name is None or name != same or name in self._used:
            return False
        module = next(module for module in self._modules if getattr(module, "__file__", None) == file)
        value = getattr(module, name)
        flags = __future__.annotations.compiler_flag
        exec(compile(ast.Module([statement], []), file, "exec", flags, dont_inherit=True), vars(module))
        for other in self._modules:
            if vars(other).get(name) is value:
                setattr(other, name, getattr(module, name))
        return True


def without_lines(code: CodeType) -> CodeType:
    """Return ``code`` as it would be wherever its lines stood."""
    constants = tuple(without_lines(c) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=constants, co_firstlineno=1, co_linetable=b"")


def _functions(objects: list[object]) -> Mapping[Place, list[FunctionType]]:
    found: dict[Place, list[FunctionType]] = {}
    for function in objects:
        if isinstance(function, FunctionType):
            found.setdefault(_place(function.__code__), []).append(function)
    return found


def _place(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _changed(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]] | None:
    """The functions that differ, of a module or class, and of the classes in it; None where more than these differs."""
    if _same(old, new):
        return []
    if _is_function(old):
        return [(old, new)]
    before, after = list(_inner(old)), list(_inner(new))
    if len(before) != len(after) or not _same(_without_inner(old), _without_inner(new)):
        return None
    inside = [_changed(*pair) for pair in zip(before, after, strict=True)]
    known = [pairs for pairs in inside if pairs is not None]
    return [pair for pairs in known for pair in pairs] if len(known) == len(inside) else None


def _is_function(code: CodeType) -> bool:
    """A module and a class are none."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _same(one: CodeType, other: CodeType) -> bool:
    return without_lines(one) == without_lines(other)


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _without_inner(code: CodeType) -> CodeType:
    return code.replace(co_consts=tuple(None if isinstance(c, CodeType) else c for c in code.co_consts))


def _assigned(statement: ast.stmt) -> str | None:
    """The one name that a statement assigns to."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def _used_at_import(module: ModuleType) -> set[str]:
    """The names that a module's own code and its classes, defaults and comprehensions look up."""
    try:
        code = compile(inspect.getsource(module), "module", "exec", dont_inherit=True)
    except (OSError, TypeError):  # an empty file, or a folder without one
        return set()
    return set(_looked_up(code))


def _looked_up(code: CodeType) -> Iterator[str]:
    yield from (i.argval for i in dis.get_instructions(code) if i.opname in _LOOK_UPS)
    for inner in _inner(code):
        if not _is_function(inner) or inner.co_name.startswith("<"):  # a class, a comprehension, a lambda
            yield from _looked_up(inner)
