"""A mock of LM Studio's HTTP server."""

from __future__ import annotations

from .catalogue import DOWNLOADED, DownloadedModel, described
from .server import MockLMStudio
from .settings import Settings

__all__ = ["DOWNLOADED", "DownloadedModel", "MockLMStudio", "Settings", "described"]
