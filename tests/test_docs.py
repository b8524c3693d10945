"""The pages: their links lead somewhere, their Python is Python, and whole programs run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
PYTHON = re.compile(r"^( *)```python\n(.*?)\n\1```", re.S | re.M)
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
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_are_python(page: Path) -> None:
    for _, block in PYTHON.findall(page.read_text(encoding="utf-8")):
        ast.parse(textwrap.dedent(block))


@pytest.mark.parametrize(("page", "program"), PROGRAMS, ids=[f"{page}-{n}" for n, (page, _) in enumerate(PROGRAMS)])
def test_whole_programs_run(page: str, program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{page}: {done.stderr}"
