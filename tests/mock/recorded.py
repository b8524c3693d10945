"""Shapes that LM Studio documents or was seen to send, and the comparison of an answer with one of them.

No adapter of ours is involved: a misreading that the mock and an adapter share would show here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["RECORDED", "differences"]

CONFIG: Final = {
    "context_length": 4096,
    "eval_batch_size": 512,
    "parallel": 4,
    "flash_attention": True,
    "offload_kv_cache_to_gpu": True,
}
V1_LLM: Final = {
    "type": "llm",
    "publisher": "google",
    "key": "google/gemma-4-26b-a4b",
    "display_name": "Gemma 4 26B A4B",
    "architecture": "gemma4",
    "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
    "size_bytes": 17990911801,
    "params_string": None,
    "loaded_instances": [{"id": "google/gemma-4-26b-a4b", "config": CONFIG}],
    "max_context_length": 262144,
    "format": "gguf",
    "capabilities": {"vision": False, "trained_for_tool_use": True},
    "description": None,
}
V1_EMBEDDING: Final = {
    "type": "embedding",
    "publisher": "gaianet",
    "key": "text-embedding-nomic-embed-text-v1.5-embedding",
    "display_name": "Nomic Embed Text v1.5",
    "quantization": {"name": "F16", "bits_per_weight": 16},
    "size_bytes": 274290560,
    "params_string": None,
    "loaded_instances": [{"id": "text-embedding-nomic-embed-text-v1.5-embedding", "config": {"context_length": 2048}}],
    "max_context_length": 2048,
    "format": "gguf",
}
V0_LLM: Final = {
    "id": "meta-llama-3.1-8b-instruct",
    "object": "model",
    "type": "llm",
    "publisher": "lmstudio-community",
    "arch": "llama",
    "compatibility_type": "gguf",
    "quantization": "Q4_K_M",
    "state": "not-loaded",
    "max_context_length": 131072,
    "capabilities": ["tool_use"],
}
V0_FIGURES: Final = {
    "stats": {
        "tokens_per_second": 51.43,
        "time_to_first_token": 0.111,
        "generation_time": 0.954,
        "stop_reason": "eosFound",
    },
    "model_info": {"arch": "granite", "quant": "Q4_K_M", "format": "gguf", "context_length": 4096},
    "runtime": {"name": "llama.cpp-mac-arm64", "version": "1.3.0", "supported_formats": ["gguf"]},
}
USAGE: Final = {"prompt_tokens": 24, "completion_tokens": 53, "total_tokens": 77}
CHAT: Final = {
    "id": "chatcmpl-i3gkjwthhw96whukek9tz",
    "object": "chat.completion",
    "created": 1731990317,
    "model": "granite-3.0-2b-instruct",
    "choices": [
        {
            "index": 0,
            "logprobs": None,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Greetings."},
        }
    ],
    "usage": USAGE,
    "system_fingerprint": "granite-3.0-2b-instruct",
}
CHUNK: Final = {
    "id": "chatcmpl-i3gkjwthhw96whukek9tz",
    "object": "chat.completion.chunk",
    "created": 1731990317,
    "model": "m",
    "system_fingerprint": "m",
    "choices": [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "He"},
            "logprobs": None,
            "finish_reason": None,
        }
    ],
}
NATIVE: Final = {
    "model_instance_id": "m",
    "output": [{"type": "message", "content": "Hi."}],
    "stats": {
        "input_tokens": 329,
        "total_output_tokens": 268,
        "reasoning_output_tokens": 5,
        "tokens_per_second": 43.73,
        "time_to_first_token_seconds": 0.781,
        "model_load_time_seconds": 2.656,
    },
    "response_id": "resp_" + 48 * "0",
}
RESPONSE_MESSAGE: Final = {
    "id": "msg_0123456789abcdefghijkl",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "2\n", "annotations": [], "logprobs": []}],
}
MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi."}],
    "stop_reason": "max_tokens",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 5},
}
RECORDED: Final[Mapping[str, Any]] = {
    "v1 llm": V1_LLM,
    "v1 embedding": V1_EMBEDDING,
    "v0 llm": V0_LLM,
    "v0 figures": V0_FIGURES,
    "chat": CHAT,
    "chunk": CHUNK,
    "native": NATIVE,
    "response message": RESPONSE_MESSAGE,
    "message": MESSAGE,
    "load": {
        "type": "llm",
        "instance_id": "openai/gpt-oss-20b",
        "load_time_seconds": 9.099,
        "status": "loaded",
        "load_config": CONFIG,
    },
    "completion": {
        "id": "cmpl-p9rtxv6fky2v9k8jrd8cc",
        "object": "text_completion",
        "created": 1731990488,
        "model": "m",
        "choices": [{"index": 0, "text": "x", "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    "embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "embedding": [0.1], "index": 0}],
        "model": "text-embedding-nomic-embed-text-v1.5",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
    },
    "openai models": {"data": [{"id": "x", "object": "model", "owned_by": "organization_owner"}], "object": "list"},
    "download": {
        "job_id": "job_1",
        "status": "downloading",
        "total_size_bytes": 1,
        "started_at": "2026-01-15T10:00:00.000Z",
    },
    "download status": {
        "job_id": "job_1",
        "status": "downloading",
        "bytes_per_second": 1.0,
        "estimated_completion": "2026-01-15T10:00:00.000Z",
        "total_size_bytes": 1,
        "downloaded_bytes": 0,
        "started_at": "2026-01-15T10:00:00.000Z",
    },
}


def differences(answer: Any, recorded: Any, where: str = "") -> list[str]:
    """Where ``answer`` has other members, or members of another type, than ``recorded``. Items of a list are like its first."""
    if isinstance(recorded, Mapping) and isinstance(answer, Mapping):
        other = [f"{where}.{name}: only in one of both" for name in answer.keys() ^ recorded.keys()]
        both = [name for name in recorded if name in answer]
        return other + [line for name in both for line in differences(answer[name], recorded[name], f"{where}.{name}")]
    if isinstance(recorded, list) and isinstance(answer, list):
        return [line for item in answer if recorded for line in differences(item, recorded[0], f"{where}[]")]
    kinds = [float if isinstance(value, float) else type(value) for value in (answer, recorded)]
    same = kinds[0] is kinds[1] or {int, float} == set(kinds)
    return [] if same else [f"{where}: {kinds[0].__name__}, not {kinds[1].__name__}"]
