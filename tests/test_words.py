"""Words that make a sentence a riddle, counted outside of quotations. They stand three times in as much of trio, httpcore and h11."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
RIDDLES = re.compile(r"\b(?:whoever|nobody|somebody|oneself|so many|for ever|likewise|dear)\b", re.I)
QUOTED = re.compile(r"``[^`]*``|`[^`]*`|\"[^\"\n]{1,60}\"")
PHRASES = re.compile(r"\b(?:came of|comes of|what became of|for want of|given up on|heard? of|hears of)\b", re.I)
"""Turns of phrase that stand there not once, in three million characters."""
CLEAN = ("statemachine", "benchmarks", "tests/core", "tests/proof", "tests/spin")
"""Folders without any. The whole tree has at most LIMIT."""
LIMIT = 9


def _riddles(path: Path, pattern: re.Pattern[str] = RIDDLES) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = re.sub(r"^>.*$", "", text, flags=re.M)  # what others say
    return [f"{path.relative_to(ROOT)}: {found[0]}" for found in pattern.finditer(QUOTED.sub("", text))]


def _files() -> list[Path]:
    tops = ("statemachine", "adapters", "simulation", "benchmarks", "tests", "examples", "docs")
    files = [path for top in tops for kind in ("*.py", "*.md") for path in (ROOT / top).rglob(kind)]
    return sorted({*files, *ROOT.glob("*.md")} - {Path(__file__), ROOT / "CHANGELOG.md"})


def _is_in(path: Path, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(ROOT / folder) for folder in folders)


def test_the_core_and_its_proof_have_no_riddles() -> None:
    files = [path for path in _files() if _is_in(path, CLEAN)]
    assert [one for path in files for one in (*_riddles(path), *_riddles(path, PHRASES))] == []


def test_there_are_fewer_than_ten_in_the_whole_tree() -> None:
    found = [one for path in _files() for one in _riddles(path)]
    assert len(found) <= LIMIT, "\n".join(found)


NO_VERB = re.compile(
    r"(?:an?|the|all|each|every|one|its|their|those|what|which|who|why|how|when|where|whether|if|as|of|in|from|for|by)\b|``",
    re.I,
)
"""What a sentence begins with that does not say, in its first word, what a function does."""


def _without_a_verb(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("__"):
            told = ast.get_docstring(node) or ""
            is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
            if NO_VERB.match(told) and not is_property:
                yield f"{path.relative_to(ROOT)}: {node.name}: {told.splitlines()[0]}"


def test_a_docstring_begins_with_what_the_function_does() -> None:
    """Look at the packages; the tests, examples and benchmarks are not looked at."""
    files = [
        path for path in _files() if path.suffix == ".py" and _is_in(path, ("statemachine", "adapters", "simulation"))
    ]
    assert [one for path in files for one in _without_a_verb(path)] == []
