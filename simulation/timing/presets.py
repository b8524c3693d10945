"""Latency profiles by name. Each figure has a source; what is assumed says so."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from statemachine.errors import ConfigurationError

from .profile import ModelProfile, ServerProfile, load_profile

__all__ = ["PRESETS", "profile_named"]

GB: Final = 1_000_000_000

LLAMA_SERVER_GPU: Final = ServerProfile(
    name="llama-server-gpu",
    models=(
        ModelProfile("qwen3.5-4b", int(2.5 * GB), 2128.0, 8.63e-3, 7.9e-8, 0.66, 0.1),
        ModelProfile("glm-4.7-flash", 18 * GB, 2128.0, 8.63e-3, 7.9e-8, 0.66, 0.1),
    ),
    source="Answers: GLM-4.7-Flash in 4 bits on a llama.cpp server, fitted over 5,641 calls of agents (0.66 s + unread / 2128 +"
    " output * (8.63 ms + 7.9e-5 ms * context)); the small model is assumed to answer alike. Loads: gemma3 (3.3 GB) in Ollama took"
    " 6.2 s in the median of 222 loads, 3.2 s at best: 0.5 GB/s from the disk and 1 GB/s from the page cache. Two and four slots: 1.58"
    " and 2.5 times the rate of one, as batching GPUs were measured (1.58 to 1.69 for two).",
    disk_bytes_per_second=0.53 * GB,
    cache_bytes_per_second=1.03 * GB,
    page_cache_bytes=32 * GB,
    slot_rates=(1.0, 1.6, 2.1, 2.5),
    keeps_prefix=False,
    jitter=0.1,
)

LLAMA_SERVER_CPU: Final = ServerProfile(
    name="llama-server-cpu",
    models=(
        ModelProfile("smollm2-135m", 271_000_000, 176.0, 1 / 87, 0.0, 0.0, 0.06),
        ModelProfile("gemma3-270m", 543_000_000, 166.0, 1 / 43, 0.0, 0.0, 0.09),
    ),
    source="SmolLM2-135M and Gemma 3 270M as F16 on llama-server 0.10434 (build of the PyPI wheel), one thread of a 2-core virtual machine:"
    " loads of 0.27 and 1.0 s, unloads of 0.06 and 0.09 s, decode 87 and 43 tokens/s, prefill 176 and 166 tokens/s. Slots: two streams"
    " together made 0.7 of the rate of one, four 1.05: this server does not gain from batching on a CPU.",
    disk_bytes_per_second=0.7 * GB,
    cache_bytes_per_second=0.7 * GB,
    slot_rates=(1.0, 0.7, 0.87, 1.05),
    keeps_prefix=False,
    jitter=0.1,
)

SERVERLESSLLM: Final = ServerProfile(
    name="serverlessllm",
    models=(
        ModelProfile("llama-3.1-8b", 16 * GB, 5000.0, 1 / 60, 0.0, 0.05, 0.1),
        ModelProfile("qwen-32b", 65 * GB, 1500.0, 1 / 20, 0.0, 0.05, 0.1),
    ),
    source="Loads: Llama-3.1-8B in 0.68 s and a 32B model in 3.2 s with ServerlessLLM's loader (4.4 s and 20.6 s from safetensors; Fu et"
    " al., OSDI 2024): 22 GB/s. Answers are assumed: an accelerator of the data centre.",
    engine_start_seconds=0.05,
    disk_bytes_per_second=22 * GB,
    cache_bytes_per_second=22 * GB,
    slot_rates=(1.0, 1.9, 2.7, 3.4, 4.0, 4.5, 5.0, 5.4),
    keeps_prefix=False,
    jitter=0.05,
)

PRESETS: Final = {profile.name: profile for profile in (LLAMA_SERVER_GPU, LLAMA_SERVER_CPU, SERVERLESSLLM)}
"""All of them, by name."""


def profile_named(text: str) -> ServerProfile:
    """Return the preset ``text``, or the profile in the file of that name. Raises ConfigurationError."""
    if text in PRESETS:
        return PRESETS[text]
    path = Path(text)
    if not path.is_file():
        raise ConfigurationError("profile", f"must be a file, or one of {', '.join(PRESETS)}", repr(text))
    return load_profile(path)
