"""What the README shows is what there is: its example runs, its diagrams are the machines'."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest

import statemachine
from statemachine.__main__ import main
from statemachine.core.diagram import mermaid
from statemachine.core.lifecycle import MACHINES, MANAGER, FastMachine

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DIAGRAMS = (ROOT / "docs" / "machines.md").read_text(encoding="utf-8")


def test_the_example_is_the_file() -> None:
    (code,) = re.findall(r"```python\n(.*?)\n```", README, re.S)
    assert code == (ROOT / "examples" / "quickstart.py").read_text(encoding="utf-8").rstrip()


@pytest.mark.parametrize("machine", [*MACHINES, MANAGER], ids=lambda m: m.kind)
def test_the_diagrams_are_drawn_from_the_machines(machine: FastMachine[Any, Any]) -> None:
    assert f"```mermaid\n{mermaid(machine)}\n```" in DIAGRAMS


def test_the_command_draws_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diagram"]) == 0
    printed = capsys.readouterr().out
    assert all(mermaid(machine) in printed for machine in (*MACHINES, MANAGER))


def _first_screen() -> str:
    """The lines to paste, but for those that install."""
    (lines,) = re.findall(r"```sh\n(.*?)```", README, re.S)
    return "".join(line for line in lines.splitlines(keepends=True) if not line.startswith(("python3 -m venv", "pip ")))


ALONE = ["unshare", "--map-root-user", "--net", "bash", "-c"]
"""With a loopback of its own, where no other program has the usual ports (Linux)."""
HAS_LOOPBACK = (
    shutil.which("unshare") is not None
    and subprocess.run([*ALONE, "ip link set lo up"], capture_output=True).returncode == 0
)


@pytest.mark.skipif(not HAS_LOOPBACK, reason="needs a network namespace of its own")
def test_the_first_screen_does_what_it_says(tmp_path: Path) -> None:
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)}
    script = f"ip link set lo up; set -m\n{_first_screen()}"
    done = subprocess.run([*ALONE, script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    for agent in ("ann", "bob"):
        assert re.search(rf"^{agent} +2 answered", done.stdout, re.M), done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-1].startswith("conforming")
    assert "error" not in done.stderr


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "examples").glob("[a-z]*.py")))
def test_every_example_runs(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_n10_it_says_how_to_install_what_comes_out_and_with_what_it_goes() -> None:
    assert re.search(rf"pip install '?{metadata('llm-slot-manager')['Name']}\b", README)
    assert "asyncio" in README
    assert "![" in README, "a picture"


def test_n10_the_version_is_told() -> None:
    assert statemachine.__version__ == version("llm-slot-manager")
