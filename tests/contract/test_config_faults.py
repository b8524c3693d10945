"""R14, R17 for configurations: whatever is given is taken or refused by a typed error, which shows no string of it and is fit to show."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from adapters import FakeAdapter
from statemachine import (
    AdapterInstantiationError,
    CallOptions,
    ConfigurationError,
    InstanceConfig,
    ProviderConfig,
    ProviderManager,
    ProviderManagerConfig,
    ProviderManagerError,
    RuntimeProviderConfig,
    StateManager,
    TransitionLog,
    UnknownProviderError,
)
from tests.contract.recording import Recorder, Script

SECRET = "sk-pasted-into-a-wrong-field"
BASE = ProviderConfig("local", FakeAdapter, is_local=True)
KINDS: list[tuple[type[Any], dict[str, Any], set[str]]] = [
    (ProviderManagerConfig, {"available_providers": [BASE]}, set()),
    (ProviderConfig, {"name": "p", "adapter": FakeAdapter}, {"name"}),
    (RuntimeProviderConfig, {"provider_name": "p", "model_id": "m"}, {"provider_name", "model_id"}),
    (CallOptions, {}, {"thread_id", "agent"}),
    (InstanceConfig, {"providers": ProviderManagerConfig([BASE])}, set()),
]
FIELDS = [
    (kind, needed, field.name)
    for kind, needed, names in KINDS
    for field in dataclasses.fields(kind)
    if field.init and field.name not in names  # names are shown: they are no place for a secret
]


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: [s], lambda s: {s: s}, lambda s: s.encode()], ids=["str", "list", "dict", "bytes"]
)
@pytest.mark.parametrize(
    ("kind", "needed", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", str(value))[:30]
)
def test_r14_a_key_in_a_wrong_field_is_not_shown(kind: Any, needed: dict[str, Any], name: str, wrap: Any) -> None:
    made: object = None
    refusal: ConfigurationError | None = None
    try:
        made = kind(**needed | {name: wrap(SECRET)})
    except ConfigurationError as error:
        refusal = error
    if refusal is None:
        assert name in ("adapter_options", "base_options", "parameters", "tools"), "anything may stand there"
        assert SECRET not in repr(made) or isinstance(wrap(SECRET), dict), "names of options are shown"
        return
    said = f"{refusal!r} {refusal} {vars(refusal)} {''.join(traceback.format_exception(refusal))}"
    assert SECRET not in said
    assert name in str(refusal)


def test_a_mistyped_word_is_guessed() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'wait'\?"):
        ProviderManagerConfig([BASE], on_conflict="wiat")  # type: ignore[arg-type]  # the mistake


HOSTILE = [
    "a\x1b[31mred",
    "line\nforged: line",
    "\ud800half",
    "rtl\u202eoverride",
    "x" * 50_000,
    "tab\tnul\0",
    "$\\frac$ {braces} %s",
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_r17_foreign_names_are_made_fit_to_show(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder(**{name: Script(start_error=OSError(name))})
    provider = ProviderConfig(name, recorder, is_local=True, base_options={name: name})
    texts: list[str] = []
    async with ProviderManager(ProviderManagerConfig([provider]), observers=[TransitionLog()]) as manager:
        runtime = RuntimeProviderConfig(name, name, {name: 1})
        texts += [repr(provider), repr(runtime), str(manager.config.resolve(runtime)), repr(CallOptions(runtime))]
        with pytest.raises(AdapterInstantiationError) as failed:
            await manager.get_adapter(runtime, agent=name)
        with pytest.raises(UnknownProviderError) as unknown:
            await manager.get_adapter(RuntimeProviderConfig("other" + name, "m"))
        lease = await manager.get_adapter(RuntimeProviderConfig(name, "m" + name))
        texts += [str(failed.value), str(unknown.value), repr(lease)]
        lease.release()
    for bad in ({name: object()}, {name: {name: [object()]}}):
        with pytest.raises(ConfigurationError) as refused:
            RuntimeProviderConfig("p", "m", bad)
        texts.append(str(refused.value))
    for text in [*texts, *(record.getMessage() for record in caplog.records)]:
        text.encode()
        assert text.isprintable(), text[:200]
        assert len(text) < 4000


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.just(object())
    | st.just(print),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_r17_whatever_a_configuration_is_given_it_is_taken_or_refused(data: st.DataObject) -> None:
    kind, needed, _ = data.draw(st.sampled_from(FIELDS))
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    given_fields = data.draw(st.dictionaries(st.sampled_from(names), _ANYTHING, max_size=4))
    with suppress(ConfigurationError):
        made = kind(**needed | given_fields)
        repr(made)
        if isinstance(made, RuntimeProviderConfig):
            with suppress(ProviderManagerError):
                ProviderManagerConfig([BASE]).resolve(made)


@pytest.mark.parametrize("path", ["", 3, b"x", None.__class__, ["a"]])
def test_r14_a_path_is_a_path(path: Any) -> None:
    with pytest.raises(ConfigurationError):
        StateManager(path)
