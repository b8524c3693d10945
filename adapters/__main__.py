"""``python -m adapters COMMAND ...``: the commands of this package, each in a module of its own that is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

__all__ = ["COMMANDS", "main"]

COMMANDS: Final = {
    "serve": ("adapters.gateway.commands.serve", "stand before the model servers, for every agent (the gateway)"),
    "run": ("adapters.gateway.commands.run", "run one program through the gateway"),
    "status": ("adapters.gateway.commands.status", "show a gateway's slots, queue and agents"),
    "verify": ("adapters.gateway.commands.verify", "replay a gateway's journal and check every property"),
    "conformance": ("adapters.conformance.command", "check an adapter against the rules of adapters"),
}
"""Name -> its module, whose ``main(arguments)`` returns the exit code, and what it does."""

EXIT_USAGE: Final = 2


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    if not arguments or arguments[0] not in COMMANDS:
        print("usage: python -m adapters COMMAND ...\n", file=sys.stderr)
        for name, (_, what) in COMMANDS.items():
            print(f"  {name}  {what}", file=sys.stderr)
        return EXIT_USAGE
    module, _ = COMMANDS[arguments[0]]
    return int(import_module(module).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
