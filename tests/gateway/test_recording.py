"""``serve --record``: the workload as a trace that the simulator reads."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from adapters.__main__ import main
from adapters.gateway.recording import Recorder
from adapters.gateway.tokens import TokenMeter, Tokens
from simulation.workloads.traces.formats import format_of, read_trace
from simulation.workloads.traces.notes import Notes

from .served import GEMMA, QWEN, served


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


async def test_the_simulator_compares_policies_on_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with Recorder(path) as recorder:
        async with served(recorder=recorder) as here, httpx.AsyncClient(base_url=here.url, timeout=20) as client:

            async def agent(name: str, model: str) -> None:
                for stream in (True, False):
                    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
                    sent = await client.post(
                        "/v1/chat/completions", json={**body, "stream": stream}, headers={"X-Agent-ID": name}
                    )
                    assert sent.status_code == 200

            async with trio.open_nursery() as nursery:
                nursery.start_soon(agent, "ann", GEMMA)
                nursery.start_soon(agent, "bob", QWEN)
            refused = await client.post("/v1/chat/completions", json={"model": "nosuch", "messages": []})
            assert refused.status_code == 404
    assert format_of(path) == "slots"
    calls = list(read_trace(path, Notes()))
    assert sorted((call.agent, call.model) for call in calls) == [("ann", GEMMA)] * 2 + [("bob", QWEN)] * 2
    assert [call.depends_on == () for call in calls].count(True) == 2
    assert all(call.completion_tokens >= 5 for call in calls), "what is not told is estimated"
    assert not any("hello" in line for line in path.read_text(encoding="utf-8").splitlines())
    report = [f"--out={tmp_path / 'report'}", "--policies=fifo,gated", f"--map={GEMMA}=qwen3.5-4b"]
    assert main(["compare", "--trace", str(path), *report]) == 0
    assert (tmp_path / "report" / "index.html").exists() or list((tmp_path / "report").iterdir())


async def test_a_call_comes_after_what_its_agent_had_been_answered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "trace.jsonl"
    with Recorder(path) as recorder:
        first, beside = (recorder.asked("ann", "m", 40) for _ in range(2))
        await trio.sleep(1)
        first.complete()
        await trio.sleep(1)
        beside.complete()
        await trio.sleep(3)
        recorder.asked("ann", "m", 40).complete()
        recorder.asked("bob", "m", 40).complete()
    told = rows(path)
    assert [(row["call"], row.get("depends_on"), row.get("think_time"), row.get("arrival")) for row in told] == [
        (0, None, None, 0),
        (1, None, None, 0),
        (2, [0, 1], 3, None),
        (3, None, None, 5),
    ]


async def test_a_full_disk_ends_the_trace_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    caplog.set_level(logging.WARNING)
    with Recorder(tmp_path / "trace.jsonl") as recorder:
        assert recorder._file is not None
        recorder._file.close()
        recorder._file = io.FileIO(full, "w")
        recorder.asked("ann", "m", 4).complete()
        recorder.asked("ann", "m", 4).complete()
    assert [record.message for record in caplog.records if "trace ends" in record.message] != []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trace.jsonl").write_text("mine")
    (tmp_path / "gateway.toml").write_text('[providers.studio]\nkind = "lmstudio"\n')
    words = ["serve", "--config", str(tmp_path / "gateway.toml"), "--record", str(tmp_path / "trace.jsonl")]
    assert main(words) == 2
    assert (tmp_path / "trace.jsonl").read_text() == "mine"
    assert capsys.readouterr().err.startswith("error: ")


CHAT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b'{"usage":{"prompt_tokens":9,"completion_tokens":3}}', Tokens(9, 3)),
        (
            b'{"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}}',
            Tokens(9, 3, 4),
        ),
        (
            CHAT * 3 + b'data: {"usage":{"prompt_tokens":9,"completion_tokens":3}}\n\ndata: [DONE]\n\n',
            Tokens(9, 3),
        ),
        (CHAT * 3 + b"data: [DONE]\n\n", Tokens(10, 3, estimated=True)),
        (
            b'data: {"message":{"usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":0}}}\n\n'
            b'data: {"delta":{},"usage":{"output_tokens":3}}\n\n',
            Tokens(13, 3, 4),
        ),
        (b'data: {"response":{"usage":{"input_tokens":9,"output_tokens":3}}}\n\n', Tokens(9, 3)),
        (b'{"response":"a"}\n{"response":"","prompt_eval_count":9,"eval_count":3}\n', Tokens(9, 3)),
        (b'data: {"result":{"stats":{"input_tokens":9,"total_output_tokens":3}}}\n\n', Tokens(9, 3)),
        (b'{"usage":{"prompt_tokens":true,"completion_tokens":-3}}', Tokens(10, 1, estimated=True)),
        (b'{"usage":', Tokens(10, 1, estimated=True)),
        (b"", Tokens(10, 0, estimated=True)),
    ],
    ids=["whole", "cached", "usage", "estimate", "anthropic", "responses", "ollama", "lmstudio", "odd", "cut", "empty"],
)
@pytest.mark.parametrize("length", [1, 7, 10_000])
def test_tokens_are_read_in_every_dialect(answer: bytes, expected: Tokens, length: int) -> None:
    meter = TokenMeter(40)
    for start in range(0, len(answer), length):
        meter.feed(answer[start : start + length])
    assert meter.tokens() == expected


def test_a_line_of_any_length_is_bounded() -> None:
    meter = TokenMeter(40)
    for _ in range(100):
        meter.feed(b"{" + b"x" * 1_000_000)
    assert meter.tokens().estimated
