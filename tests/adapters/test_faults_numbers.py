"""R18: numbers that no clock, index or count can have, in answers, errors and lists. They mean nothing, and raise nothing."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.gateway.facts import facts_of
from adapters.http import ChatReader
from adapters.http.errors import adapter_error

from .readers import STOP, framed, told

DIGITS = "9" * 5000  # more than Python turns into a number
HUGE = 10**399  # an integer beyond the floats, as long as foreign JSON may have it


@pytest.mark.parametrize(
    ("index", "first"),
    [
        (DIGITS, False),
        ("0" * 5000, True),
        ("00", True),
        ("1", False),
        ("\u0663", False),
        ("\u00b2", True),
        (HUGE, False),
        (True, True),
        (0.0, True),
        ("", True),
    ],
)
def test_r18_the_index_of_a_choice(index: object, first: bool) -> None:
    choice = {"index": index, "delta": {"content": "a"}, "finish_reason": None}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    assert told(ChatReader, framed({"choices": [choice]}, end)) == [*([("token", "a")] if first else []), STOP]


@pytest.mark.parametrize("name", ["retry_after", "retryAfter", "retry_after_seconds", "retry_after_ms", "retryAfterMs"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, DIGITS, True, float("inf")])
@pytest.mark.parametrize("place", ["told", "details", "metadata"])
def test_r18_how_long_an_error_asks_to_wait(name: str, value: object, place: str) -> None:
    said: dict[str, Any] = {name: value}
    error = {"message": "m", **(said if place == "told" else {place: said})}
    assert adapter_error(429, {"error": error}, server="S").retry_after is None
    usual = adapter_error(429, {"error": error | ({name: 5} if place == "told" else {place: {name: 5}})}, server="S")
    assert usual.retry_after == (0.005 if name.lower().endswith("ms") else 5)


@pytest.mark.parametrize("value", [HUGE, -HUGE, True, "4", None])
def test_r18_figures_of_a_model_in_a_list(value: object) -> None:
    facts = facts_of(
        {"size_bytes": value, "created": value, "max_context_length": value, "quantization": {"bits_per_weight": value}}
    )
    assert (facts.size_bytes, facts.created, facts.context_length, facts.bits_per_weight) == (0, 0, None, None)
