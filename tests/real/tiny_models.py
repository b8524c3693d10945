"""Tiny language models for a real llama.cpp server: random weights, by default half a megabyte that is loaded at once.

The file is a whole GGUF of the ``llama`` architecture. Random weights would also give byte tokens, which break the server's reader of
chats. So the output matrix has zeros for everything but printable tokens, and rows in pairs ``w`` and ``-w`` for those: whatever the hidden
state is, one of a pair is positive, and a printable token wins. The end token never comes: an answer is bounded by ``max_tokens``.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

__all__ = ["CONTEXT_LENGTH", "Shape", "write_tiny_model"]

CONTEXT_LENGTH = 8192
_SPECIAL = ("<unk>", "<s>", "</s>")
_WORDS = ("the", "a", "slot", "model", "waits", "for", "its", "lease")
_PRINTABLE = (*(f"\u2581{word}" for word in _WORDS), *string.ascii_lowercase)  # U+2581 is a blank before the word
_CHAT = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"


@dataclass(frozen=True)
class Shape:
    """How large a model is: the width of its states, which its heads divide evenly, its layers, and the width inside of a layer."""

    width: int = 64
    layers: int = 2
    heads: int = 4
    feed_forward: int = 128


def write_tiny_model(path: Path, *, seed: int, shape: Shape = Shape()) -> None:
    """Write the model of ``seed`` to ``path``. A file that is there already is whole: it is written aside, then renamed."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{seed}.unfinished")
    writer = gguf.GGUFWriter(unfinished, "llama")
    _add_architecture(writer, path.stem, shape)
    _add_vocabulary(writer)
    _add_weights(writer, np.random.default_rng(seed), shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(path)


def _add_architecture(writer: gguf.GGUFWriter, name: str, shape: Shape) -> None:
    writer.add_name(name)
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    control, byte, normal = gguf.TokenType.CONTROL, gguf.TokenType.BYTE, gguf.TokenType.NORMAL
    tokens = [*_SPECIAL, *(f"<0x{value:02X}>" for value in range(256)), *_PRINTABLE]
    kinds = [gguf.TokenType.UNKNOWN, control, control, *[byte] * 256, *[normal] * len(_PRINTABLE)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(len(tokens))])
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_vocab_size(len(tokens))
    writer.add_chat_template(_CHAT)


def _add_weights(writer: gguf.GGUFWriter, random: np.random.Generator, shape: Shape) -> None:
    def matrix(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(name, random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(name, np.ones(shape.width, dtype=np.float32))

    matrix("token_embd.weight", len(_SPECIAL) + 256 + len(_PRINTABLE), shape.width)
    norm("output_norm.weight")
    writer.add_tensor("output.weight", _output(random, shape.width))
    for layer in range(shape.layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}.weight", shape.width, shape.width)
        matrix(f"blk.{layer}.ffn_gate.weight", shape.feed_forward, shape.width)
        matrix(f"blk.{layer}.ffn_up.weight", shape.feed_forward, shape.width)
        matrix(f"blk.{layer}.ffn_down.weight", shape.width, shape.feed_forward)
        norm(f"blk.{layer}.attn_norm.weight")
        norm(f"blk.{layer}.ffn_norm.weight")


def _output(random: np.random.Generator, width: int) -> np.ndarray:
    """The output matrix: see the top of the file."""
    half = random.normal(0, 5, (len(_PRINTABLE) // 2, width))
    unprintable = np.zeros((len(_SPECIAL) + 256, width))
    odd = np.zeros((len(_PRINTABLE) % 2, width))
    return np.concatenate([unprintable, half, -half, odd]).astype(np.float32)
