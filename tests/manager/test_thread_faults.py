"""R15: what is wrong with a thread file is a ThreadStoreError, waits are bounded, the file is private, and advice works."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from statemachine import ConfigurationError, ProviderManagerError, RuntimeProviderConfig, StateManager, ThreadStoreError

KEY = "runtime_provider_config"
RUNTIME = RuntimeProviderConfig("p", "m", {"num_ctx": 1, "api_key": "hunter2"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "threads.db"


def overwrite(file: Path, column: str, value: str) -> None:
    """Set ``column`` of all records to the SQL expression ``value``."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute(f"UPDATE record SET {column} = {value}")


def runtime_record(**changes: Any) -> str:
    value = {"provider_name": "p", "model_id": "m", "adapter_options": {"api_key": None}}
    return json.dumps({"runtime": True, "value": value, "left_out": [["adapter_options", "api_key"]], **changes})


DAMAGED = [
    "null",
    "[]",
    "3",
    '"x"',
    "{",
    "[" * 100_000,
    '{"runtime": ' + "[" * 5000,
    "NaN",
    "1" * 5000,
    "\udc00".encode("utf-8", "surrogatepass").decode("latin1"),
    '{"runtime": 1, "value": 1, "left_out": []}',
    '{"runtime": false, "left_out": []}',
    '{"runtime": false, "value": 1, "left_out": 3}',
    '{"runtime": false, "value": 1, "left_out": [3]}',
    '{"runtime": false, "value": {"a": null}, "left_out": [["b"]]}',
    '{"runtime": false, "value": {"a": 1}, "left_out": [["a"]]}',
    '{"runtime": false, "value": [null], "left_out": [[7]]}',
    '{"runtime": false, "value": [null], "left_out": [["0"]]}',
    '{"runtime": false, "value": [null], "left_out": [[true]]}',
    '{"runtime": false, "value": ' + "[" * 100 + "]" * 100 + ', "left_out": []}',
    runtime_record(value=None),
    runtime_record(value=[]),
    runtime_record(value={}),
    runtime_record(value={"provider_name": "p"}),
    runtime_record(value={"provider_name": "", "model_id": "m", "adapter_options": {}}, left_out=[]),
    runtime_record(value={"provider_name": 3, "model_id": "m", "adapter_options": {}}, left_out=[]),
    runtime_record(value={"provider_name": "p", "model_id": "m", "adapter_options": []}, left_out=[]),
    runtime_record(value={"provider_name": "p", "model_id": "m", "adapter_options": {}, "more": 1}, left_out=[]),
    runtime_record(left_out=[["provider_name"]]),
    runtime_record(left_out=[[]]),
]


@pytest.mark.parametrize("secrets", [None, lambda ref: "supplied"], ids=["", "with secrets"])
@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
async def test_r15_a_damaged_record_is_a_typed_error(file: Path, text: str, secrets: Any) -> None:
    await StateManager(file).set_thread_config_value("t", KEY, RUNTIME)
    overwrite(file, "text", "'" + text.replace("'", "''") + "'")
    state = StateManager(file, secrets=secrets)
    with pytest.raises(ThreadStoreError, match="damaged"):
        await state.load_thread_context("t")
    await state.set_thread_config_value("t", KEY, RUNTIME)  # as the error advises
    await state.load_thread_context("t")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("text", "x'00ff'"),
        ("text", "CAST(x'ff80' AS TEXT)"),
        ("key", "x'00ff'"),
        ("key", "CAST(x'ff' AS TEXT)"),
        ("text", "zeroblob(17000000)"),
    ],
)
async def test_r15_so_is_what_is_no_text(file: Path, column: str, value: str) -> None:
    await StateManager(file).set_thread_config_value("t", "k", 1)
    overwrite(file, column, value)
    with pytest.raises(ThreadStoreError):
        await StateManager(file).load_thread_context("t")


@pytest.mark.parametrize("path", ["a\0b", "x" * 300, "/proc/nowhere/threads", "/dev/null/threads"])
async def test_r15_so_is_a_path_that_is_none(path: str) -> None:
    with pytest.raises(ThreadStoreError):
        await StateManager(path).load_thread_context("t")


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_RECORDS = st.one_of(
    st.text(),
    _VALUES.map(json.dumps),
    st.fixed_dictionaries(
        {
            "runtime": st.booleans() | _VALUES,
            "value": _VALUES,
            "left_out": st.lists(st.lists(st.text() | st.integers(), max_size=3), max_size=3) | _VALUES,
        }
    ).map(json.dumps),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(text=_RECORDS)
def test_r15_whatever_a_record_holds_it_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "threads.db"
        trio.run(StateManager(file).set_thread_config_value, "t", "k", 1)
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            with suppress(sqlite3.Error, UnicodeError):
                connection.execute("UPDATE record SET text = ?", (text,))
        with suppress(ProviderManagerError):
            trio.run(StateManager(file).load_thread_context, "t")


@settings(max_examples=80, deadline=None)
@given(position=st.integers(0, 8191), piece=st.binary(min_size=1, max_size=64))
def test_r15_whatever_a_file_holds_it_is_read_or_refused(position: int, piece: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "threads.db"
        trio.run(StateManager(file).set_thread_config_value, "t", "k", "x" * 3000)
        data = bytearray(file.read_bytes())
        data[position : position + len(piece)] = piece
        file.write_bytes(data)
        for method, arguments in (
            ("load_thread_context", ("t",)),
            ("set_thread_config_value", ("t", "k", 2)),
            ("delete_thread", ("t",)),
        ):
            with suppress(ThreadStoreError):
                trio.run(getattr(StateManager(file), method), *arguments)


# ---- locks ----


async def test_r15_waiting_for_a_lock_ends_with_a_cancellation(file: Path) -> None:
    await StateManager(file).set_thread_config_value("t", "k", 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = trio.current_time()
        with trio.move_on_after(0.2) as scope:
            await StateManager(file).load_thread_context("t")
        assert scope.cancelled_caught
        assert trio.current_time() - began < 3
        other.execute("ROLLBACK")
    assert (await StateManager(file).load_thread_context("t")).config == {"k": 1}


async def test_r15_and_is_bounded(file: Path, autojump_clock: MockClock) -> None:
    await StateManager(file).set_thread_config_value("t", "k", 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ThreadStoreError, match="locked by another process for 10 s"):
            await StateManager(file).set_thread_config_value("t", "k", 2)
        assert 10 <= trio.current_time() < 11


async def test_r15_a_lock_that_is_given_back_in_time_is_no_error(file: Path) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", "k", 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(state.set_thread_config_value, "t", "k", 2)
            await trio.sleep(0.1)
            other.execute("ROLLBACK")
    assert (await state.load_thread_context("t")).config == {"k": 2}


# ---- who may read ----


@pytest.mark.skipif(os.name != "posix", reason="modes are for POSIX systems")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o602])
def test_r15_an_older_file_becomes_private(file: Path, mode: int) -> None:
    trio.run(StateManager(file).set_thread_config_value, "t", "k", 1)
    file.chmod(mode)
    trio.run(StateManager(file).load_thread_context, "t")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes are for POSIX systems")
def test_r15_or_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError("not the owner")

    trio.run(StateManager(file).set_thread_config_value, "t", "k", 1)
    file.chmod(0o644)
    monkeypatch.setattr(os, "chmod", refuse)  # the tests may run as root, who may do everything
    with pytest.raises(ThreadStoreError, match=r"may be read by other users.*chmod 600"):
        trio.run(StateManager(file).load_thread_context, "t")


# ---- what has the shape of a secret ----

SHAPES = [
    "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789",
    "sk-ant-api03-abcdefghijklmnop",
    "Bearer abcdefghijklmnop1234",
    "bearer ABCDEF.ghijkl-mnop_qr",
    "Basic dXNlcjpwYXNzd29yZA==",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijklmnop",
    "hf_abcdefghijklmnopqrst",
    "xoxb-123456789012-abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz012345",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc",
    "glpat-abcdefghij0123456789",
]


@pytest.mark.parametrize("secret", SHAPES)
async def test_r15_a_well_known_secret_in_a_value_is_not_written(file: Path, secret: str) -> None:
    state = StateManager(file)
    values = {"a": secret, "b": {"note": f"use {secret} for it"}, "c": ["x", {"y": [secret]}]}
    for key, value in values.items():
        await state.set_thread_config_value("t", key, value)
    with pytest.raises(ConfigurationError, match="looks like a credential") as caught:
        await state.set_thread_config_value("t", "d", {secret: 1})
    assert secret not in str(caught.value)
    assert secret.encode() not in b"".join(path.read_bytes() for path in file.parent.iterdir())
    context = await state.load_thread_context("t")
    assert {ref.key for ref in context.missing} == {"a", "b", "c"}
    await StateManager(file, store_secrets=True).set_thread_config_value("t", "a", secret)
    assert (await state.load_thread_context("t")).config["a"] == secret


@pytest.mark.parametrize(
    "text",
    [
        "ask-me-anything-please",
        "the bearer of news",
        "task-1234",
        "basic training",
        "sk-short",
        "-----BEGIN CERTIFICATE-----",
    ],
)
async def test_r15_ordinary_text_is_written(file: Path, text: str) -> None:
    await StateManager(file).set_thread_config_value("t", "k", text)
    assert (await StateManager(file).load_thread_context("t")).config == {"k": text}


async def test_r15_the_advice_for_what_is_missing_works(file: Path) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", KEY, RUNTIME)
    with pytest.raises(ConfigurationError) as caught:
        _ = (await state.load_thread_context("t")).runtime_provider_config
    for advice in ("secrets=", "base_options", "store_secrets=True"):
        assert advice in str(caught.value)
    supplied = StateManager(file, secrets=lambda ref: "hunter2")
    assert (await supplied.load_thread_context("t")).runtime_provider_config == RUNTIME
    plain = RuntimeProviderConfig("p", "m", {"num_ctx": 1})  # the key among the provider's base_options
    await state.set_thread_config_value("t", KEY, plain)
    assert (await state.load_thread_context("t")).runtime_provider_config == plain
    keeping = StateManager(file, store_secrets=True)
    await keeping.set_thread_config_value("t", KEY, RUNTIME)
    assert (await state.load_thread_context("t")).runtime_provider_config == RUNTIME


@pytest.mark.parametrize("name", ["a\x1b[31m\nforged", "\ud800", "x" * 100_000])
async def test_r17_names_of_threads_and_files_are_made_fit_to_show(tmp_path: Path, name: str) -> None:
    texts: list[str] = []
    for state in (StateManager(tmp_path / "nowhere" / name[:50].replace("\ud800", "x")), StateManager()):
        for arguments in ((name, "k"), ("t", name)):
            with suppress(ProviderManagerError):
                try:
                    await state.set_thread_config_value(*arguments, value=object())
                    raise AssertionError("set")
                except ProviderManagerError as error:
                    texts.append(str(error))
                    raise
    file = StateManager(tmp_path / "nowhere" / name[:50].replace("\ud800", "x"))
    with pytest.raises(ThreadStoreError) as caught:
        await file.load_thread_context("t")
    for text in [*texts, str(caught.value)]:
        assert text.isprintable()
        assert len(text) < 2000
