"""Environments of their own for peers: made on first use, kept in ``.peers``, skipped with a reason where they do not install."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Environment", "UnavailableError", "environment"]

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".peers"
PINS: Final = ROOT / "benchmarks" / "peers" / "environments.toml"


class UnavailableError(Exception):
    """The environment cannot be made here; the text says why."""


@dataclass(frozen=True)
class Environment:
    """A Python to run peers with, and the packages in it as ``pip freeze`` lists them."""

    python: Path
    packages: tuple[str, ...]


OWN: Final = Environment(Path(sys.executable), ())


@cache
def environment(name: str | None) -> Environment:
    """Return the environment ``name``, made where it is missing or its pins have changed; None is our own. Raises UnavailableError."""
    if name is None:
        return OWN
    wanted = "\n".join(tomllib.loads(PINS.read_text(encoding="utf-8"))[name]["requirements"])
    folder = FOLDER / name
    python, done = folder / "bin" / "python", folder / "requirements.txt"
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted.split("\n")])
        done.write_text(wanted, encoding="utf-8")
    frozen = _run([str(python), "-m", "pip", "freeze", "--disable-pip-version-check"])
    return Environment(python, tuple(frozen.split()))


def _run(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        lines = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")] or ran.stderr.splitlines()
        raise UnavailableError(lines[-1] if lines else f"{command[2]} ended with {ran.returncode}")
    return ran.stdout
