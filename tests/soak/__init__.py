"""Long campaigns against the running library, each with a slice that is short enough for every run of the tests."""

from __future__ import annotations

__all__: list[str] = []
