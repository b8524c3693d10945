"""Slices of the fuzzers; ``make fuzz`` runs them for long."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from . import anthropic, files, ollama, openai
from .answers import Damage, Transcript, check_damage, check_memory, cuts_of_bodies, damages

ANY = st.one_of(openai.transcripts, ollama.transcripts, anthropic.transcripts)


@settings(max_examples=150, deadline=None)
@given(openai.transcripts, cuts_of_bodies)
def test_what_a_transcript_says_comes_out(transcript: Transcript, cuts: list[int]) -> None:
    openai.check(transcript, cuts)


@settings(max_examples=100, deadline=None)
@given(ollama.transcripts, cuts_of_bodies)
def test_what_an_ollama_transcript_says_comes_out(transcript: Transcript, cuts: list[int]) -> None:
    ollama.check(transcript, cuts)


@settings(max_examples=100, deadline=None)
@given(anthropic.transcripts, cuts_of_bodies)
def test_what_an_anthropic_transcript_says_comes_out(transcript: Transcript, cuts: list[int]) -> None:
    anthropic.check(transcript, cuts)


@settings(max_examples=100, deadline=None)
@given(ANY, cuts_of_bodies, damages)
def test_damaged_bytes_have_one_typed_end(transcript: Transcript, cuts: list[int], damage: Damage) -> None:
    check_damage(transcript, cuts, damage)


@settings(max_examples=3, deadline=None)
@given(ANY, damages)
def test_r07_what_is_kept_of_an_answer_without_end_is_bounded(transcript: Transcript, damage: Damage) -> None:
    check_memory(transcript, damage)


@pytest.mark.parametrize("kind", files.KINDS)
@settings(max_examples=20, deadline=None)
@given(damage=files.damages_of_files)
def test_a_damaged_file_is_a_typed_error(kind: str, damage: Damage) -> None:
    files.check(kind, damage)
