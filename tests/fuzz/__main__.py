"""Run the fuzzers for long: ``python -m tests.fuzz --inputs 1000000 --minutes 60 --seed 0``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from . import anthropic, files, ollama, openai
from .answers import PLACES, check_damage_in_places, check_memory, cuts_of_bodies, damages, some_damages

Check = Callable[[], None]


def _checks() -> Iterator[tuple[str, int, int, Callable[..., Any]]]:
    """By name: how many examples a round has, how many inputs an example is, and the check."""
    any_protocol = st.one_of(openai.transcripts, ollama.transcripts, anthropic.transcripts)
    for name, protocol in (("openai", openai), ("ollama", ollama), ("anthropic", anthropic)):
        yield name, 2000, 1, given(protocol.transcripts, cuts_of_bodies)(protocol.check)
    yield "damage", 2000, PLACES, given(any_protocol, cuts_of_bodies, some_damages)(check_damage_in_places)
    yield "memory", 2, 1, given(any_protocol, damages)(check_memory)
    yield "files", 1200, 1, given(st.sampled_from([*files.KINDS]), files.damages_of_files)(files.check)


def run(inputs: int, start: int, seconds: float) -> int:
    """About this many inputs, in rounds with seeds of their own; how many there were. Raises AssertionError, with the shortest example."""
    began, done, number = time.monotonic(), 0, start
    while done < inputs and time.monotonic() - began < seconds:
        for name, examples, inputs_of_one, check in _checks():
            profile = settings(
                max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )
            seed(number)(profile(check))()
            done += examples * inputs_of_one
            print(
                f"{done} inputs without a finding ({name}, seed {number}, {time.monotonic() - began:.0f} s)", flush=True
            )
        number += 1
    return done


def main() -> None:
    """Fuzz, and say how far it came."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="how many, in all (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=120.0, help="for at most (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round (default %(default)s)")
    options = parser.parse_args()
    print(f"{run(options.inputs, options.seed, 60 * options.minutes)} inputs, without a finding")


if __name__ == "__main__":
    main()
