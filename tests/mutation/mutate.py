"""The mutants of a module: its source with one small change each."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeRange, PositionProvider
from mutmut.mutation.mutators import mutation_operators

from .patch import without_lines

__all__ = ["Mutant", "mutants"]


@dataclass(frozen=True)
class Mutant:
    """One changed module. ``old`` and ``new`` are the lines that differ; ``where`` is the class and function that they stand in.

    ``lines`` are those of the changed statement (of its head, if others are inside), as they are numbered without the change.
    """

    module: str
    where: str
    old: str
    new: str
    lines: range
    source: str

    @property
    def digest(self) -> str:
        """Its identity, for as long as nothing else in the module changes."""
        return sha256(f"{self.module}\n{self.source}".encode()).hexdigest()[:20]


def mutants(module: str, source: str) -> Iterator[Mutant]:
    """Every change of ``source`` that compiles, and to something else. Annotations are left alone: they are never evaluated."""
    wrapper = cst.MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    spans = wrapper.resolve(ByteSpanPositionProvider)
    positions = wrapper.resolve(PositionProvider)
    text = source.encode()
    seen = {_compiled(source)}
    for node, where, statement in _nodes(wrapper.module, (), wrapper.module):
        for part, replacement in _changes(node):
            first, last = spans[part].start, spans[part].start + spans[part].length
            space = text[first:last][: -len(text[first:last].lstrip())]
            changed = wrapper.module.code_for_node(replacement).strip().encode()
            code = (text[:first] + space + changed + text[last:]).decode()
            compiled = _compiled(code)
            if compiled is not None and compiled not in seen:
                seen.add(compiled)
                yield Mutant(module, ".".join(where), *_difference(source, code), _lines(statement, positions), code)


def _changes(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """What can be put in the place of ``node``, or of a part of it."""
    for kind, operator in mutation_operators:
        if isinstance(node, kind):
            yield from ((node, changed) for changed in operator(node))
    if isinstance(node, cst.SimpleStatementLine) and _matters_by_itself(node):
        yield node, cst.Pass()
    if isinstance(node, cst.If | cst.While):
        parenthesised = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.test, cst.UnaryOperation(cst.Not(), parenthesised)
    if isinstance(node, cst.Integer) and node.evaluated_value > 0:  # mutmut takes the number after
        yield node, cst.Integer(str(node.evaluated_value - 1))


def _matters_by_itself(line: cst.SimpleStatementLine) -> bool:
    """A call, an end, a deletion, or a change of something that is no local variable: it can be left out."""
    match line.body:
        case [cst.Expr(value=cst.Call() | cst.Await() | cst.Yield())]:
            return True
        case [cst.AugAssign() | cst.Del() | cst.Raise() | cst.Return() | cst.Break() | cst.Continue()]:
            return True
        case [cst.Assign(targets=targets)]:
            return any(not isinstance(target.target, cst.Name) for target in targets)
    return False


def _nodes(
    node: cst.CSTNode, where: tuple[str, ...], statement: cst.CSTNode
) -> Iterator[tuple[cst.CSTNode, tuple[str, ...], cst.CSTNode]]:
    """With each node the names of the class and function, and the innermost statement or clause, that it stands in."""
    if isinstance(node, cst.Annotation):
        return
    if isinstance(node, cst.ClassDef | cst.FunctionDef):
        where = (*where, node.name.value)
    if isinstance(node, cst.SimpleStatementLine) or _inside(node) is not None:
        statement = node
    yield node, where, statement
    for child in node.children:
        yield from _nodes(child, where, statement)


def _inside(node: cst.CSTNode) -> cst.CSTNode | None:
    """What follows the head of a compound statement or of one of its clauses."""
    if isinstance(node, cst.Match):
        return node.cases[0]
    body = getattr(node, "body", None)
    return body if isinstance(body, cst.BaseSuite) else None


def _lines(statement: cst.CSTNode, positions: Mapping[cst.CSTNode, CodeRange]) -> range:
    first, last = positions[statement].start.line, positions[statement].end.line
    inside = _inside(statement)
    return range(first, last + 1 if inside is None else max(first + 1, positions[inside].start.line))


def _compiled(source: str) -> bytes | None:
    """What the interpreter would run, wherever the lines stand; None where that is nothing."""
    try:
        return marshal.dumps(without_lines(compile(source, "mutant", "exec", dont_inherit=True)))
    except SyntaxError:
        return None


def _difference(old: str, new: str) -> tuple[str, str]:
    """The lines of each that are not common to their beginnings and ends, on one line."""
    before, after = old.splitlines(), new.splitlines()
    first = _common(before, after)
    last = _common(before[first:][::-1], after[first:][::-1])
    return _joined(before[first : len(before) - last]), _joined(after[first : len(after) - last])


def _common(one: list[str], other: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)
