"""The one file that names the HTTP library: all others take it from here, so that another library is a change of this file."""

from __future__ import annotations

from typing import TypeAlias

import httpx as httpx

__all__ = ["Transport", "httpx"]

Transport: TypeAlias = httpx.AsyncBaseTransport
"""The network of an adapter, or what stands in its place."""
