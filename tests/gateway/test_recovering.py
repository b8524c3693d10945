"""What a gateway that was killed has left on its server is unloaded by the next one; what others have loaded stays."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from adapters import LMStudioAdapter
from adapters.gateway.serve import open_gateway
from adapters.gateway.settings import settings_of
from adapters.residency import Owned, OwnedFile
from simulation.mock.lmstudio.server import MockLMStudio
from simulation.mock.serve import serve
from simulation.timing.latency import LatencyProfile
from statemachine import AdapterConfig, ConfigurationError, RuntimeProviderConfig
from statemachine.config.identity import public_url

from .served import GEMMA, MODELS, QWEN


def server() -> MockLMStudio:
    return MockLMStudio(MODELS, LatencyProfile(jitter=0), jit=False)


def adapter(base_url: str, file: Path, model: str = GEMMA, **options: object) -> LMStudioAdapter:
    return LMStudioAdapter(
        AdapterConfig("studio", model, {"base_url": base_url, "owned_file": str(file), **options}),
    )


def document(base_url: str, file: Path) -> dict[str, object]:
    studio = {"kind": "lmstudio", "base_url": base_url}
    return {"gateway": {"port": 0, "owned_file": str(file)}, "providers": {"studio": studio}}


def killed(file: Path) -> None:
    """The process that had the file is no more."""
    OwnedFile.at(str(file)).close()


def loaded(mock: MockLMStudio) -> list[str]:
    return [instance.model.key for instance in mock.loaded]


async def test_what_a_killed_gateway_has_left_is_unloaded_by_the_next(tmp_path: Path) -> None:
    mock, file = server(), tmp_path / "state" / "owned.jsonl"
    async with serve(mock, port=0) as base_url:
        left = adapter(base_url, file)
        await left.start()
        killed(file)
        assert loaded(mock) == [GEMMA]
        async with open_gateway(settings_of(document(base_url, file), {})) as gateway:
            assert loaded(mock) == []
            async with gateway.manager.acquire(RuntimeProviderConfig("studio", QWEN)):
                assert loaded(mock) == [QWEN]
        assert loaded(mock) == []
    after = OwnedFile(file)
    assert after.left == {}, "what was unloaded is forgotten"
    after.close()


async def test_what_others_have_loaded_is_left_alone(tmp_path: Path) -> None:
    mock, file = server(), tmp_path / "owned.jsonl"
    async with serve(mock, port=0) as base_url:
        other = LMStudioAdapter(AdapterConfig("studio", GEMMA, {"base_url": base_url}))
        await other.start()
        found = adapter(base_url, file)
        await found.start()  # finds it loaded
        killed(file)
        async with open_gateway(settings_of(document(base_url, file), {})):
            assert loaded(mock) == [GEMMA]


async def test_what_has_another_configuration_than_was_noted_is_anothers(tmp_path: Path) -> None:
    mock, file = server(), tmp_path / "owned.jsonl"
    async with serve(mock, port=0) as base_url:
        left = adapter(base_url, file, context_length=4096)
        await left.start()
        killed(file)
        for instance in mock.loaded:
            await mock.unload(instance)
        await LMStudioAdapter(AdapterConfig("x", GEMMA, {"base_url": base_url, "context_length": 2048})).start()
        async with open_gateway(settings_of(document(base_url, file), {})):
            assert loaded(mock) == [GEMMA]


async def test_a_load_that_was_on_its_way_is_found(tmp_path: Path) -> None:
    mock, file = server(), tmp_path / "owned.jsonl"
    async with serve(mock, port=0) as base_url:
        await LMStudioAdapter(
            AdapterConfig("studio", GEMMA, {"base_url": base_url})
        ).start()  # its answer was not heard
        noted = OwnedFile(file)
        noted.loading(Owned(public_url(base_url), GEMMA))
        noted.close()
        async with open_gateway(settings_of(document(base_url, file), {})):
            assert loaded(mock) == []


async def test_a_server_that_does_not_answer_stays_noted(tmp_path: Path) -> None:
    file = tmp_path / "owned.jsonl"
    noted = OwnedFile(file)
    number = noted.loading(Owned(public_url("http://127.0.0.1:9"), GEMMA))
    noted.close()
    async with open_gateway(settings_of(document("http://127.0.0.1:9", file), {})):
        pass
    again = OwnedFile(file)
    assert list(again.left) == [number]
    again.close()


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "owned.jsonl"
    whole = json.dumps([1, {"server": "s", "model": "m", "id": "m", "config": {}}])
    file.write_text(f'{whole}\n[2, {{"server": "s", "mod')
    owned = OwnedFile(file)
    assert owned.left == {1: Owned("s", "m", "m", {})}
    owned.close()


def test_the_file_does_not_grow(tmp_path: Path) -> None:
    owned = OwnedFile(tmp_path / "owned.jsonl")
    for _ in range(100):
        one, other = owned.loading(Owned("s", "m")), owned.loading(Owned("s", "n"))
        owned.loaded(one, Owned("s", "m"), "m", {})
        owned.gone(other)
        assert (tmp_path / "owned.jsonl").read_text().count("\n") == 4
        owned.gone(one)
    owned.close()
    assert (tmp_path / "owned.jsonl").read_text() == ""


def test_one_process_has_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    first = OwnedFile(tmp_path / "owned.jsonl")
    first.loading(Owned("s", "m"))
    second = OwnedFile(tmp_path / "owned.jsonl")
    assert second.left == {}, "what another one has is not left"
    second.gone(second.loading(Owned("s", "n")))
    assert "another process has it" in caplog.text
    first.close()
    third = OwnedFile(tmp_path / "owned.jsonl")
    assert [left.model for left in third.left.values()] == ["m"]
    third.close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").write_text("")
    OwnedFile(tmp_path / "file" / "owned.jsonl").loading(Owned("s", "m"))
    assert "is not noted" in caplog.text


def test_where_it_is_by_default() -> None:
    providers = {"providers": {"studio": {"kind": "lmstudio"}}}
    assert settings_of(providers, {}).owned_file is None
    assert settings_of(providers, {"HOME": "/h"}, port=1).owned_file == "/h/.local/state/llm-slots/owned-1.jsonl"
    assert settings_of(providers, {"XDG_STATE_HOME": "/x"}).owned_file == "/x/llm-slots/owned-8400.jsonl"
    assert settings_of({**providers, "gateway": {"owned_file": False}}, {"HOME": "/h"}).owned_file is None


def test_an_address_that_is_given_needs_a_token_too() -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        settings_of({"providers": {"studio": {"kind": "lmstudio"}}}, {}, host="0.0.0.0")
