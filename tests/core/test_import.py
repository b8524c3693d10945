"""What ``import statemachine`` loads, and what it leaves until it is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

import statemachine

LATER = (
    "asyncio",
    "sqlite3",
    "statemachine.checking",
    "statemachine.properties",
    "statemachine.schedules",
    "statemachine.threads",
)


def loaded_by(code: str) -> list[str]:
    code = f"{code}\nimport sys\nprint(*sys.modules)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_package_loads_only_what_every_program_uses() -> None:
    loaded = loaded_by("import statemachine\nstatemachine.ProviderManager, statemachine.ReasoningEngine")
    assert [name for name in LATER if name in loaded] == []


def test_what_is_loaded_later_is_there_when_it_is_named() -> None:
    assert "statemachine.threads.state" in loaded_by("from statemachine import StateManager")
    assert {name for name in statemachine.__all__ if not hasattr(statemachine, name)} == set()
    assert set(statemachine.__all__) <= set(dir(statemachine))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'statemachine' has no attribute 'nothing'"):
        statemachine.nothing  # noqa: B018  # naming it is the test
