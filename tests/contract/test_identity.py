"""The contract's section on identity."""

from __future__ import annotations

import enum
import gc
from types import MappingProxyType
from typing import Any

import pytest

from statemachine import (
    AdapterConfig,
    CallOptions,
    ConfigurationError,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    RuntimeProviderConfig,
)
from statemachine.config.options import copy_options, freeze_options
from statemachine.config.providers import Demand
from tests.contract.recording import Recorder, api_manager, want

LOOPBACK = [
    "http://localhost:1234",
    "http://localhost:1234/",
    "http://localhost:1234/v1",
    "http://localhost:1234/v1/",
    "HTTP://LocalHost:1234/v1",
    "http://127.0.0.1:1234",
    "http://[::1]:1234/v1",
]


def signature(**options: Any) -> str:
    return RuntimeProviderConfig("p", "m", options).config_signature


def test_it_is_provider_model_and_options() -> None:
    configs = [want("p", "m"), want("q", "m"), want("p", "n"), want("p", "m", a=1), want("m", "p")]
    assert len({config.config_signature for config in configs}) == 5
    assert RuntimeProviderConfig("ab", "c") != RuntimeProviderConfig("a", "bc")


def test_the_order_of_keys_does_not_matter_at_any_depth() -> None:
    one = {"a": 1, "b": [{"x": {"p": 1, "q": 2}, "y": 2}]}
    other = {"b": [{"y": 2, "x": {"q": 2, "p": 1}}], "a": 1}
    assert signature(**one) == signature(**other)
    assert signature(o=[1, 2]) != signature(o=[2, 1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, (2,)), [1, [2]]),
        (0, 0.0),
        (1, 1.0),
        (0.0, -0.0),
        (10**22, 1e22),
        ({"a": 1}, MappingProxyType({"a": 1})),
        (enum.IntEnum("E", "one").one, 1),  # type: ignore[attr-defined]  # made on the spot
    ],
)
def test_equal_values_are_one_identity(one: object, other: object) -> None:
    assert signature(o=one) == signature(o=other)
    assert signature(deep=[{"o": one}]) == signature(deep=[{"o": other}])


class Text(enum.StrEnum):
    NAME = "a-name"


class Mixed(str, enum.Enum):  # noqa: UP042  # as many still write it
    NAME = "a-name"


class Count(int, enum.Enum):
    TWO = 2


class Seconds(float):
    def __format__(self, spec: str) -> str:
        return "other"


@pytest.mark.parametrize(
    ("given", "plain"), [(Text.NAME, "a-name"), (Mixed.NAME, "a-name"), (Count.TWO, 2), (Seconds(2.5), 2.5)]
)
def test_members_of_enumerations_are_what_they_stand_for(given: Any, plain: Any) -> None:
    """An adapter writes options into headers and addresses, where the name of the member would be wrong."""
    for copied in (
        copy_options({"a": given, "b": [(given,)]}, "o"),
        freeze_options({"a": given, "b": [(given,)]}, "o"),
    ):
        assert copied == {"a": plain, "b": [(plain,)]}
        assert type(copied["a"]) is type(copied["b"][0][0]) is type(plain)


@pytest.mark.parametrize("name", [Text.NAME, Mixed.NAME])
def test_so_are_names(name: Any) -> None:
    runtime = RuntimeProviderConfig(name, name, {name: 1})
    assert runtime == RuntimeProviderConfig("a-name", "a-name", {"a-name": 1})
    provider = ProviderConfig(name, Recorder())
    config = AdapterConfig(name, name, {})
    assert {type(each) for each in (runtime.model_id, provider.name, config.model_id, *runtime.adapter_options)} == {
        str
    }
    demand = ProviderManagerConfig([provider]).resolve(runtime)
    assert str(demand).startswith("a-name/a-name#")


def test_values_that_look_alike_are_told_apart() -> None:
    values: list[Any] = [False, 0, "0", None, "", [], {}, "None", "false", [0], {"0": 0}, "[]", True, 1, "1"]
    signatures = [signature(o=value) for value in values] + [signature()]
    assert len(set(signatures)) == len(signatures)
    assert signature(monkey=1) != signature(monkey=2)
    assert signature(o={"a": None}) != signature(o={})


@pytest.mark.parametrize("url", LOOPBACK)
def test_a_servers_spellings_are_one_identity(url: str) -> None:
    assert signature(base_url=url) == signature(base_url=LOOPBACK[0])


def test_a_base_url_is_normalised_no_further() -> None:
    urls = ["http://h", "https://h", "http://h:81", "http://h/api", "http://g", "http://user:pw@h", "http://h?key=1"]
    assert len({signature(base_url=url) for url in urls}) == len(urls)
    assert signature(base_url="http://h:80/v1") == signature(base_url="http://h")
    assert signature(base_url="https://h:443/v1/") == signature(base_url="https://H")
    assert signature(base_url="http://h:443") != signature(base_url="http://h")
    assert signature(base_url="http://h/A") != signature(base_url="http://h/a")
    deep = [signature(nested={"base_url": url}) for url in LOOPBACK]
    assert len(set(deep)) == len(deep)  # only the top level is


CYCLE: dict[str, Any] = {}
CYCLE["self"] = [CYCLE]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (float("nan"), "o"),
        (float("inf"), "o"),
        ([1, float("-inf")], r"o\[1\]"),
        (lambda: 0, "o"),
        ({1, 2}, "o"),
        (b"x", "o"),
        (bytearray(b"x"), "o"),
        (object(), "o"),
        (1j, "o"),
        ({"a": [{"b": {3}}]}, r"o\.a\[0\]\.b"),
        ({1: 2}, "o"),
        ({"a": {None: 2}}, r"o\.a"),
        (CYCLE, r"o\.self\[0\]"),
    ],
)
def test_values_without_a_canonical_form_are_refused_by_path(value: object, path: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"adapter_options\.{path}\b|adapter_options\.{path}:"):
        RuntimeProviderConfig("p", "m", {"o": value})
    with pytest.raises(ConfigurationError, match=rf"base_options\.{path}\b|base_options\.{path}:"):
        ProviderConfig("p", Recorder(), base_options={"o": value})
    with pytest.raises(ConfigurationError, match=rf"parameters\.{path}\b|parameters\.{path}:"):
        CallOptions(want("p", "m"), parameters={"o": value})


def test_a_value_may_appear_twice_without_being_a_cycle() -> None:
    shared = {"a": [1]}
    assert signature(x=shared, y=[shared, shared]) == signature(x={"a": [1]}, y=[{"a": [1]}, {"a": [1]}])


@pytest.mark.parametrize("options", [[], "x", None, 1, [("a", 1)]])
def test_options_are_a_mapping(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="adapter_options"):
        RuntimeProviderConfig("p", "m", options)


def overlaid_manager(recorder: Recorder) -> ProviderManager:
    base = {"key": "k", "nested": {"a": 1, "b": 2}}
    return ProviderManager(ProviderManagerConfig([ProviderConfig("p", recorder, base_options=base)]))


async def test_inheriting_an_option_or_naming_it_is_the_same() -> None:
    recorder = Recorder()
    async with overlaid_manager(recorder) as manager:
        for options in ({}, {"key": "k"}, {"nested": {"b": 2, "a": 1}}):
            async with manager.acquire(RuntimeProviderConfig("p", "m", options)):
                pass
    assert len(recorder.made) == 1


async def test_the_overlay_is_shallow() -> None:
    recorder = Recorder()
    async with overlaid_manager(recorder) as manager:
        async with manager.acquire(want("p", "m", nested={"a": 3})):
            pass
        async with manager.acquire(want("p", "m", key=None)):
            pass
    expected: list[dict[str, Any]] = [
        {"key": "k", "nested": {"a": 3}},
        {"key": None, "nested": {"a": 1, "b": 2}},
    ]
    assert [adapter.config.options for adapter in recorder.made] == expected


async def test_the_adapter_gets_the_base_url_as_written() -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager:
        for url in LOOPBACK:
            lease = await manager.get_adapter(want("api", "m", base_url=url))
            lease.release(broken=True)  # the next one gets an adapter of its own
    assert [adapter.config.options["base_url"] for adapter in recorder.made] == LOOPBACK


async def test_the_adapter_gets_values_as_written() -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager:
        for value in (4096.0, 4096):
            lease = await manager.get_adapter(want("api", "m", num_ctx=value))
            lease.release(broken=True)
    assert [type(adapter.config.options["num_ctx"]) for adapter in recorder.made] == [float, int]


async def test_options_are_copied_deeply_when_given() -> None:
    recorder = Recorder()
    base, own = {"b": [1]}, {"o": {"x": [1]}}
    provider = ProviderConfig("p", recorder, base_options=base)
    config = RuntimeProviderConfig("p", "m", own)
    before = config.config_signature
    base["b"].append(2)
    own["o"]["x"].append(2)
    assert config.config_signature == before
    async with ProviderManager(ProviderManagerConfig([provider])) as manager:
        async with manager.acquire(config):
            pass
    assert recorder.made[0].config.options == {"b": [1], "o": {"x": [1]}}


async def test_what_an_adapter_does_to_its_options_concerns_no_other() -> None:
    recorder = Recorder()
    async with api_manager(recorder) as manager:
        config = want("api", "m", o={"x": [1]})
        for _ in range(2):
            lease = await manager.get_adapter(config)
            recorder.made[-1].config.options["o"]["x"].append(2)
            lease.release(broken=True)
        assert config.adapter_options == {"o": {"x": [1]}}
    assert [adapter.config.options["o"]["x"] for adapter in recorder.made] == [[1, 2]] * 2


async def test_a_configuration_changed_through_its_own_mapping_gives_nobody_elses_credentials_away() -> None:
    """The mapping may refuse the change, or ignore it; but equal configurations have equal options."""
    recorder = Recorder()
    mine, changed = want("api", "m", api_key="mine"), want("api", "m", api_key="mine")
    options: Any = changed.adapter_options
    try:
        options["api_key"] = "theirs"
    except TypeError:
        return
    async with api_manager(recorder, limit=2) as manager:
        for config in (changed, mine):
            async with manager.acquire(config):
                pass
    assert recorder.made[-1].config.options == {"api_key": "mine"}


async def test_configurations_that_were_asked_for_are_not_kept_for_ever() -> None:
    """What they resolve to is remembered for a while."""

    def demands() -> int:
        gc.collect()
        return sum(isinstance(each, Demand) for each in gc.get_objects())

    before = demands()
    async with api_manager(Recorder()) as manager:
        for number in range(1100):
            (await manager.get_adapter(RuntimeProviderConfig("api", "m", {"n": number}))).release()
        assert before < demands() <= before + 1024


def test_an_adapter_config_shows_names_and_a_digest() -> None:
    config = AdapterConfig("p", "m", {"api_key": "s3cret", "base_url": "http://u:s3cret@h"})
    assert "api_key" in repr(config)
    assert "s3cret" not in repr(config)
    assert config.config_signature[:8] in repr(config)
    assert config.config_signature not in repr(config)


@pytest.mark.parametrize(
    "host",
    [
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7F000001",
        "0177.0.0.1",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[0000::0001]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "[::]",
        "loc%61lhost",
    ],
)
def test_this_host_has_one_name(host: str) -> None:
    def signature(url: str) -> str:
        return RuntimeProviderConfig("p", "m", {"base_url": url}).config_signature

    assert signature(f"http://{host}:1234/v1/") == signature("http://localhost:1234")
    assert signature(f"http://{host}:1235") != signature("http://localhost:1234")


def test_hosts_have_one_name() -> None:
    def same(*hosts: str) -> bool:
        return len({RuntimeProviderConfig("p", "m", {"base_url": f"http://{h}"}).config_signature for h in hosts}) == 1

    assert same(
        "b\u00fccher.example",
        "B\u00dcCHER.example",
        "bu\u0308cher.example",
        "xn--bcher-kva.example",
        "b\u00fccher.example.:80",
    )
    assert same("[2001:db8::1]", "[2001:0DB8:0::0001]")
    assert not same("127.0.0.1", "127.0.0.2")
    assert not same("256.1.1.1", "1.1.1.1")
    assert not same("[fe80::1%25eth0]", "[fe80::1%25eth1]")
