"""Every public class name has one meaning: it stands in one module, unless several modules mean the same by it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]

ONE_MEANING = {
    "ClientGoneError": "a client that closed its connection, in the gateway and in the mock servers",
    "CutError": "an answer that a mock server cuts",
    "Dialect": "how one protocol writes answers and errors, in the gateway and in the mock",
    "Entry": "a row of a table of commands",
    "LoadFailedError": "a load that a mock server lets fail",
    "Options": "the options of a command, by convention in each command's module",
}


def test_no_public_class_name_has_two_meanings() -> None:
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for top in ("statemachine", "adapters", "simulation"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    modules[node.name].append(str(path.relative_to(ROOT)))
    shared = {name: found for name, found in modules.items() if len(found) > 1}
    new = {name: found for name, found in shared.items() if name not in ONE_MEANING}
    assert not new, new
