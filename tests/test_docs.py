"""The pages: their links lead somewhere, their Python is Python, and whole programs run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

from adapters.__main__ import COMMANDS as ADAPTERS
from simulation.__main__ import COMMANDS as SIMULATION
from statemachine.__main__ import COMMANDS as STATEMACHINE
from statemachine.shell.options import parser_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
PYTHON = re.compile(r"^( *)```python\n(.*?)\n\1```", re.S | re.M)
COMMAND = re.compile(r"(llm-slots|python -m (?:adapters|simulation|statemachine)) ([a-z]+)\b([^`\n#|]*)")
PROGRAMS = [
    (page.name, block)
    for page in PAGES
    for _, block in PYTHON.findall(page.read_text(encoding="utf-8"))
    if ("trio.run(" in block or "asyncio.run(" in block) and "FakeAdapter" in block
]
"""Whole programs that need no server."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve()
        assert found.exists(), f"{page.name}: {target}"
        assert page.parent == ROOT or found.is_relative_to(page.parent), (
            f"{page.name}: {target} is not part of the site"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_are_python(page: Path) -> None:
    for _, block in PYTHON.findall(page.read_text(encoding="utf-8")):
        ast.parse(textwrap.dedent(block))


@pytest.mark.parametrize(("page", "program"), PROGRAMS, ids=[f"{page}-{n}" for n, (page, _) in enumerate(PROGRAMS)])
def test_whole_programs_run(page: str, program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_are_there(page: Path) -> None:
    for door, name, words in COMMAND.findall(page.read_text(encoding="utf-8")):
        module = _module_of(door, name)
        assert module is not None, f"{door} {name}"
        shown = parser_of("", "", import_module(module).Options).format_help()
        ours = words.partition(" -- ")[0]  # what follows is another program's
        for option in re.findall(r"--[a-z][a-z-]*", ours):
            assert re.search(rf"{option}\b", shown), f"{door} {name} has no {option}"


def _module_of(door: str, name: str) -> str | None:
    if door.endswith("simulation"):
        return f"simulation.commands.{name}" if name in SIMULATION else None
    table = STATEMACHINE if door.endswith("statemachine") else ADAPTERS
    return table[name].module if name in table else None
