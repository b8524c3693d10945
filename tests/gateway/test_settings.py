"""The configuration file: the commented example loads, and every error names the key, the rule and no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.gateway.settings import load_settings, settings_of
from statemachine import ConfigurationError

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway.toml"
PROVIDERS = {"studio": {"kind": "lmstudio"}}


def test_the_example_loads() -> None:
    settings = load_settings(EXAMPLE, {})
    assert [provider.name for provider in settings.providers] == ["studio", "cloud"]
    assert settings.aliases["quick"] == ("studio", "qwen/qwen3-4b")
    assert settings.manager.on_conflict == "wait"
    assert settings.provider("cloud").models == ("gpt-5-mini",)


def test_the_example_names_every_key() -> None:
    from adapters.gateway import settings as module

    text = EXAMPLE.read_text(encoding="utf-8")
    for table in (module._GATEWAY, module._PROVIDER):
        assert all(key in text for key in table), table


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"providers": PROVIDERS, "gatway": {}}, "gatway"),
        ({"providers": {}}, "providers"),
        ({}, "providers"),
        ({"providers": []}, "providers"),
        ({"providers": {"studio": {}}}, "providers.studio.kind"),
        ({"providers": {"studio": 3}}, "providers.studio"),
        ({"providers": {"a/b": {"kind": "lmstudio"}}}, "providers.a/b"),
        ({"providers": {"studio": {"kind": "lmstudio", "parallel": 0}}}, "providers.studio.parallel"),
        ({"providers": {"studio": {"kind": "lmstudio", "limit": 3}}}, "providers.studio.limit"),
        ({"providers": {"studio": {"kind": "lmstudio", "modles": []}}}, "providers.studio.modles"),
        ({"providers": {"studio": {"kind": "lmstudio", "models": "x"}}}, "providers.studio.models"),
        ({"providers": {"studio": {"kind": "lmstudio", "models": [1]}}}, "providers.studio.models[0]"),
        ({"providers": {"studio": {"kind": "lmstudio", "key_env": "NOT_SET"}}}, "providers.studio.key_env"),
        ({"providers": PROVIDERS, "manager": {"policy": "random"}}, "manager.policy"),
        ({"providers": PROVIDERS, "manager": {"acquire_timeout": -1}}, "manager.acquire_timeout"),
        ({"providers": PROVIDERS, "manager": {"acquire_timeout": True}}, "manager.acquire_timeout"),
        ({"providers": PROVIDERS, "gateway": {"port": 65536}}, "gateway.port"),
        ({"providers": PROVIDERS, "gateway": {"comment_seconds": 0}}, "gateway.comment_seconds"),
        ({"providers": PROVIDERS, "gateway": {"bodies_limit_mib": 63}}, "gateway.bodies_limit_mib"),
        ({"providers": PROVIDERS, "gateway": {"connections_limit": 0}}, "gateway.connections_limit"),
        ({"providers": PROVIDERS, "gateway": {"host": "0.0.0.0"}}, "gateway.host"),
        ({"providers": PROVIDERS, "aliases": {"quick": "qwen"}}, "aliases.quick"),
        ({"providers": PROVIDERS, "aliases": {"quick": "nosuch/qwen"}}, "aliases.quick"),
    ],
)
def test_errors_name_the_key(document: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(document, {})
    assert caught.value.field == field


def test_a_short_token_does_not_open_the_network() -> None:
    document = {"providers": PROVIDERS, "gateway": {"host": "0.0.0.0", "token_env": "TOKEN"}}
    with pytest.raises(ConfigurationError) as caught:
        settings_of(document, {"TOKEN": "short-secret"})
    assert "short-secret" not in str(caught.value)
    assert settings_of(document, {"TOKEN": "a-token-of-enough-characters"}).host == "0.0.0.0"


def test_keys_and_tokens_are_not_shown() -> None:
    document = {
        "providers": {"studio": {"kind": "lmstudio", "key_env": "KEY"}},
        "gateway": {"token_env": "TOKEN"},
    }
    settings = settings_of(document, {"KEY": "planted-key-1", "TOKEN": "planted-token-2"})
    assert "planted" not in repr(settings)


@pytest.mark.parametrize(
    "content",
    [b"[gateway", b"\xff\xfe", b"a = " + b"[" * 5000 + b"]" * 5000, b"#" * (2 << 20), b"a = " + b"9" * 5000],
    ids=["cut", "bytes", "deep", "large", "digits"],
)
def test_what_is_no_toml_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(path, {})
    assert caught.value.field == "config"


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf%s", b"%s\r\n", b"\r\n%s"])
def test_a_file_as_windows_saves_it_is_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(content % b'[providers.studio]\r\nkind = "lmstudio"')
    assert load_settings(path, {}).provider("studio").kind == "lmstudio"


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at most"):
        load_settings(Path("/dev/zero"), {})


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="readable"):
        load_settings(tmp_path / "none.toml", {})
