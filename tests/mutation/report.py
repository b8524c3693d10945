"""docs/mutation*.md: how many of each module's mutants were killed, and each survivor with its explanation from survivors*.toml."""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from .mutate import Mutant
from .results import Fate
from .subjects import ROOT, Campaign

__all__ = ["explained", "table", "write"]

FOLDER = Path(__file__).parent
Place: TypeAlias = tuple[str, str, str, str]  # module, class and function, old line, new line
Fates: TypeAlias = Mapping[str, Sequence[tuple[Mutant, Fate]]]  # by module

_CORE = """\
# Mutants

`make mutation` changes one thing at a time in the core (an operator, a number, an argument, a condition, a statement left out) and
runs the core's own tests until one fails. A mutant that no test notices *survives*: then a test is missing, or the changed code
makes no difference, and it is said here why. Nothing is excluded but annotations, which are never evaluated. This page is written by
`python -m tests.mutation core`; the explanations are kept in `tests/mutation/survivors.toml`.

The mutants are mutmut's, but of decorated functions, of class bodies and of modules too; besides, statements are left out, conditions
negated, and numbers decremented. A mutant is tried with the tests that execute its line (all of them, where it is executed at import),
quick ones first, in a fork of a process that has collected them: changed functions and constants are patched, for all else everything is
imported anew. A test is bounded by processor time, and Hypothesis draws the same examples each time (so fewer of them than usually), so
that a verdict can be repeated. The tests are those of the contract and of the
units, cancellations at every checkpoint, Hypothesis' machines, and six small scenarios of the checker; schedules and larger scenarios,
which take seconds each, are left out: they have wrong models and managers of their own (`python -m tests.proof`).
So are the tests of interruptions between any two instructions: what only these would notice survives here, and is *unexplained*, as is what
has not been judged yet. *Undecided* is what has not been tried before all of its tests; it counts as not killed in the last column.
"""
_WIRE = """\
# Mutants of the wire

`make mutation-wire` does to `adapters/http` what [`make mutation`](mutation.md) does to the core: one change at a time, before the tests
that execute the changed line. Each mutant is tried before the quickest of them first; those that are left are tried before those that are
about the module, and of the others before as many as fit into two seconds together (measured with coverage). So a survivor may be one
that a test would notice for which there was no time: the shares below are lower bounds. *Undecided* is what the second round
has not reached; it counts as not killed in the last column.
Left out are the tests that are about sizes and take seconds each. What is executed at import (a table, a default) is tried with the tests
of its module, and with those that look at names.
The explanations are kept in `tests/mutation/survivors-wire.toml`.
"""
_INTRODUCTIONS = {"core": _CORE, "wire": _WIRE}


def _place(mutant: Mutant) -> Place:
    return mutant.module, mutant.where, mutant.old, mutant.new


def _survivors(fates: Fates) -> list[Mutant]:
    return [mutant for of_module in fates.values() for mutant, fate in of_module if fate is Fate.SURVIVED]


def _explanations(campaign: Campaign) -> dict[Place, str]:
    file = FOLDER / ("survivors.toml" if campaign.name == "core" else f"survivors-{campaign.name}.toml")
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("survivor", [])
    return {(e["module"], e["where"], old, new): e["why"] for e in entries for old, new in e["changes"]}


def explained(campaign: Campaign, fates: Fates) -> bool:
    """Whether every survivor has its explanation; says which has none, and which explanation explains nothing."""
    why = _explanations(campaign)
    survivors = {_place(m) for m in _survivors(fates)}
    killed = {_place(mutant) for of_module in fates.values() for mutant, fate in of_module if fate is Fate.KILLED}
    missing, stale = survivors - why.keys(), (why.keys() & killed) - survivors
    for title, places in (("survives, and is not explained", missing), ("is explained, and does not survive", stale)):
        for module, where, old, new in sorted(places):
            print(f"{title}: {module} {where}\n  - {old}\n  + {new}", file=sys.stderr)
    return not (missing or stale)


def write(campaign: Campaign, fates: Fates) -> None:
    """The document."""
    document = ROOT / "docs" / ("mutation.md" if campaign.name == "core" else f"mutation-{campaign.name}.md")
    document.write_text(
        "\n".join([_INTRODUCTIONS[campaign.name], table(fates), *_list(campaign, fates)]), encoding="utf-8"
    )


def table(fates: Fates) -> str:
    """How many mutants of each module were killed."""
    rows = [
        "| module | mutants | killed | survived | undecided | killed, of those decided | killed, of all |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    total: Counter[Fate] = Counter()
    for module, of_module in fates.items():
        row = Counter(fate for _, fate in of_module)
        total += row
        rows.append(_row(module, row))
    return "\n".join([*rows, _row("**all**", total), ""])


def _row(name: str, row: Counter[Fate]) -> str:
    decided = row[Fate.KILLED] + row[Fate.SURVIVED]
    share = f"{row[Fate.KILLED] / decided:.1%}" if decided else ""
    fates = " | ".join(str(row[fate]) for fate in Fate)
    return f"| {name} | {row.total()} | {fates} | {share} | {row[Fate.KILLED] / row.total():.1%} |"


def _list(campaign: Campaign, fates: Fates) -> list[str]:
    why = _explanations(campaign)
    lines = ["## Survivors", ""]
    by_reason: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in _survivors(fates):
        by_reason.setdefault((mutant.module, why.get(_place(mutant), "*Unexplained.*")), []).append(mutant)
    for (module, reason), survivors in by_reason.items():
        lines += [f"**{module}**: {reason}", "", "```diff"]
        for where, of_place in _grouped(survivors).items():
            lines += [f"@@ {where} @@", *(line for m in of_place for line in (f"-{m.old}", f"+{m.new}"))]
        lines += ["```", ""]
    return lines


def _grouped(survivors: Sequence[Mutant]) -> dict[str, list[Mutant]]:
    groups: dict[str, list[Mutant]] = {}
    for mutant in survivors:
        groups.setdefault(mutant.where, []).append(mutant)
    return groups
