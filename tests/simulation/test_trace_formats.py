"""Traces of every format, as people save them and as an attacker would."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.__main__ import main
from simulation.workloads.traces.fields import TraceError
from simulation.workloads.traces.formats import FORMATS, format_of, read_trace
from simulation.workloads.traces.notes import Notes
from simulation.workloads.traces.schema import TraceCall
from simulation.workloads.traces.sessions import Deal, calls_of, sessions_of, timed_workload, within
from simulation.workloads.traces.slots import read_slots, write_slots
from simulation.workloads.traces.spans import spans_to_calls
from simulation.workloads.trading_graph import trading_graph

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,10,5\n2023-11-16 18:00:02.5,20,0\n"
BURSTGPT = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n"
)
MOONCAKE = "".join(
    json.dumps({"timestamp": time, "input_length": 1100, "output_length": 7, "hash_ids": blocks}) + "\n"
    for time, blocks in ((27000, [0, 1, 2]), (30000, [0, 1, 9]))
)


def span(start: float, end: float, **attributes: object) -> dict[str, Any]:
    found = {
        "gen_ai.request.model": "m",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.conversation.id": "c",
    }
    found |= {f"gen_ai.{name.replace('__', '.')}": value for name, value in attributes.items()}
    kinds = {str: "stringValue", int: "intValue"}
    return {
        "traceId": "t1",
        "startTimeUnixNano": str(int((1_700_000_000 + start) * 1e9)),
        "endTimeUnixNano": str(int((1_700_000_000 + end) * 1e9)),
        "attributes": [
            {"key": key, "value": {kinds[type(value)]: str(value)}} for key, value in found.items() if value is not None
        ],
    }


def spans(*found: dict[str, Any]) -> str:
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(found)}]}]})


SPANS = spans(
    span(0, 2, agent__name="planner"),
    span(3, 5, agent__name="a"),
    span(3, 9, agent__name="b"),
    {"traceId": "t1", "name": "execute_tool", "startTimeUnixNano": "1", "endTimeUnixNano": "2"},
    span(10, 11, agent__name="planner", usage__cache_read__input_tokens=40),
)
WEKA = json.dumps(
    {
        "id": "s",
        "block_size": 64,
        "requests": [{"t": 0, "type": "n", "model": "m", "in": 10, "out": 0, "hash_ids": []}],
    }
)
SLOTS = (
    '{"schema": "llm-slot-trace", "version": 1}\n'
    '{"session": "s", "agent": "a", "model": "m", "arrival": 1.5, "prompt_tokens": 9, "completion_tokens": 3}\n'
    '{"session": "s", "call": 1, "depends_on": [0], "think_time": 2, "prompt_tokens": 20, "completion_tokens": 3, "cached_tokens": 9}\n'
)
EXAMPLES = {
    "azure": AZURE,
    "burstgpt": BURSTGPT,
    "mooncake": MOONCAKE,
    "slots": SLOTS,
    "spans": SPANS,
    "weka": WEKA,
}


def read(path: Path, notes: Notes | None = None, name: str | None = None) -> list[TraceCall]:
    return list(read_trace(path, notes or Notes(), name))


def saved(folder: Path, content: str | bytes, name: str = "trace") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_every_format_is_known_by_its_beginning(tmp_path: Path) -> None:
    assert EXAMPLES.keys() == FORMATS.keys()
    for name, content in EXAMPLES.items():
        assert format_of(saved(tmp_path, content)) == name


def test_what_each_reader_finds(tmp_path: Path) -> None:
    azure = read(saved(tmp_path, AZURE))
    assert [(c.arrival_seconds, c.prompt_tokens, c.completion_tokens) for c in azure] == [(0, 10, 5), (2.5, 20, 1)]
    burstgpt = read(saved(tmp_path, BURSTGPT))
    assert [(c.arrival_seconds, c.model, c.completion_tokens) for c in burstgpt] == [
        (0, "ChatGPT", 18),
        (40, "GPT-4", 1),
    ]
    mooncake = read(saved(tmp_path, MOONCAKE))
    assert [(c.arrival_seconds, c.prompt_tokens, c.cached_tokens) for c in mooncake] == [(0, 1100, 0), (3, 1100, 1024)]
    slots = read(saved(tmp_path, SLOTS))
    assert [(c.call, c.depends_on, c.arrival_seconds, c.think_seconds) for c in slots] == [
        (0, (), 1.5, 0),
        (1, (0,), None, 2),
    ]
    weka = read(saved(tmp_path, WEKA))
    assert [(c.session, c.agent, c.model, c.completion_tokens) for c in weka] == [("s", "s", "m", 1)]


def test_spans_depend_on_what_had_just_ended(tmp_path: Path) -> None:
    planner, a, b, joined = read(saved(tmp_path, SPANS))
    assert (planner.depends_on, planner.arrival_seconds, planner.agent) == ((), 0.0, "planner")
    assert (a.depends_on, b.depends_on) == ((0,), (0,))
    assert joined.depends_on == (1, 2)
    assert [call.think_seconds for call in (a, b, joined)] == pytest.approx([1, 1, 1])
    assert joined.cached_tokens == 40


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)), max_size=25))
def test_inferred_dependencies_explain_every_start(drawn: list[tuple[int, int]]) -> None:
    """Whatever had ended before a call is one of its dependencies, or comes before one of them."""
    times = [(float(start), float(start + length), TraceCall(1, 1)) for start, length in drawn]
    calls = list(spans_to_calls(list(times)))
    ordered = sorted(times, key=lambda each: each[:2])
    before: list[set[int]] = []
    for number, ((start, _, _), call) in enumerate(zip(ordered, calls, strict=True)):
        ended = {other for other in range(number) if ordered[other][1] <= start}
        assert set(call.depends_on) <= ended
        before.append(set(call.depends_on).union(*(before[each] for each in call.depends_on)))
        assert ended == before[-1]
        ends = [ordered[each][1] for each in call.depends_on]
        assert (max(ends) + call.think_seconds if ends else call.arrival_seconds) == pytest.approx(
            start if ends else start - ordered[0][0]
        )


def test_f22_changes_are_counted_and_told() -> None:
    assert Notes().sentences() == ()


def test_f22_tokens_of_zero_are_counted(tmp_path: Path) -> None:
    notes = Notes()
    read(saved(tmp_path, AZURE), notes)
    assert "1 times: an answer of 0 tokens counts as 1." in notes.sentences()


@pytest.mark.parametrize("name", ["azure", "burstgpt", "mooncake", "slots"])
def test_f22_byte_order_marks_and_line_ends_as_windows_has_them(name: str, tmp_path: Path) -> None:
    plain = read(saved(tmp_path, EXAMPLES[name]))
    assert read(saved(tmp_path, b"\xef\xbb\xbf" + EXAMPLES[name].replace("\n", "\r\n").encode())) == plain


def as_tar(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("trace.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


PACKERS: list[Callable[[bytes], bytes]] = [
    gzip.compress,
    lzma.compress,
    as_tar,
    lambda content: lzma.compress(as_tar(content)),
]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("name", FORMATS)
def test_packed_files_are_read_whatever_they_are_called(
    name: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    plain = read(saved(tmp_path, EXAMPLES[name]))
    assert read(saved(tmp_path, pack(EXAMPLES[name].encode()))) == plain


# ---- our own format ----


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.xz"])
def test_convert_loses_nothing(name: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = saved(tmp_path, EXAMPLES[name]), tmp_path / f"out.{suffix}"
    assert main(["convert", "--trace", str(source), "--out", str(target)]) == 0
    assert read(target) == read(source)
    first = target.read_bytes()
    assert main(["convert", "--trace", str(target), "--out", str(target)]) == 0
    assert target.read_bytes() == first
    capsys.readouterr()


def test_convert_writes_through_links_and_into_what_is_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target, link, pipe = (tmp_path / name for name in ("source", "target", "link", "pipe"))
    source.write_text(SLOTS)
    link.symlink_to(target)
    assert main(["convert", "--trace", str(source), "--out", str(link)]) == 0
    assert link.is_symlink()
    assert read(target) == read(source)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main(["convert", "--trace", str(source), "--out", str(pipe)]) == 0
        assert os.read(reader, 10_000) == target.read_bytes()
        assert pipe.is_fifo()
    finally:
        os.close(reader)
    capsys.readouterr()
    for folder in ("", str(tmp_path)):
        assert main(["convert", "--trace", str(source), "--out", folder]) == 2
        assert capsys.readouterr().err.startswith("error: out: must be the name of a file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe", "source", "target"]


def test_a_workload_survives_being_a_trace(tmp_path: Path) -> None:
    workload = trading_graph("small", "large", tickers=3)
    path = tmp_path / "trace.jsonl"
    with path.open("w") as stream:
        assert write_slots(stream, calls_of(workload, "graph")) == len(workload.calls)
    (again,) = sessions_of(read_slots(path, Notes()), Deal({"m": 1}, 1))
    assert again.calls == workload.calls


def test_a_part_of_a_trace(tmp_path: Path) -> None:
    rows = [TraceCall(1, 1, arrival_seconds=float(time)) for time in range(10)]
    assert [call.arrival_seconds for call in within(rows, 3, 4)] == [0, 1, 2, 3]
    session = [TraceCall(1, 1, "s", arrival_seconds=2.0), TraceCall(1, 1, "s", call=1, depends_on=(0,))]
    assert list(within(session, 3)) == []
    assert [call.arrival_seconds for call in within(session, 1)] == [1.0, None]
    assert main(["replay", "--trace", str(saved(tmp_path, WEKA)), "--start", "1", "--out", str(tmp_path / "out")]) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"schema": "other", "version": 1}'], r":1: schema: must be llm-slot-trace"),
        (['{"schema": "llm-slot-trace", "version": 2}'], r"version 2"),
        ([SLOTS.splitlines()[0], "[]"], r":2: must be a JSON object"),
        ([SLOTS.splitlines()[0], '{"prompt_tokens": -1, "completion_tokens": 1}'], r":2: prompt_tokens"),
        (
            [SLOTS.splitlines()[0], '{"prompt_tokens": 1, "completion_tokens": 1, "depends_on": ["a"]}'],
            r":2: depends_on",
        ),
    ],
)
def test_a_bad_trace_of_our_own_is_named_by_line(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=message):
        read(saved(tmp_path, "\n".join(lines)), name="slots")


@pytest.mark.parametrize(
    "calls",
    [
        [TraceCall(1, 1, "s", depends_on=(1,))],
        [TraceCall(1, 1, "s", arrival_seconds=0.0), TraceCall(1, 1, "s", arrival_seconds=0.0)],
    ],
)
def test_numbers_in_a_session_must_make_sense(calls: list[TraceCall]) -> None:
    with pytest.raises(TraceError, match="session s"):
        timed_workload("w", calls, Deal({"m": 1}, 1))


# ---- bad rows ----


def test_bad_rows_are_refused_or_counted_and_named(tmp_path: Path) -> None:
    path = saved(tmp_path, AZURE + "yesterday,1,1\n2023-11-16 18:00:09,x,1\n2023-11-16 18:00:10,7,1\n")
    with pytest.raises(TraceError, match=r"trace:4: TIMESTAMP"):
        read(path)
    notes = Notes(skip_bad=True)
    assert [call.prompt_tokens for call in read(path, notes)] == [10, 20, 7]
    assert notes.bad_rows == 2
    assert "2 rows could not be read" in notes.sentences()[-1]
    assert "trace:4: TIMESTAMP" in notes.sentences()[-1]
    assert "trace:5: ContextTokens" in notes.sentences()[-1]


def test_f22_the_report_tells_what_was_changed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    bad = AZURE + "yesterday,1,1\n"
    assert main(["replay", "--trace", str(saved(tmp_path, bad)), "--skip-bad-rows", "--out", str(out)]) == 0
    assumptions = json.loads((out / "summary.json").read_text())["assumptions"]
    assert any("an answer of 0 tokens counts as 1" in sentence for sentence in assumptions)
    assert any("1 rows could not be read" in sentence for sentence in assumptions)
    assert any("dealt at random" in sentence for sentence in assumptions)


HUGE = "9" * 400


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (AZURE + f"2023-11-16 18:00:09,{HUGE},1\n", ":4: ContextTokens"),
        (AZURE + "2023-11-16 18:00:09,1\n", ":4: GeneratedTokens"),
        (AZURE + '2023-11-16 18:00:09,"1,1\n', ":4: must be a line of CSV"),
        (BURSTGPT + f"{HUGE},m,1,1,2,x\n", ":4: Timestamp"),
        (BURSTGPT + f"50,m,1,{HUGE},2,x\n", ":4: Response tokens"),
        (MOONCAKE + f'{{"timestamp": {HUGE}, "input_length": 1, "output_length": 1}}\n', ":3: timestamp"),
        (MOONCAKE + f'{{"timestamp": 40000, "input_length": {HUGE}, "output_length": 1}}\n', ":3: input_length"),
        (MOONCAKE + "[" * 100_000 + "\n", ":3: must be a JSON document"),
        (MOONCAKE + f'{{"timestamp": {"9" * 5000}}}\n', ":3: must be a JSON document"),
        (MOONCAKE + '{"timestamp": NaN, "input_length": 1, "output_length": 1}\n', ":3: timestamp"),
        (spans(span(0, 1, usage__input_tokens=HUGE)), "spans[0]: tokens"),
        (spans(span(0, 1) | {"startTimeUnixNano": HUGE}), "spans[0].startTimeUnixNano"),
        (spans(span(0, 1, agent__name="x" * 1000)), "must not be longer than 200 characters"),
        (WEKA.replace('"t": 0', f'"t": {HUGE}'), "requests[0].t"),
        (SLOTS + f'{{"prompt_tokens": 1, "completion_tokens": 1, "think_time": {HUGE}}}', ":4: think_time"),
        *((f"{SLOTS}{row}\n", ":4: must be a JSON object") for row in ("5", "null", "true", "1.5", '"x"', "[]")),
        ("", "must be a trace of a known format"),
        ("\x1b[31mhello", "must be a trace of a known format"),
    ],
)
def test_r18_hostile_content_is_named_with_its_place(content: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        read(saved(tmp_path, content))
    assert place in str(caught.value)
    assert len(str(caught.value)) < 500


def test_r18_a_small_file_that_unpacks_to_a_huge_one_is_refused(tmp_path: Path) -> None:
    packer = lzma.LZMACompressor()
    pieces = [packer.compress(AZURE.encode()), *(packer.compress(b" " * 2**20 + b"\n") for _ in range(100))]
    bomb = saved(tmp_path, b"".join([*pieces, packer.flush()]))
    assert bomb.stat().st_size < 50_000
    with pytest.raises(TraceError, match="must not unpack to more than"):
        for _ in read_trace(bomb, Notes()):
            pass


@pytest.mark.parametrize(
    "headers",
    [
        {"size": "-1"},
        {"size": "x"},
        {"GNU.sparse.map": "a,b", "GNU.sparse.major": "0"},
        {"hdrcharset": "x"},
        {"path": "a" * 70_000},
    ],
)
def test_r18_hostile_headers_of_an_archive(headers: dict[str, str], tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT, errors="surrogatepass") as archive:
        member = tarfile.TarInfo("trace.json")
        member.pax_headers = headers
        content = WEKA.encode()
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    path = saved(tmp_path, packed.getvalue())
    with suppress(TraceError):  # read, or refused as every bad trace is
        read(path)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(AZURE.encode() * 50)[:90], lzma.compress(AZURE.encode() * 50)[:-20], b"\x1f\x8b" + b"x" * 50],
    ids=["gzip cut", "xz cut", "no gzip"],
)
def test_r18_a_damaged_file(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="undamaged"):
        read(saved(tmp_path, content), name="azure")


def test_r17_foreign_names_are_made_fit_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = SLOTS.replace('"agent": "a"', json.dumps({"agent": "\x1b[31m$\\frac$\n\ud800"})[1:-1])
    path = saved(tmp_path, trace, "tr\x1b[31mace$\\frac$.jsonl")
    assert main(["replay", "--trace", str(path), "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    for file in (tmp_path / "out").iterdir():
        assert b"\x1b" not in file.read_bytes() or file.suffix == ".png"


def test_reading_streams(tmp_path: Path) -> None:
    """The first rows are there before a bad one later is seen."""
    calls: Iterator[TraceCall] = read_trace(saved(tmp_path, AZURE + "bad\n"), Notes())
    assert next(calls).prompt_tokens == 10
