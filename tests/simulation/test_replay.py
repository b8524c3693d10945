"""Replays through the real manager, engine, adapter and mock server, in virtual time, and the command that makes them."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from simulation.__main__ import main
from simulation.analysis.metrics import summarise
from simulation.commands.progress import progress
from simulation.drivers.manager import mock_lm_studio, replay_in_virtual_time
from simulation.drivers.record import CallRecord, Replay
from simulation.timing.latency import LatencyProfile, ModelSpec
from simulation.workloads.trading_graph import trading_graph
from simulation.workloads.workload import PlannedCall, Workload

TRACES = Path(__file__).parents[3] / "shared" / "traces"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not beside the repository")

SMALL = ModelSpec("small", load_seconds=2, unload_seconds=1, prefill_tokens_per_second=100, decode_tokens_per_second=10)
LARGE = ModelSpec("large", load_seconds=5, unload_seconds=1, prefill_tokens_per_second=100, decode_tokens_per_second=10)


def nothing() -> None:
    pass


def replayed(workload: Workload, *, seed: int = 0, jitter: float = 0.0, parallel: int = 1) -> Replay:
    profile = LatencyProfile(seed=seed, jitter=jitter, tokens_per_chunk=64)
    served = partial(mock_lm_studio, (SMALL, LARGE), profile, parallel=parallel)
    return replay_in_virtual_time(workload, served, seed=seed, finished=nothing)


def times(record: CallRecord) -> tuple[float, float, float, float, float]:
    assert record.ttft is not None
    seconds = record.arrived, record.queued_seconds, record.loading_seconds, record.ttft, record.total
    return tuple(round(value, 6) for value in seconds)  # type: ignore[return-value]  # five of them


def test_every_phase_of_two_agents_on_two_models_takes_what_it_must() -> None:
    calls = (
        PlannedCall(0, "a", "small", 100, 11),  # loads 2 s, reads 1 s, first token 0.1 s, ten more 1 s
        PlannedCall(
            1, "b", "large", 200, 1, delay=1.0
        ),  # waits until 4.1; unload 1 s, load 5 s; reads 2 s, one token 0.1 s
        PlannedCall(
            2, "a", "large", 100, 1, after=(0,), delay=2.0
        ),  # arrives at 6.1; until 12.2 the other one has the slot
    )
    result = replayed(Workload("w", calls))
    assert [times(record) for record in result.records] == [
        (0.0, 0.0, 2.0, 3.1, 4.1),
        (1.0, 3.1, 6.0, 11.2, 11.2),
        (6.1, 6.1, 0.0, 7.2, 7.2),
    ]
    assert [(i.model, i.state, round(i.start, 6), round(i.end, 6)) for i in result.intervals] == [
        ("small", "loading", 0.0, 2.0),
        ("small", "busy", 2.0, 4.1),
        ("small", "unloading", 4.1, 5.1),
        ("large", "loading", 5.1, 10.1),
        ("large", "busy", 10.1, 13.3),
    ]
    summary = summarise(result.records, result.intervals, result.statistics.counters.switches)
    assert summary.switches == 1
    assert summary.makespan == pytest.approx(13.3)
    assert summary.switching_share == pytest.approx(8 / 13.3)


def test_a_call_is_issued_its_delay_after_all_it_comes_after() -> None:
    workload = trading_graph("small", "large", tickers=2)
    records = replayed(workload, jitter=0.1).records
    for call, record in zip(workload.calls, records, strict=True):
        ready = max((records[earlier].finished for earlier in call.after), default=0.0)
        assert record.arrived == pytest.approx(ready + call.delay)


def test_the_slot_serves_one_request_at_a_time_and_several_where_it_may() -> None:
    workload = trading_graph("small", "large", tickers=2)

    def most_at_once(records: Sequence[CallRecord]) -> int:
        changes = sorted(change for r in records for change in ((r.granted, 1), (r.finished - 1e-9, -1)))
        return max(sum(change for _, change in changes[: index + 1]) for index in range(len(changes)))

    assert most_at_once(replayed(workload).records) == 1
    assert most_at_once(replayed(workload, parallel=4).records) > 1


def test_the_same_seed_gives_the_same_records_and_another_gives_others() -> None:
    at_once = tuple(PlannedCall(index, f"agent {index}", ("small", "large")[index % 2], 50, 5) for index in range(40))
    workload = Workload("w", at_once)  # all ready at the same moment: trio may start them in any order
    first, again, other = (replayed(workload, seed=seed, jitter=0.2) for seed in (1, 1, 2))
    assert (first.records, first.intervals) == (again.records, again.intervals)
    assert first.records != other.records


def test_a_call_that_fails_is_recorded_and_those_after_it_are_made() -> None:
    calls = PlannedCall(0, "a", "gone", 10, 1), PlannedCall(1, "a", "small", 10, 1, after=(0,))
    failed, served = replayed(Workload("w", calls)).records
    assert (failed.outcome, failed.ttft) == ("AdapterInstantiationError", None)
    assert served.outcome == "ok"


# ---- the command ----


def test_the_trading_graph_by_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--tickers", "1", "--out", str(tmp_path / "report")]) == 0
    out, err = capsys.readouterr()
    assert "requests                        10" in out
    assert "time spent switching" in out
    assert out.splitlines()[-1] == f"report: {tmp_path / 'report' / 'index.html'}"
    assert err.splitlines()[-1] == "100 %  10 of 10 requests"
    assert {file.name for file in (tmp_path / "report").iterdir()} == {
        "gantt.png",
        "index.html",
        "latency_cdf.png",
        "queue_length.png",
        "requests.jsonl",
        "summary.json",
    }


def test_the_command_in_the_report_repeats_it(tmp_path: Path) -> None:
    def requests(folder: Path) -> str:
        return (folder / "requests.jsonl").read_text()

    first, again = tmp_path / "first one", tmp_path / "again"
    assert main(["replay", "--tickers", "1", "--seed", "7", "--speed", "2", "--out", str(first)]) == 0
    words = shlex.split(json.loads((first / "summary.json").read_text())["command"])
    assert words[:3] == ["python", "-m", "simulation"]
    assert main([*words[3:], "--out", str(again)]) == 0
    assert requests(first) == requests(again)
    assert main(["replay", "--tickers", "1", "--out", str(again)]) == 0
    assert requests(first) != requests(again)


def test_the_policy_decides_who_is_served_next_and_the_report_names_it(tmp_path: Path) -> None:
    switches = {}
    for policy in ("fifo", "affinity:3", "gated:2"):
        assert main(["replay", "--tickers", "4", "--policy", policy, "--out", str(tmp_path)]) == 0
        content = json.loads((tmp_path / "summary.json").read_text())
        assert content["settings"]["policy"] == policy
        switches[policy] = content["summary"]["switches"]
    assert switches["affinity:3"] < switches["fifo"]
    assert switches["gated:2"] < switches["fifo"]


def sessions_file(folder: Path) -> Path:
    entry = {"t": 0, "type": "n", "model": "claude-haiku", "in": 90_000, "out": 3, "hash_ids": []}
    other = entry | {"t": 50, "model": "claude-opus", "in": 30, "think_time": 40}
    file = folder / "s.json"
    file.write_text(json.dumps({"id": "s", "block_size": 64, "requests": [entry, other]}))
    return file


def test_sessions_are_mapped_to_local_models_and_their_prompts_cut(tmp_path: Path) -> None:
    arguments = ["replay", "--trace", str(sessions_file(tmp_path)), "--sessions", "1", "--out", str(tmp_path)]
    assert main([*arguments, "--map", "claude-haiku=qwen3.5-4b", "--max-think", "7", "--max-prompt", "1000"]) == 0
    first, second = (json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines())
    assert (first["model"], first["prompt_tokens"]) == ("qwen3.5-4b", 1000)
    assert second["arrived"] == pytest.approx(first["total"] + 7)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["settings"]["claude-haiku is played by"] == "qwen3.5-4b"
    assert "1 of 2 prompts were longer than 1000 tokens, and cut to that." in summary["assumptions"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sessions", "0"], "sessions"),
        (["--sessions", "2"], "sessions"),
        (["--requests", "0"], "requests"),
        (["--parallel", "0"], "parallel"),
        (["--policy", "lottery"], "policy: must be one of"),
        (["--max-prompt", "0"], "--max-prompt"),
        (["--max-think", "-1"], "--max-think"),
        (["--max-think", "nan"], "--max-think"),
        (["--speed", "0"], "speed"),
        (["--map", "claude-haiku"], "TRACED=LOCAL"),
        (["--map", "claude-haiku=gpt-9"], "TRACED=LOCAL"),
        (["--map", "gpt-9=qwen3.5-4b"], "'gpt-9'"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    arguments = ["replay", "--trace", str(sessions_file(tmp_path)), "--sessions", "1", "--out", str(tmp_path)]
    assert main([*arguments, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err


def test_other_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--map", "a=qwen3.5-4b", "--out", str(tmp_path)]) == 2
    assert "traces that name their models" in capsys.readouterr().err
    assert main(["replay", "--trace", str(tmp_path / "gone.csv"), "--out", str(tmp_path)]) == 2
    assert "gone.csv" in capsys.readouterr().err
    (tmp_path / "empty.csv").write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n")
    assert main(["replay", "--trace", str(tmp_path / "empty.csv"), "--out", str(tmp_path)]) == 2
    assert "at least one request" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["replay", "--out", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err


@needs_traces
@pytest.mark.parametrize(
    ("trace", "agents"),
    [("kv_cache_tester/multimodel_sessions.tar.xz", None), ("azure2023/AzureLLMInferenceTrace_code.csv", 12)],
)
def test_the_real_traces_run_to_the_end(tmp_path: Path, trace: str, agents: int | None) -> None:
    arguments = ["--trace", str(TRACES / trace), "--sessions", "12", "--requests", "30", "--out", str(tmp_path)]
    assert main(["replay", *arguments]) == 0
    records = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert {record["outcome"] for record in records} == {"ok"}
    assert len({record["agent"].partition("/")[0] for record in records}) <= 12
    assert len({record["model"] for record in records}) > 1


# ---- progress ----


def test_plain_lines_anywhere_but_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(25, "steps") as step:
        for _ in range(25):
            step()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith(" 12 %  3 of 25 steps, about ")
    assert lines[-1] == "100 %  25 of 25 steps"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with progress(3, "steps") as step:
        for _ in range(3):
            step()
    assert "100%|" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()
