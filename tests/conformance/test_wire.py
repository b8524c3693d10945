"""The readers of every protocol on transcripts of recorded shape: split at every byte, and mutated by a grammar (see ``wire``)."""

from __future__ import annotations

import pytest

from .wire import FOLDER, Answer, Transcript, campaign, load, read, told, written

ROME = '{"city":"Rom 1","day":null}'
EXPECTED = {
    "anthropic_text.sse": Answer("Grüße, 世界 Nonenull ", "Let me think.", closed=True),
    "anthropic_tools.sse": Answer("I look.", calls=[("weather", ROME)], closed=True),
    "lmstudio_reasoning.sse": Answer("Four", "Let me think. null", closed=True),
    "ollama_text.ndjson": Answer("Grüße, 世界 Nonenull ", "Let me think.", closed=True),
    "ollama_tools.ndjson": Answer(calls=[("weather", '{"city": "Rom"}'), ("time", "{}")], closed=True),
    "native_text.sse": Answer("Grüße, 世界 Nonenull ", "Let me think.", closed=True),
    "openai_text.sse": Answer("Grüße, 世界 😀!\nreturn Nonenull 0", closed=True),
    "openai_tools.sse": Answer(calls=[("weather", ROME), ("time", "{}")], closed=True),
}
EXPECTED["responses_text.sse"] = Answer("Grüße, 世界 Nonenull ", "Let me think.", closed=True)
EXPECTED["responses_tools.sse"] = Answer(calls=[("weather", ROME), ("time", "{}")], closed=True)
TRANSCRIPTS = {path.name: load(path) for path in sorted(FOLDER.iterdir())}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_recorded_transcript_is_read_as_it_was_meant(name: str) -> None:
    transcript = TRANSCRIPTS[name]
    assert told(read(transcript, [transcript.body()])) == EXPECTED[name]
    should = written(transcript)
    assert (should.text, should.reasoning) == (EXPECTED[name].text, EXPECTED[name].reasoning), "the grammar's own view"


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_where_the_bytes_are_split_makes_no_difference(name: str) -> None:
    transcript = TRANSCRIPTS[name]
    body = transcript.body()
    for place in range(len(body) + 1):
        assert told(read(transcript, [body[:place], body[place:]])) == EXPECTED[name], f"split after {place} bytes"
    assert told(read(transcript, [bytes([byte]) for byte in body])) == EXPECTED[name]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_what_is_cut_off_before_its_closing_event_is_an_error(name: str) -> None:
    transcript = TRANSCRIPTS[name]
    frames = (
        1
        if transcript.protocol in ("ollama", "native", "responses")
        else 3
        if "usage" in transcript.body().decode()
        else 2
    )
    early = Transcript(transcript.protocol, transcript.frames[:-frames], lines=transcript.lines)
    body = early.body()
    for place in range(0, len(body), 7):
        events = read(early, [body[:place]])
        assert [event.type for event in events][-1:] == ["error"], f"cut after {place} bytes"


def test_mutated_transcripts_are_never_read_wrongly() -> None:
    assert campaign(2000) == []
