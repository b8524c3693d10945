"""The command ``llm-slots COMMAND ...``, also ``python -m adapters``: every command of the project, each imported when it is called.

======  ======================================================
status  meaning
======  ======================================================
0       done
1       done, and the answer is no; or the output was not read
2       bad input, or a part is not installed: one line
130     interrupted
======  ======================================================
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Final, NamedTuple

__all__ = ["COMMANDS", "Command", "main"]


class Command(NamedTuple):
    """``main(words + arguments)`` of ``module`` returns the exit status. ``extra`` names the optional dependencies that it needs."""

    what: str
    module: str
    words: tuple[str, ...] = ()
    extra: str = "gateway"


def _gateway(name: str, what: str) -> Command:
    return Command(what, f"adapters.gateway.commands.{name}")


def _simulation(name: str, what: str) -> Command:
    return Command(what, "simulation.__main__", (name,), "simulation")


def _server(name: str, what: str) -> Command:
    return Command(what, f"adapters.commands.{name}")


def _core(name: str, what: str) -> Command:
    return Command(what, "statemachine.__main__", (name,))


COMMANDS: Final[Mapping[str, Command]] = {
    "serve": _gateway("serve", "stand before the model servers, for every agent (the gateway)"),
    "run": _gateway("run", "run one program through the gateway"),
    "status": _server("status", "show the gateway's slots, queue and agents; with --provider: how a provider is"),
    "verify": _gateway("verify", "replay the gateway's journal and check every property"),
    "models": _server("models", "list a local server's models, and which are in memory"),
    "load": _server("load", "load a model on a local server, and leave it loaded"),
    "unload": _server("unload", "unload a model of a local server"),
    "switch": _server("switch", "unload every other model of a local server, then load this one"),
    "chat": _server("chat", "ask a model of any provider"),
    "metrics": _server("metrics", "what loads, unloads and switches of an LM Studio server come to"),
    "conformance": Command("check an adapter against the rules", "adapters.conformance.command", extra="conformance"),
    "mock": _simulation("serve", "run a mock LM Studio server"),
    "simulate": _simulation("replay", "replay a workload through the real manager, and report on it"),
    "compare": _simulation("compare", "compare policies on one workload"),
    "sweep": _simulation("sweep", "run a grid of policies and loads, and advise the cheapest that meets a target"),
    "study": _simulation("study", "repeat the experiment behind the default policy"),
    "convert": _simulation("convert", "convert a trace to the simulator's format"),
    "validate": _simulation("validate", "compare the simulator with closed formulas of queueing theory"),
    "calibrate": _simulation("calibrate", "measure a real server, and write its latency profile"),
    "check": _core("check", "explore every reachable state of the core's scenarios"),
    "diagram": _core("diagram", "print the state machines as Mermaid diagrams"),
    "errors": _core("errors", "print every error with its cause and cure"),
}

EXIT_UNREAD: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
_OURS: Final = ("adapters", "simulation", "statemachine")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. By default the arguments are those of the process."""
    if arguments is None:
        arguments = sys.argv[1:]
        sys.path.insert(0, "")  # what a command is told to import lies in the working folder, as with python -m
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else EXIT_USAGE
    name, *rest = arguments
    if name == "--version":
        from importlib.metadata import version

        print(version("llm-slot-manager"))
        return 0
    if name not in COMMANDS:
        print(f"error: {name!r} is no command; see llm-slots --help", file=sys.stderr)
        return EXIT_USAGE
    return _run(COMMANDS[name], rest)


def _run(command: Command, arguments: Sequence[str]) -> int:
    try:
        return int(import_module(command.module).main([*command.words, *arguments]))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # else the interpreter flushes into the pipe again
        return EXIT_UNREAD
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in _OURS:
            raise
        extra = f"pip install 'llm-slot-manager[{command.extra}]'"
        print(f"error: {missing} is not installed; install the extra: {extra}", file=sys.stderr)
        return EXIT_USAGE


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = (f"  {name.ljust(width)}  {command.what}" for name, command in COMMANDS.items())
    return "\n".join(["usage: llm-slots COMMAND ...", "", *rows, "", "llm-slots COMMAND --help shows its options."])


if __name__ == "__main__":
    sys.exit(main())
