"""The command ``llm-slots COMMAND ...``, also ``python -m adapters``: every command of the project, each imported when it is called.

Exit statuses are those of :mod:`statemachine.shell.command`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

__all__ = ["COMMANDS", "main"]


class Entry(NamedTuple):
    """What a command does, its module (see :mod:`statemachine.shell`), and the optional dependencies that it may lack."""

    summary: str
    module: str
    extra: str


def _gateway(name: str, summary: str) -> Entry:
    return Entry(summary, f"adapters.gateway.commands.{name}", "gateway")


def _server(name: str, summary: str) -> Entry:
    return Entry(summary, f"adapters.commands.{name}", "gateway")


def _simulation(name: str, summary: str) -> Entry:
    return Entry(summary, f"simulation.commands.{name}", "simulation")


COMMANDS: Final[Mapping[str, Entry]] = {
    "serve": _gateway("serve", "stand before the model servers, for every agent (the gateway)"),
    "run": _gateway("run", "run one program through the gateway"),
    "status": _server("status", "show the gateway's slots, queue and agents; with --provider: how a provider is"),
    "verify": _gateway("verify", "replay the gateway's journal and check every property"),
    "models": _server("models", "list the models of a gateway or of a local server, and which are in memory"),
    "load": _server("load", "load a model, by a gateway or on a local server, and leave it loaded"),
    "unload": _server("unload", "unload a model, by a gateway or of a local server"),
    "switch": _server("switch", "unload every other model of a local server, then load this one"),
    "chat": _server("chat", "ask a model, by a gateway or of any provider"),
    "metrics": _server("metrics", "what loads, unloads and switches of an LM Studio server come to"),
    "conformance": Entry("check an adapter against the rules", "adapters.conformance.command", "conformance"),
    "mock": _simulation("serve", "run a mock LM Studio server"),
    "simulate": _simulation("replay", "replay a workload through the real manager, and report on it"),
    "compare": _simulation("compare", "compare policies on one workload"),
    "sweep": _simulation("sweep", "run a grid of policies, loads, slots, servers and memory"),
    "advise": _simulation("advise", "find the cheapest configuration that meets a target"),
    "study": _simulation("study", "repeat the experiment behind the default policy"),
    "convert": _simulation("convert", "convert a trace to the simulator's format"),
    "validate": _simulation("validate", "compare the simulator with closed formulas of queueing theory"),
    "calibrate": _simulation("calibrate", "measure a real server, and write its latency profile"),
    "fidelity": _simulation("fidelity", "hold the simulator's predictions against a real server"),
    "check": Entry("explore every reachable state of the core's scenarios", "statemachine.checking.command", ""),
    "diagram": Entry("print the state machines as Mermaid diagrams", "statemachine.core.diagram", ""),
    "errors": Entry("print every error with its cause and cure", "statemachine.errors_page", ""),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. By default the arguments are those of the process."""
    if arguments is None:
        arguments = sys.argv[1:]
        sys.path.insert(0, "")  # what a command is told to import lies in the working folder, as with python -m
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0 if arguments else 2
    name, *rest = arguments
    if name == "--version":
        from importlib.metadata import version

        print(version("llm-slot-manager"))
        return 0
    try:
        from statemachine.shell.command import refused, run_command
    except KeyboardInterrupt:  # while the library is loaded
        print("interrupted", file=sys.stderr)
        return 130

    if name not in COMMANDS:
        return refused(f"{name!r} is no command; see llm-slots --help")
    entry = COMMANDS[name]
    return run_command(f"llm-slots {name}", entry.module, entry.summary, rest, extra=entry.extra)


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = (f"  {name.ljust(width)}  {entry.summary}" for name, entry in COMMANDS.items())
    return "\n".join(["usage: llm-slots COMMAND ...", "", *rows, "", "llm-slots COMMAND --help shows its options."])


if __name__ == "__main__":
    sys.exit(main())
