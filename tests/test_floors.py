"""The architecture as a test: who may import whom, and what the pure part must never import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up: a file imports from its own floor or from floors below it, within its package. "*": every file without a row.
FLOORS: dict[str, list[set[str]]] = {
    "statemachine": [
        {"errors", "frozen", "value", "text", "foreign"},
        {"checks", "errors_page"},
        {"policies"},
        {"config"},
        {"shell"},
        {"core"},
        {"properties"},
        {"checking", "journal"},
        {"manager"},
        {"threads"},
        {"schedules"},  # stands on trio alone, but for its command
        {"__init__", "__main__"},
    ],
    "adapters/http": [
        {"library"},
        {"nothing", "secrets", "health", "options", "lines", "form", "for_httpx", "heads", "members"},
        {"bounds", "parts"},
        {"error_body"},
        {"decoding", "errors", "kept", "sse", "ndjson", "tool_calls"},
        {"response"},
        {"client"},
        {"stream", "forward"},
        {"messages", "reader"},
        {"chat", "responses"},
        {"__init__"},
    ],
    "adapters/residency": [
        {"server", "judging", "owned"},
        {"memory"},
        {"noting"},
        {"loading", "just_in_time"},
        {"life"},
        {"__init__"},
    ],
    "adapters/gateway": [
        {"asking", "problems", "backends", "tokens", "facts", "under_way", "incoming", "reply"},
        {"dialects", "settings"},
        {"running"},
        {"answer", "routes"},
        {"http1"},
        {"reading", "loads", "history", "agents", "metrics", "listing", "discovery", "recording", "recovering"},
        {"catalogue", "waiting"},
        {"gateway", "lists"},
        {"passage", "status", "unloading"},
        {"entrance"},
        {"pages"},
        {"app"},
        {"serve"},
        {"commands"},
        {"__init__"},
    ],
    "adapters/commands": [
        {"server", "show"},
        {"asked"},
        {"*"},
        {"__init__"},
    ],
    "adapters/anthropic": [
        {"reader", "request"},
        {"adapter"},
        {"__init__"},
    ],
    "adapters/llamacpp": [
        {"server"},
        {"progress"},
        {"adapter"},
        {"__init__"},
    ],
    "adapters/ollama": [
        {"reader", "request", "server"},
        {"adapter"},
        {"__init__"},
    ],
    "adapters/lmstudio": [
        {"rows", "native"},
        {"api"},
        {"adapter"},
        {"__init__"},
    ],
    "adapters/providers": [
        {"home", "measuring", "kinds", "config"},
        {"model", "hosted"},
        {"lmstudio_singleton"},
        {"sharing"},
        {"provider"},
        {"__init__"},
    ],
    "statemachine/shell": [
        {"options", "workers"},
        {"command"},
        {"__init__"},
    ],
    "statemachine/policies": [
        {"policy"},
        {"line"},
        {"round_robin"},
        {"*"},
        {"cost_aware", "fair"},
        {"table"},
        {"names"},
        {"__init__"},
    ],
    "statemachine/config": [
        {"options"},
        {"hosts", "identity"},
        {"runtime"},
        {"call"},
        {"adapter", "forward"},
        {"providers"},
        {"__init__"},
    ],
    "statemachine/core": [
        {"lifecycle"},
        {"diagram"},
        {"events", "counters"},
        {"timers", "index"},
        {"ledger"},
        {"admission"},
        {"placement"},
        {"coordinator"},
        {"snapshot", "statistics"},
        {"__init__"},
    ],
    "statemachine/properties": [
        {"property"},
        {"*"},
        {"table"},
        {"__init__"},
        {"invariants"},
    ],
    "statemachine/checking": [
        {"liveness", "expansion"},
        {"checker"},
        {"decisions"},
        {"coverage"},
        {"passing"},
        {"canonical"},
        {"scenario"},
        {"ageing"},
        {"system"},
        {"experienced"},
        {"scenarios"},
        {"reproduction"},
        {"report", "division"},
        {"campaign"},
        {"command"},
        {"__init__"},
    ],
    "statemachine/journal": [
        {"forms", "lines"},
        {"verify", "writer"},
        {"__init__"},
    ],
    "statemachine/manager": [
        {
            "at_work",
            "auto_reset",
            "broken",
            "expected",
            "faults",
            "hints",
            "observing",
            "outstanding",
            "refusal",
            "running",
            "stepper",
            "transition_log",
        },
        {"worker", "lease"},
        {"acquiring", "kin", "reading"},
        {"manager", "background"},
        {"engine", "bridge"},
        {"hosting"},
        {"bridged"},
        {"asyncio_side", "sync_side"},
        {"__init__"},
    ],
    "statemachine/threads": [
        {"secrecy"},
        {"record", "store"},
        {"state"},
        {"agent"},
        {"__init__"},
    ],
    "statemachine/schedules": [
        {"tape", "switch"},
        {"selftest", "fingerprint"},
        {"running", "seeding"},
        {"naming", "strategies", "exhaustive", "cancelling"},
        {"shrink", "explore"},
        {"__init__", "command"},
        {"__main__"},
    ],
    "simulation": [
        {"workloads"},
        {"timing"},
        {"mock"},
        {"drivers"},
        {"analysis"},
        {"report"},
        {"commands"},
        {"__init__", "__main__"},
    ],
    "simulation/mock": [
        {"faults", "http", "schema", "transport", "words"},
        {"engine", "streamed"},
        {"anthropic", "llamacpp", "lmstudio", "ollama"},
        {"serve"},
        {"threaded"},
        {"__init__"},
    ],
    "adapters/conformance": [
        {"program", "faults", "observe", "standstill"},
        {"subject"},
        {"trace"},
        {"phases"},
        {"judging_life"},
        {"judging_calls", "judging_errors"},
        {"asking"},
        {"managed"},
        {"run"},
        {"rule"},
        {"rules"},
        {"report", "strategy"},
        {"check"},
        {"suite", "command"},
        {"collecting"},
        {"__init__"},
    ],
}
PACKAGES = ["statemachine", "adapters", "simulation", "benchmarks"]  # from the ground up
PURE = {name for floor in FLOORS["statemachine"][:7] for name in floor} - {"shell"}
IMPURE = {"trio", "time", "datetime", "random", "logging", "asyncio", "threading", "socket", "os", "httpx", "secrets"}


def _files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").exists()


def _imports(path: Path) -> Iterator[str]:
    """The absolute names of all modules that the file imports, anywhere in it."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:  # "from . import name" names a module only where there is one
                name = f"{module}.{alias.name}"
                yield name if not node.module and _is_module(name) else module


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_from_packages_below(package: str) -> None:
    allowed = PACKAGES[: PACKAGES.index(package) + 1]
    for path in _files(package):
        for name in _imports(path):
            top = name.split(".")[0]
            assert top not in PACKAGES or top in allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", FLOORS)
def test_files_import_only_from_floors_below(package: str) -> None:
    """A package inside of the package is one entry of its table, and has a table of its own."""
    level = {name: number for number, floor in enumerate(FLOORS[package]) for name in floor}
    prefix = package.replace("/", ".") + "."
    entries = {path: path.relative_to(ROOT / package).parts[0].removesuffix(".py") for path in _files(package)}
    assert "*" in level or set(entries.values()) == level.keys(), "every file has a floor"
    for path, name in entries.items():
        for imported in _imports(path):
            if imported.startswith(prefix) and name != "__main__":
                other = imported.removeprefix(prefix).split(".")[0]
                assert _of(level, other) <= _of(level, name), f"{name} imports {other} from a higher floor"


def _of(level: dict[str, int], name: str) -> int:
    return level[name if name in level else "*"]


def test_schedules_know_nothing_of_the_rest() -> None:
    door = {"__main__.py", "command.py"}
    for path in [path for path in _files("statemachine/schedules") if path.name not in door]:
        assert not any(re.match(r"statemachine\.(?!schedules)", name) for name in _imports(path)), path


@pytest.mark.parametrize("package", PACKAGES)
def test_there_are_no_cycles(package: str) -> None:
    files = {f"{package}.{'.'.join(p.relative_to(ROOT / package).with_suffix('').parts)}": p for p in _files(package)}
    graph = {name: {i for i in _imports(path) if i in files and i != name} for name, path in files.items()}
    while graph:
        leaves = {name for name, below in graph.items() if not below}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: below - leaves for name, below in graph.items() if name not in leaves}


def test_a_mock_server_knows_no_adapter() -> None:
    for path in _files("simulation/mock"):
        assert not any(name.split(".")[0] == "adapters" for name in _imports(path)), path


def test_the_model_is_pure() -> None:
    for path in _files("statemachine"):
        name = path.relative_to(ROOT / "statemachine").parts[0].removesuffix(".py")
        for imported in _imports(path) if name in PURE else ():
            assert imported.split(".")[0] not in IMPURE, f"{path.relative_to(ROOT)} imports {imported}"


def test_the_core_never_imports_an_adapter() -> None:
    for path in _files("statemachine"):
        assert not any(name.split(".")[0] == "adapters" for name in _imports(path))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_graph_of_folders_is_small(package: str) -> None:
    """Grouped by folder, single files at the top counting as one each, a package has at most 20 parts in at most 12 layers."""
    graph: dict[str, set[str]] = {}
    for path in _files(package):
        name = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if name not in ("__init__", "__main__"):
            below = graph.setdefault(name, set())
            for imported in _imports(path):
                top, _, rest = imported.partition(".")
                if top == package and rest and rest.split(".")[0] != name:
                    below.add(rest.split(".")[0])
    assert len(graph) <= 20, sorted(graph)
    layers = 0
    while graph:
        leaves = {name for name, below in graph.items() if not below & graph.keys()}
        assert leaves, f"a cycle among {sorted(graph)}"
        graph = {name: below for name, below in graph.items() if name not in leaves}
        layers += 1
    assert layers <= 12


def test_one_file_names_the_http_library() -> None:
    named = re.compile(r"^\s*(import|from) httpx", re.M)
    found = [path for path in sorted((ROOT / "adapters").rglob("*.py")) if named.search(path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in found] == ["adapters/http/library.py"]
