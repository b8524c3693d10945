"""The examples inside other frameworks, against the mock LM Studio; ``make frameworks`` installs the frameworks."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest

from tests.bridge.world import check_threads_have_ended

from .lmstudio import A, B, fast, ids, on_a_socket

_WHY = "the extra 'frameworks' is not installed (make frameworks installs it)"


@pytest.mark.filterwarnings("ignore")  # what the frameworks' own dependencies warn of
@pytest.mark.parametrize(
    ("package", "example", "models"),
    [
        ("langchain_core", "langchain_chat", [A]),
        ("pydantic_ai", "pydantic_ai_limiter", [A, B]),
        ("agents", "openai_agents_model", [A, B]),
    ],
)
def test_a_framework_takes_turns_on_one_server(package: str, example: str, models: list[str]) -> None:
    pytest.importorskip(package, reason=_WHY)
    main = import_module(f"examples.frameworks.{example}").main
    server = fast()
    with on_a_socket(server) as url:
        answers = asyncio.run(main(url, *models))
    assert len(answers) == 2
    assert all(answers)
    assert server.counters.peak_resident == 1
    assert server.counters.cut == 0
    assert ids(server) == []
    check_threads_have_ended()
