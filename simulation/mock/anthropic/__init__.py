"""A loopback server of Anthropic's messages, written from its documented wire."""

from __future__ import annotations

from .server import MockAnthropic

__all__ = ["MockAnthropic"]
