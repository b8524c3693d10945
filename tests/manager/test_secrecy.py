"""What a file must not hold in clear, and how it is put back."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from statemachine import RuntimeProviderConfig
from statemachine.errors import ConfigurationError
from statemachine.threads.record import SecretRef
from statemachine.threads.secrecy import looks_like_credential
from statemachine.threads.state import StateManager

SECRET = "sk-4f1c-do-not-write"
KEY = "runtime_provider_config"
NAMES = st.sampled_from(["a", "api_key", "tokens", "headers", "x y", "é", ""]) | st.text(max_size=3)
HIDDEN = st.recursive(
    st.just(SECRET), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "threads.db"


def config_with(**options: Any) -> RuntimeProviderConfig:
    return RuntimeProviderConfig("openai", "gpt-4o", options)


def bytes_beside(file: Path) -> bytes:
    """What the file and everything that SQLite may have put beside it hold."""
    return b"".join(path.read_bytes() for path in file.parent.iterdir())


REVEALING_OPTIONS: list[dict[str, Any]] = [
    {"api_key": SECRET},
    {"apiKey": SECRET},
    {"unheard_of": SECRET},
    {"extra": {"deeper": [{"X-Custom": SECRET}]}},
    {"headers": [["Authorization", f"Bearer {SECRET}"]]},
    {"base_url": f"http://user:{SECRET}@localhost:1234"},
    {"base_url": f"http://localhost:1234/v1?key={SECRET}"},
    {"base_url": {"headers": {"base_url": SECRET}}},
    {"keep_alive": ["5m", {"token": SECRET}]},
]


@pytest.mark.parametrize("options", REVEALING_OPTIONS)
async def test_credentials_in_options_are_not_written(file: Path, options: dict[str, Any]) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", KEY, config_with(**options))
    assert b"gpt-4o" in bytes_beside(file)
    assert SECRET.encode() not in bytes_beside(file)
    context = await state.load_thread_context("t")
    assert [ref.path[0] for ref in context.missing] == ["adapter_options"]
    assert context.config == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", SECRET),
        ("search", {"api_token": SECRET}),
        ("search", [{"Authorization": {"scheme": SECRET}}]),
        ("search", {"auth": [["name", SECRET]]}),
        ("database", f"postgresql://me:{SECRET}@localhost/db"),
        ("note", f"The database is at postgresql://me:{SECRET}@localhost/db, mind."),
        ("hook", f"https://example.org/hook?t={SECRET}"),
    ],
)
async def test_credentials_in_other_values_are_not_written(file: Path, key: str, value: Any) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", key, value)
    await state.set_thread_config_value("t", KEY, config_with())
    assert SECRET.encode() not in bytes_beside(file)
    context = await state.load_thread_context("t")
    assert context.config == {KEY: config_with()}
    assert context.runtime_provider_config == config_with()
    assert [ref.key for ref in context.missing] == [key]


async def test_what_is_no_credential_is_written(file: Path) -> None:
    options = {
        "base_url": "https://host.example:8443/v1",
        "keep_alive": "5m",
        "max_tokens": 100,
        "use_auth": True,
        "api_key": None,
        "num_ctx": 4096,
        "headers": {},
    }
    other = {
        "monkey": "business",
        "text": "What is 2 + 2? See https://example.org/?page=2 and me@example.org",
        "pin": False,
    }
    state = StateManager(file)
    await state.set_thread_config_value("t", KEY, config_with(**options))
    await state.set_thread_config_value("t", "other", other)
    context = await state.load_thread_context("t")
    assert context.missing == ()
    assert context.runtime_provider_config == config_with(**options)
    assert context.config["other"] == other


async def test_a_provider_without_its_secret_is_not_used(file: Path) -> None:
    await StateManager(file).set_thread_config_value(
        "t", KEY, config_with(num_ctx=1, auth={"token": SECRET}, api_key=SECRET)
    )
    context = await StateManager(file).load_thread_context("t")
    refs = tuple(SecretRef("t", KEY, ("adapter_options", name), "openai") for name in ("auth", "api_key"))
    assert context.missing == refs
    with pytest.raises(ConfigurationError) as caught:
        _ = context.runtime_provider_config
    assert caught.value.field == f"{KEY}.adapter_options.auth, {KEY}.adapter_options.api_key"
    with pytest.raises(ConfigurationError):
        await StateManager(file).runtime_provider_config("t")


async def test_a_secret_source_completes_the_value(file: Path) -> None:
    config = config_with(api_key=SECRET, servers=["http://a", {"password": SECRET}])
    await StateManager(file).set_thread_config_value("t", KEY, config)
    await StateManager(file).set_thread_config_value("t", "pin", 1234)
    asked: dict[str, SecretRef] = {}
    answers = {"api_key": SECRET, "servers": "http://a", "password": SECRET, "pin": 1234}

    def secrets(ref: SecretRef) -> object:
        asked[str(ref)] = ref
        return answers[ref.name]

    context = await StateManager(file, secrets=secrets).load_thread_context("t")
    assert context.runtime_provider_config == config
    assert context.config["pin"] == 1234
    assert context.missing == ()
    options = f"{KEY}.adapter_options"
    assert set(asked) == {"pin", f"{options}.api_key", f"{options}.servers[0]", f"{options}.servers[1].password"}
    assert asked["pin"] == SecretRef("t", "pin", ())
    assert SECRET.encode() not in bytes_beside(file)


async def test_a_secret_source_may_know_only_some(file: Path) -> None:
    await StateManager(file).set_thread_config_value("t", KEY, config_with(api_key=SECRET, other=SECRET))
    state = StateManager(file, secrets=lambda ref: SECRET if ref.name == "api_key" else None)
    assert [ref.name for ref in (await state.load_thread_context("t")).missing] == ["other"]


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [(KEY, config_with(api_key=SECRET), "adapter_options.api_key"), ("db", {"password": SECRET}, "config.db.password")],
)
async def test_a_secret_source_must_supply_data(file: Path, key: str, value: Any, field: str) -> None:
    await StateManager(file).set_thread_config_value("t", key, value)
    with pytest.raises(ConfigurationError) as caught:
        await StateManager(file, secrets=lambda ref: object()).load_thread_context("t")
    assert caught.value.field == field


async def test_secrets_are_written_where_that_is_asked_for(file: Path) -> None:
    await StateManager(file, store_secrets=True).set_thread_config_value("t", KEY, config_with(api_key=SECRET))
    assert SECRET.encode() in bytes_beside(file)
    context = await StateManager(file).load_thread_context("t")
    assert context.runtime_provider_config == config_with(api_key=SECRET)


@pytest.mark.parametrize("how", ["overwrite", "delete"])
async def test_a_written_secret_is_erased(file: Path, how: str) -> None:
    await StateManager(file, store_secrets=True).set_thread_config_value("t", KEY, config_with(api_key=SECRET))
    if how == "overwrite":
        await StateManager(file).set_thread_config_value("t", KEY, config_with(api_key=SECRET))
    else:
        await StateManager(file).delete_thread("t")
    assert SECRET.encode() not in bytes_beside(file)


async def test_the_write_ahead_log_holds_no_secret(file: Path) -> None:
    state = StateManager(file)
    await state.set_thread_config_value("t", "k", 1)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # persistent; while this connection is open the log stays
        connection.execute("SELECT count(*) FROM record").fetchone()
        await state.set_thread_config_value("t", KEY, config_with(api_key=SECRET, num_ctx=4096))
        log = file.with_name(file.name + "-wal").read_bytes()
        assert b"num_ctx" in log
        assert SECRET.encode() not in bytes_beside(file)


def test_names_of_credentials() -> None:
    names = """api_key apiKey APIKey OPENAI_API_KEY x-api-key apikey accesstoken access_token Authorization auth password
    dbPassword client_secret credentials headers cookie private_key sshkey jwt sas pwd tokens key"""
    assert [name for name in names.split() if not looks_like_credential(name)] == []


def test_names_of_other_things() -> None:
    names = "monkey keyboard author passage pinned tokenizer temperature keep_alive compass"
    assert [name for name in names.split() if looks_like_credential(name)] == []


def test_a_number_of_tokens_is_a_count_and_a_number_as_password_is_not() -> None:
    assert not looks_like_credential("max_tokens", 100)
    assert looks_like_credential("password", 1234)


@settings(max_examples=60, deadline=None)
@given(options=st.dictionaries(NAMES, HIDDEN, max_size=3))
def test_no_text_under_an_unlisted_option_reaches_the_file(options: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "threads.db"
        trio.run(StateManager(file).set_thread_config_value, "t", KEY, config_with(**options))
        assert SECRET.encode() not in bytes_beside(file)
