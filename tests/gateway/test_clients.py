"""Official clients through the gateway, none of them changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import anthropic
import openai
import pytest
import trio

from statemachine import RuntimeProviderConfig

from .served import GEMMA, QWEN, served

T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """Run a blocking client beside the servers."""
    return await trio.to_thread.run_sync(call, abandon_on_cancel=True)


def openai_client(url: str, agent: str = "ann", **options: object) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{url}/v1", api_key="client-key", max_retries=0, timeout=20, default_headers={"X-Agent-ID": agent}
    )


def ask(url: str, model: str, agent: str = "ann") -> str:
    """One streamed chat."""
    with openai_client(url, agent) as client:
        stream = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hello"}], stream=True, max_tokens=20
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


async def test_a_streamed_and_a_whole_chat() -> None:
    async with served() as here:
        assert await in_thread(lambda: ask(here.url, QWEN))

        def whole() -> str | None:
            with openai_client(here.url) as client:
                answer = client.chat.completions.create(
                    model="quick", messages=[{"role": "user", "content": "hello"}], max_tokens=5
                )
                assert answer.usage is not None
                return answer.choices[0].message.content

        assert await in_thread(whole)


async def test_agents_on_two_models_never_meet_at_the_server() -> None:
    async with served() as here:
        async with trio.open_nursery() as nursery:
            for number in range(8):
                model = (GEMMA, QWEN)[number % 2]
                nursery.start_soon(
                    in_thread, lambda model=model, number=number: ask(here.url, model, f"agent-{number}")
                )
        counters = here.gateway.manager.statistics().counters
        assert counters.grants == 8
        assert counters.switches <= 3, "requests for one model are served together"
        assert {row.agent for row in here.gateway.agents} == {f"agent-{number}" for number in range(8)}


async def test_an_agent_is_listed_while_its_answer_goes_on() -> None:
    async with served() as here:

        def listed_at_the_first_piece() -> set[str]:
            with openai_client(here.url, "bob") as client:
                stream = client.chat.completions.create(
                    model=QWEN, messages=[{"role": "user", "content": "hello"}], stream=True, max_tokens=20_000
                )
                with stream:
                    next(iter(stream))
                    return {row.agent for row in here.gateway.agents}

        assert await in_thread(listed_at_the_first_piece) == {"bob"}


async def test_the_list_of_models_and_one_of_them() -> None:
    async with served() as here:

        def listed() -> list[str]:
            with openai_client(here.url) as client:
                assert client.models.retrieve(QWEN).id == QWEN
                with pytest.raises(openai.NotFoundError):
                    client.models.retrieve("nosuch")
                return [row.id for row in client.models.list()]

        assert await in_thread(listed) == ["quick", GEMMA, QWEN]


async def test_an_unknown_model_is_404_and_the_answer_names_those_there_are() -> None:
    async with served() as here:
        with pytest.raises(openai.NotFoundError) as caught:
            await in_thread(lambda: ask(here.url, "nosuch"))
        assert caught.value.code == "model_not_found"
        assert GEMMA in str(caught.value)


async def test_anthropics_client_gets_its_own_errors() -> None:
    async with served() as here:

        def message() -> None:
            with anthropic.Anthropic(base_url=here.url, api_key="client-key", max_retries=0, timeout=20) as client:
                with pytest.raises(anthropic.NotFoundError):
                    client.messages.create(
                        model="nosuch", max_tokens=5, messages=[{"role": "user", "content": "hello"}]
                    )

        await in_thread(message)


async def test_a_busy_slot_is_429_where_waiting_is_off() -> None:
    async with (
        served(manager={"on_conflict": "raise"}) as here,
        here.gateway.manager.acquire(_config(GEMMA), timeout=math.inf),
    ):
        with pytest.raises(openai.RateLimitError) as caught:
            await in_thread(lambda: ask(here.url, QWEN))
        assert caught.value.code == "model_conflict"
        assert int(caught.value.response.headers["retry-after"]) >= 1


async def test_a_time_out_in_the_queue_is_503() -> None:
    async with (
        served(manager={"acquire_timeout": 0.05}) as here,
        here.gateway.manager.acquire(_config(GEMMA), timeout=math.inf),
    ):
        with pytest.raises(openai.InternalServerError) as caught:
            await in_thread(lambda: ask(here.url, QWEN))
        assert caught.value.status_code == 503
        assert caught.value.code == "queue_timeout"


async def test_the_token_is_asked_for_and_never_passed_on() -> None:
    environment = {"TOKEN": "a-token-of-enough-characters"}
    async with served(token_env="TOKEN", environment=environment) as here:
        with pytest.raises(openai.AuthenticationError):
            await in_thread(lambda: ask(here.url, GEMMA))


def _config(model: str) -> RuntimeProviderConfig:
    return RuntimeProviderConfig("studio", model)
