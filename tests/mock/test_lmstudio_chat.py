"""The mock LM Studio server through its HTTP face, in virtual time: answers, whole and broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from simulation.mock.faults import StreamFault
from simulation.mock.lmstudio import MockLMStudio
from simulation.timing.latency import LatencyProfile

from .mock_server import ALPHA, BETA, CHAT, EXACT, UNLOAD, chat, connected, frames, leave, load, streamed, text_of

# ---- answers ----


async def test_tokens_come_when_they_are_made(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], replace(EXACT, tokens_per_chunk=4))
    async with connected(server) as client:
        await load(client)
        began = trio.current_time()
        async with client.stream("POST", CHAT, json=chat(stream=True)) as response:
            arrivals = [time - began for time, _ in await frames(response)]
    assert arrivals == pytest.approx([1.1, 1.5, 1.9, 2.0, 2.0, 2.0]), (
        "prefill and 1 token, 4, 4, the last, the end, [DONE]"
    )


async def test_the_chunks_of_a_stream(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        chunks = await streamed(client, max_tokens=3, stream_options={"include_usage": True})
    first, second, _, closing, usage = chunks
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert set(second["choices"][0]["delta"]) == {"content"}
    assert [c["choices"][0]["finish_reason"] for c in chunks[:4]] == [None, None, None, "length"]
    assert closing["choices"][0]["delta"] == {}
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 100, "completion_tokens": 3, "total_tokens": 103}
    assert {(c["id"], c["object"], c["model"]) for c in chunks} == {(first["id"], "chat.completion.chunk", "lab/alpha")}
    assert len(text_of(chunks).split()) == 3


async def test_an_answer_in_one_piece(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        body = (await client.post(CHAT, json=chat())).json()
        assert body["object"] == "chat.completion"
        assert body["choices"][0]["finish_reason"] == "length"
        assert body["usage"] == {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        assert body["choices"][0]["message"] == {"role": "assistant", "content": text_of(await streamed(client))}


@pytest.mark.parametrize("unbounded", [None, -1])
async def test_an_answer_without_a_bound_stops_by_itself(autojump_clock: MockClock, unbounded: int | None) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        body = (await client.post(CHAT, json=chat(max_tokens=unbounded))).json()
    assert (body["usage"]["completion_tokens"], body["choices"][0]["finish_reason"]) == (64, "stop")


async def test_an_answer_of_no_tokens(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        assert text_of(await streamed(client, max_tokens=0)) == ""


async def test_the_prompt_is_counted_or_hinted_at(autojump_clock: MockClock) -> None:
    async with connected(MockLMStudio([ALPHA], EXACT)) as client:
        await load(client, context_length=8192)

        async def prompt_tokens(messages: list[Any], **headers: str) -> int:
            response = await client.post(CHAT, json={"model": "lab/alpha", "messages": messages}, headers=headers)
            counted: int = response.json()["usage"]["prompt_tokens"]
            return counted

        parts = [{"type": "text", "text": "123"}, {"type": "image_url", "image_url": {"url": "data:"}}]
        assert await prompt_tokens([{"role": "user", "content": parts}, {"role": "assistant", "content": None}]) == 1
        began = trio.current_time()
        assert await prompt_tokens([], **{"X-Mock-Prompt-Tokens": "5000"}) == 5000
        assert trio.current_time() == pytest.approx(began + 50 + 6.4)
        response = await client.post(CHAT, json=chat(), headers={"X-Mock-Prompt-Tokens": "-1"})
        assert response.status_code == 400


async def test_the_same_seed_gives_the_same_answers_at_the_same_times() -> None:
    def run(seed: int, prompt: str = "Why?") -> tuple[str, float]:
        async def main() -> tuple[str, float]:
            async with connected(MockLMStudio([ALPHA], LatencyProfile(seed=seed))) as client:
                return text_of(await streamed(client, prompt=prompt)), trio.current_time()

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    once, again, other_seed, other_prompt = await trio.to_thread.run_sync(
        lambda: (run(1), run(1), run(2), run(1, "How?"))
    )
    assert once == again
    assert once[0] != other_seed[0]
    assert once[1] != other_seed[1]
    assert once[0] != other_prompt[0]


async def test_slots_are_shared_in_order_and_slow_each_other_down(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], replace(EXACT, parallel_cost=0.2))
    ends = []

    async def ask(client: httpx.AsyncClient, name: str) -> None:
        await client.post(CHAT, json=chat())
        ends.append((name, trio.current_time() - began))

    async with connected(server) as client:
        await load(client)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for name in ("first", "second", "third", "fourth"):
                nursery.start_soon(ask, client, name)
                await wait_all_tasks_blocked()
            (instance,) = server.loaded
            assert (instance.running, instance.queued) == (2, 2)
    names, times = zip(*ends, strict=True)
    assert names == ("first", "second", "third", "fourth")
    assert times == pytest.approx((2.2, 2.4, 4.6, 4.78)), (
        "1.2 times as long as alone, but for the first and the last second"
    )
    assert (instance.running, instance.queued) == (0, 0)


async def test_a_load_may_set_the_slots(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        await load(client, parallel=1)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(lambda: client.post(CHAT, json=chat()))
            await trio.sleep(1.5)
            assert (server.loaded[0].running, server.loaded[0].queued) == (1, 2)


async def test_two_instances_share_the_machine(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA, BETA], EXACT)
    async with connected(server) as client:
        for model in ("lab/alpha", "beta"):
            await load(client, model)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for model in ("lab/alpha", "beta"):
                nursery.start_soon(lambda model: client.post(CHAT, json=chat(model)), model)
                await wait_all_tasks_blocked()  # a piece that has begun keeps its rate
        assert trio.current_time() - began == pytest.approx(1 + 2 + 0.5), (
            "at half the rate but for the first second and the last half"
        )


async def test_a_chat_may_name_an_instance(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        await load(client)
        await load(client)
        for name, answers in (("lab/alpha", "lab/alpha"), ("lab/alpha:2", "lab/alpha:2")):
            assert (await client.post(CHAT, json=chat(name))).json()["model"] == answers
        await client.post(UNLOAD, json={"instance_id": "lab/alpha"})
        assert (await client.post(CHAT, json=chat())).json()["model"] == "lab/alpha:2"


# ---- answers that end early ----


@pytest.mark.parametrize("seconds", [0.5, 1.3], ids=["in prefill", "in decode"])
async def test_unloading_cuts_a_whole_answer(autojump_clock: MockClock, seconds: float) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        await load(client)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def unload() -> None:
                await trio.sleep(seconds)
                assert (await client.post(UNLOAD, json={"instance_id": "lab/alpha"})).status_code == 200
                assert trio.current_time() == began + seconds + 2

            nursery.start_soon(unload)
            response = await client.post(CHAT, json=chat())
            assert trio.current_time() == began + seconds
    assert (response.status_code, response.json()["error"]["message"]) == (400, "Model unloaded")
    assert server.counters.cut == 1


async def test_unloading_cuts_a_stream_and_what_queues(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    refused = []

    async def ask(client: httpx.AsyncClient) -> None:
        refused.append((await client.post(CHAT, json=chat(stream=True))).status_code)

    async with connected(server) as client, trio.open_nursery() as nursery:
        await load(client, parallel=1)
        async with client.stream("POST", CHAT, json=chat(stream=True)) as response:
            nursery.start_soon(ask, client)
            await wait_all_tasks_blocked()
            nursery.start_soon(lambda: client.post(UNLOAD, json={"instance_id": "lab/alpha"}))
            *_, (_, last) = await frames(response)
    assert json.loads(last)["error"]["message"] == "Model unloaded"
    assert refused == [400]
    assert server.counters.cut == 2


async def test_a_client_that_leaves_while_tokens_come_frees_its_slot_at_once(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], replace(EXACT, tokens_per_chunk=1000))
    async with connected(server) as client:
        await load(client, parallel=1)
        await leave(client, 2, CHAT, chat(max_tokens=1000))
        await wait_all_tasks_blocked()
        assert server.loaded[0].running == 0
    assert server.counters.abandoned == 1


async def test_a_client_that_leaves_while_the_prompt_is_read_keeps_its_slot_until_it_is(
    autojump_clock: MockClock,
) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client:
        await load(client, parallel=1)
        await leave(client, 0.2, CHAT, chat())
        await wait_all_tasks_blocked()
        assert server.loaded[0].running == 1
        await trio.sleep(0.9)
        assert server.loaded[0].running == 0
    assert server.counters.abandoned == 1


async def test_a_client_that_leaves_the_queue(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    async with connected(server) as client, trio.open_nursery() as nursery:
        await load(client, parallel=1)
        nursery.start_soon(lambda: client.post(CHAT, json=chat()))
        await wait_all_tasks_blocked()
        await leave(client, 0.5, CHAT, chat())
        await wait_all_tasks_blocked()
        assert server.loaded[0].queued == 0
    assert (server.counters.answered, server.counters.abandoned) == (1, 1)


# ---- faults ----


async def broken(how: StreamFault, after_chunks: int) -> tuple[MockLMStudio, list[str]]:
    """The lines of an answer that breaks."""
    server = MockLMStudio([ALPHA], EXACT)
    server.faults.break_next_stream(how, after_chunks=after_chunks, message="crashed")
    async with connected(server) as client:
        async with client.stream("POST", CHAT, json=chat(stream=True, max_tokens=3)) as response:
            assert response.status_code == 200
            lines = [line async for line in response.aiter_lines() if line]
        assert len(await streamed(client, max_tokens=3)) == 4, "the next one is whole"
    return server, lines


@pytest.mark.parametrize("after_chunks", [0, 2, 3])
async def test_a_stream_that_ends_in_an_error(autojump_clock: MockClock, after_chunks: int) -> None:
    _, lines = await broken("error", after_chunks)
    assert len(lines) == after_chunks + 1
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["message"] == "crashed"


async def test_a_stream_that_ends_in_a_named_error(autojump_clock: MockClock) -> None:
    _, lines = await broken("named_error", 1)
    assert lines[1] == "event: error"
    assert json.loads(lines[2].removeprefix("data: "))["message"] == "crashed"


@pytest.mark.parametrize("after_chunks", [0, 2, 3])
async def test_a_truncated_stream(autojump_clock: MockClock, after_chunks: int) -> None:
    _, lines = await broken("truncate", after_chunks)
    assert len(lines) == after_chunks
    assert "[DONE]" not in "".join(lines)


@pytest.mark.parametrize("after_chunks", [0, 2])
async def test_a_dropped_stream(autojump_clock: MockClock, after_chunks: int) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await broken("drop", after_chunks)


async def test_a_stream_that_stalls_holds_its_slot_until_the_client_leaves(autojump_clock: MockClock) -> None:
    server = MockLMStudio([ALPHA], EXACT)
    server.faults.break_next_stream("stall", after_chunks=2)
    async with connected(server) as client:
        await load(client)
        with pytest.raises(httpx.ReadTimeout):
            await client.post(CHAT, json=chat(stream=True), timeout=60)
        await wait_all_tasks_blocked()
        assert server.loaded[0].running == 0
    assert (server.counters.abandoned, server.counters.answered) == (1, 0)
