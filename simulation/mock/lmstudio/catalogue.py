"""What LM Studio knows of a downloaded model beyond its speed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

from simulation.timing.latency import DEFAULT_MODELS, ModelSpec

__all__ = ["DOWNLOADED", "DownloadedModel", "described"]


@dataclass(frozen=True, slots=True)
class DownloadedModel(ModelSpec):
    """A row of the server's lists. ``reasons``: its answers begin with reasoning, unless a request says otherwise."""

    kind: Literal["llm", "vlm", "embedding"] = "llm"
    reasons: bool = False
    uses_tools: bool = True
    architecture: str = "mock"
    quantization: str = "Q4_K_M"
    bits_per_weight: int = 4
    format: str = "gguf"
    params: str | None = None
    variants: tuple[str, ...] = ()

    @property
    def publisher(self) -> str:
        """The first part of the key."""
        return self.key.rpartition("/")[0] or "mock"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]


def described(spec: ModelSpec) -> DownloadedModel:
    """Return ``spec`` with what the lists say. A key that begins with ``text-embedding-`` is an embedding model's, as in LM Studio."""
    if isinstance(spec, DownloadedModel):
        return spec
    figures = {field.name: getattr(spec, field.name) for field in fields(ModelSpec)}
    model = DownloadedModel(**figures)
    return DownloadedModel(**figures, kind="embedding") if model.name.startswith("text-embedding-") else model


def _defaults() -> tuple[DownloadedModel, ...]:
    nomic = DownloadedModel(
        "text-embedding-nomic-embed-text-v1.5",
        size_bytes=84_106_624,
        load_seconds=0.5,
        unload_seconds=0.1,
        prefill_tokens_per_second=5000.0,
        context_length=2048,
        max_context_length=2048,
        kind="embedding",
        architecture="nomic-bert",
    )
    return (*map(described, DEFAULT_MODELS), nomic)


DOWNLOADED: Final = _defaults()
"""What ``serve`` offers: the models of the workloads, and an embedding model."""
