"""The trace readers, on small files that are written here, and on the real traces where those are at hand."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from simulation.workloads.traces.fields import TraceError
from simulation.workloads.traces.weka import read_weka_session, weka_sessions

from .traced import azure_workload

TRACES = Path(__file__).parents[3] / "shared" / "traces"
WEKA = TRACES / "kv_cache_tester" / "multimodel_sessions.tar.xz"
AZURE = TRACES / "azure2023" / "AzureLLMInferenceTrace_code.csv"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not beside the repository")

WEIGHTS = {"quick": 2.0, "deep": 1.0}


def request(t: float, think: float = 0.0, api: float = 1.0, model: str = "big", **fields: Any) -> dict[str, Any]:
    entry = {"t": t, "type": "n", "model": model, "in": 100, "out": 20, "api_time": api, "think_time": think}
    return entry | {"hash_ids": []} | fields


def subagent(t: float, name: str, seconds: float, *requests: dict[str, Any]) -> dict[str, Any]:
    return {"t": t, "type": "subagent", "agent_id": name, "duration_ms": seconds * 1000, "requests": list(requests)}


def session(*requests: Any, name: str = "s1") -> dict[str, Any]:
    return {"id": name, "models": ["big"], "block_size": 64, "requests": list(requests)}


def plan(*requests: Any, max_think: float = 20.0) -> list[tuple[str, tuple[int, ...], float]]:
    """(agent, after, delay) of each call."""
    workload = read_weka_session(session(*requests), "s1.json", max_think=max_think)
    return [(call.agent, call.after, call.delay) for call in workload.calls]


# ---- Weka sessions ----


def test_a_session_is_a_chain_with_think_times() -> None:
    requests = request(0), request(4, think=3, type="s", ttft=0.4), request(100, think=95)
    assert plan(*requests) == [("s1", (), 0.0), ("s1", (0,), 3.0), ("s1", (1,), 20.0)]
    assert plan(*requests, max_think=50)[2] == ("s1", (1,), 50.0)


def test_tokens_and_models_are_read_and_an_aborted_call_counts_one_token() -> None:
    workload = read_weka_session(session(request(0, model="m") | {"in": 7, "out": 0}), "f", max_think=1)
    assert [(c.model, c.prompt_tokens, c.output_tokens) for c in workload.calls] == [("m", 7, 1)]


def test_only_what_is_not_in_the_prompt_cache_is_read() -> None:
    def prompt(tokens: int, *blocks: int, model: str = "m") -> dict[str, Any]:
        return request(0, model=model) | {"in": tokens, "hash_ids": list(blocks)}

    requests = (
        prompt(200, 1, 2, 3),
        prompt(330, 1, 2, 3, 4, 5),  # three blocks more in common
        prompt(200, 1, 2, 9),  # the history was rewritten
        prompt(200, 1, 2, 9, model="other"),
        prompt(192, 1, 2, 9),  # nothing new
        subagent(0, "a", 1, prompt(200, 1, 2, 9)),  # of the same session
        prompt(300, 1, 2, 4, 9),  # 9 is known only as what follows other blocks
    )
    calls = read_weka_session(session(*requests), "f", max_think=1).calls
    cached = [0, 3 * 64, 2 * 64, 0, 191, 3 * 64, 2 * 64]
    assert [call.cached_tokens for call in calls] == cached
    assert [call.prompt_tokens + call.cached_tokens for call in calls] == [200, 330, 200, 200, 192, 200, 300]


def test_neighbouring_sub_agents_run_side_by_side_and_the_parent_waits_for_them() -> None:
    calls = plan(
        request(0, api=2),
        subagent(3, "a", 10, request(0), request(2, think=1)),  # 1 s after the answer; ends at 13
        subagent(5, "b", 4, request(0)),  # 3 s after the answer
        request(15, think=13),  # 2 s after the last sub-agent
        request(17, think=1),
    )
    assert calls == [
        ("s1", (), 0.0),
        ("s1/a", (0,), 1.0),
        ("s1/a", (1,), 1.0),
        ("s1/b", (0,), 3.0),
        ("s1", (0, 2, 3), 2.0),
        ("s1", (4,), 1.0),
    ]


def test_sub_agents_nest_and_may_come_first_or_be_empty() -> None:
    calls = plan(
        subagent(0, "a", 5, subagent(0, "b", 5, request(0))),
        subagent(1, "empty", 0),
        request(9),
        subagent(12, "last", 0),
    )
    assert calls == [("s1/a/b", (), 0.0), ("s1", (0,), 4.0)]


def test_a_request_limit_keeps_the_first_calls(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(session(request(0), request(2), request(4))))
    (workload,) = weka_sessions(tmp_path, max_think=1, requests=2)
    assert len(workload.calls) == 2


def test_a_folder_an_archive_and_a_file_give_the_same_sessions(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    for name in ("s1", "s2"):
        (folder / f"{name}.json").write_text(json.dumps(session(request(0), name=name)))
    archive = tmp_path / "sessions.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(folder / "s1.json", "x/s1.json")
        tar.add(folder / "s2.json", "x/s2.json")
    from_folder = list(weka_sessions(folder, max_think=1))
    assert [workload.name for workload in from_folder] == ["s1", "s2"]
    assert list(weka_sessions(archive, max_think=1)) == from_folder
    assert list(weka_sessions(folder / "s1.json", max_think=1)) == from_folder[:1]


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (7, "requests[1]"),
        (without(request(2), "model"), "requests[1].model"),
        (without(request(2), "t"), "requests[1].t"),
        (without(request(2), "hash_ids"), "requests[1].hash_ids"),
        (request(2, hash_ids="1 2"), "requests[1].hash_ids"),
        (request(2, hash_ids=[[]]), "requests[1].hash_ids"),
        (request(2, model=""), "requests[1].model"),
        (request(2, type="x"), "requests[1].type"),
        (request(2) | {"in": -1}, "requests[1].in"),
        (request(2, out=1.5), "requests[1].out"),
        (request(2, out=True), "requests[1].out"),
        (request(2, out=10**12), "requests[1].out"),
        (request(2, think=-1), "requests[1].think_time"),
        (request(2, think="1"), "requests[1].think_time"),  # type: ignore[arg-type]  # what is tested
        (request(2, api=float("inf")), "requests[1].api_time"),
        (without(subagent(2, "a", 1), "agent_id"), "requests[1].agent_id"),
        (without(subagent(2, "a", 1), "requests"), "requests[1].requests"),
        (subagent(2, "a", 1, request(0, out=-1)), "requests[1].requests[0].out"),
    ],
)
def test_a_bad_request_is_named_with_its_file_and_place(entry: Any, field: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_weka_session(session(request(0), entry), "s1.json", max_think=1)
    assert caught.value.field == f"s1.json: {field}"


def test_endless_nesting_is_refused() -> None:
    entry = request(0)
    for _ in range(9):
        entry = subagent(0, "a", 1, entry)
    with pytest.raises(TraceError, match="deeper than 8"):
        plan(entry)


@pytest.mark.parametrize(
    "document", ["[]", '"x"', "{}", '{"id": "s"}', '{"id": "s", "requests": {}}', '{"id": 3, "requests": []}']
)
def test_a_document_that_is_no_session(tmp_path: Path, document: str) -> None:
    file = tmp_path / "s.json"
    file.write_text(document)
    with pytest.raises(TraceError, match=r"s\.json"):
        list(weka_sessions(file, max_think=1))


@pytest.mark.parametrize("document", [b"{", b"\xff\xfe{}", b"[" * 100_000])
def test_a_document_that_is_no_json(tmp_path: Path, document: bytes) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(document)
    with pytest.raises(TraceError, match="JSON"):
        list(weka_sessions(file, max_think=1))


def test_a_file_that_is_not_there_and_one_that_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"gone\.tar.*can be read"):
        list(weka_sessions(tmp_path / "gone.tar", max_think=1))
    (tmp_path / "bad.tar").write_text("no archive")
    with pytest.raises(TraceError, match="JSON document"):
        list(weka_sessions(tmp_path / "bad.tar", max_think=1))


def test_a_damaged_archive(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as tar:
        content = json.dumps(session(*(request(i * 3, api=i / 7) for i in range(500)))).encode()
        info = tarfile.TarInfo("s1.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    archive = tmp_path / "cut.tar.xz"
    archive.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(TraceError, match="undamaged"):
        list(weka_sessions(archive, max_think=1))


# ---- Azure ----

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def azure_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    return file


def test_azure_rows_arrive_when_they_did(tmp_path: Path) -> None:
    rows = "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:05.4799600,3180,0\n2023-11-16 18:18:03.9799600,1,2"
    workload = azure_workload(azure_file(tmp_path, HEADER + rows), WEIGHTS, agents=3)
    assert [(c.delay, c.prompt_tokens, c.output_tokens, c.after) for c in workload.calls] == [
        (0.0, 4808, 10, ()),
        (1.5, 3180, 1, ()),
        (60.0, 1, 2, ()),
    ]


def test_agents_and_models_are_dealt_by_seed_and_weights(tmp_path: Path) -> None:
    file = azure_file(tmp_path, HEADER + "2023-11-16 18:17:03,5,5\n" * 3000)
    workload = azure_workload(file, WEIGHTS, agents=4, seed=1)
    assert workload == azure_workload(file, WEIGHTS, agents=4, seed=1)
    assert workload != azure_workload(file, WEIGHTS, agents=4, seed=2)
    models = [call.model for call in workload.calls]
    assert 1900 < models.count("quick") < 2100
    agents = [call.agent for call in workload.calls]
    assert all(650 < agents.count(f"agent {number:02d}") < 850 for number in range(1, 5))


def test_only_the_first_requests_are_read(tmp_path: Path) -> None:
    file = azure_file(tmp_path, HEADER + "2023-11-16 18:17:03,5,5\n" * 2 + "this line is never reached\n")
    assert len(azure_workload(file, WEIGHTS, agents=1, requests=2).calls) == 2


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("yesterday,5,5", ":3: TIMESTAMP"),
        ("2023-11-16 18:17:02,5,5", ":3: TIMESTAMP"),  # before the line above
        ("2023-11-16 18:17:04,-5,5", ":3: ContextTokens"),
        ("2023-11-16 18:17:04,5.0,5", ":3: ContextTokens"),
        ("2023-11-16 18:17:04,²,5", ":3: ContextTokens"),
        ("2023-11-16 18:17:04,5", ":3: GeneratedTokens"),
        ("2023-11-16 18:17:04,5,99999999999", ":3: GeneratedTokens"),
        ("2023-11-16 18:17:04,5," + "9" * 200_000, ":3"),
    ],
)
def test_a_bad_row_is_named_with_its_file_and_line(tmp_path: Path, row: str, field: str) -> None:
    file = azure_file(tmp_path, f"{HEADER}2023-11-16 18:17:03,5,5\n{row}\n")
    with pytest.raises(TraceError) as caught:
        azure_workload(file, WEIGHTS, agents=1)
    assert caught.value.field == f"{file}{field}"


@pytest.mark.parametrize("text", ["", "TIMESTAMP,ContextTokens\n"])
def test_a_wrong_header(tmp_path: Path, text: str) -> None:
    with pytest.raises(TraceError, match="header TIMESTAMP,ContextTokens,GeneratedTokens"):
        azure_workload(azure_file(tmp_path, text), WEIGHTS, agents=1)


# ---- the real ones ----


@needs_traces
def test_the_real_sessions() -> None:
    sessions = list(weka_sessions(WEKA, max_think=20))
    assert len(sessions) == 32
    assert sum(len(session.calls) for session in sessions) == 4751
    assert sum("/" in agent for session in sessions for agent in session.agents) == 45
    assert len({model for session in sessions for model in session.models}) == 5
    assert max(call.delay for session in sessions for call in session.calls) == 20


@needs_traces
def test_the_real_azure_trace() -> None:
    workload = azure_workload(AZURE, WEIGHTS, agents=12)
    assert len(workload.calls) == 8819
    assert workload.calls[-1].delay == pytest.approx(3435.948056)
    assert round(sum(call.prompt_tokens for call in workload.calls) / 8819) == 2048
    assert round(sum(call.output_tokens for call in workload.calls) / 8819) == 28
