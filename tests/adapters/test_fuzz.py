"""A slice of the fuzzer of the wire; ``make fuzz`` runs it for long."""

from __future__ import annotations

from hypothesis import given, settings

from . import fuzz


@settings(max_examples=300, deadline=None)
@given(fuzz.transcripts, fuzz.cuts_of_bodies)
def test_what_a_transcript_says_comes_out(transcript: tuple[list[fuzz.Frame], bytes, bool], cuts: list[int]) -> None:
    fuzz.check_transcript(transcript, cuts)


@settings(max_examples=300, deadline=None)
@given(fuzz.transcripts, fuzz.cuts_of_bodies, fuzz.damages)
def test_damaged_bytes_have_one_typed_end(
    transcript: tuple[list[fuzz.Frame], bytes, bool], cuts: list[int], damage: list[tuple[int, bytes]]
) -> None:
    fuzz.check_damage(transcript, cuts, damage)
