"""One side of a comparison, as a process of its own: ``python -m benchmarks.measuring.worker MODULE:FUNCTION ARGUMENT...``.

The function returns a round, which returns its figure. Each line on standard input asks for one; the figure goes to standard output.
It needs only Python, because it also runs in the environments of peers.
"""

from __future__ import annotations

import gc
import json
import sys
from importlib import import_module


def main(target: str, *arguments: str) -> None:
    """Answer until standard input ends."""
    module, _, function = target.partition(":")
    make_round = getattr(import_module(module), function)(*map(_value, arguments))
    print("ready", flush=True)
    for _ in sys.stdin:
        gc.collect()
        gc.disable()
        figure = make_round()
        gc.enable()
        print(json.dumps(figure), flush=True)


def _value(argument: str) -> int | str:
    return int(argument) if argument.isdigit() else argument


if __name__ == "__main__":
    main(*sys.argv[1:])
