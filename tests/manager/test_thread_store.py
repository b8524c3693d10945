"""The file that threads are kept in: it lasts, it is private, it is shared, and no other program's file is touched."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from statemachine import RuntimeProviderConfig
from statemachine.errors import ThreadStoreError
from statemachine.threads.state import StateManager


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "threads.db"


async def test_a_file_outlives_its_manager(file: Path) -> None:
    config = RuntimeProviderConfig("openai", "gpt-4o", {"base_url": "http://localhost:1234/v1", "num_ctx": 4096})
    await StateManager(file).set_thread_config_value("t", "runtime_provider_config", config)
    assert (await StateManager(str(file)).load_thread_context("t")).runtime_provider_config == config


def test_a_file_is_private(file: Path) -> None:
    before = os.umask(0)
    try:
        trio.run(StateManager(file).set_thread_config_value, "t", "k", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_two_managers_share_a_file(file: Path) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(StateManager(file).set_thread_config_value, "t", f"k{number}", number)
    assert (await StateManager(file).load_thread_context("t")).config == {f"k{number}": number for number in range(6)}


async def test_a_relative_path_and_sqlites_special_names_are_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = StateManager(":memory:")
    monkeypatch.chdir(tmp_path.parent)
    await state.set_thread_config_value("t", "k", 1)
    assert (tmp_path / ":memory:").is_file()
    assert (await state.load_thread_context("t")).config == {"k": 1}


def _other_program(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE theirs (x)")


def _newer_schema(file: Path) -> None:
    trio.run(StateManager(file).set_thread_config_value, "t", "k", 1)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 2")


def _damaged(file: Path) -> None:
    trio.run(StateManager(file).set_thread_config_value, "t", "k", "x" * 10_000)
    file.write_bytes(file.read_bytes()[:4096] + b"\xff" * 4096)


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda file: file.write_bytes(b"no database at all" * 100), "not a database"),
        (lambda file: file.mkdir(), "cannot be used"),
        (_other_program, "another program"),
        (_newer_schema, "schema version 2"),
        (_damaged, "malformed"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(file: Path, prepare: Any, words: str) -> None:
    prepare(file)
    before = file.read_bytes() if file.is_file() else b""
    state = StateManager(file)
    with pytest.raises(ThreadStoreError, match=words):
        trio.run(state.load_thread_context, "t")
    with pytest.raises(ThreadStoreError, match=words):
        trio.run(state.set_thread_config_value, "t", "k", 1)
    assert (file.read_bytes() if file.is_file() else b"") == before


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ThreadStoreError, match="cannot be used") as caught:
        await StateManager(tmp_path / "nowhere" / "threads.db").load_thread_context("t")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize("text", ["", "null", "{}", "not JSON", '{"runtime": true, "value": 1, "left_out": []}'])
async def test_a_damaged_record_is_named(file: Path, text: str) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", "k", 1)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("UPDATE record SET text = ?", (text,))
    with pytest.raises(ThreadStoreError, match=r"'t'.*'k' is damaged"):
        await state.load_thread_context("t")
