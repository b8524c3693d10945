"""Liveness: search a graph of states for an infinite fair run in which one request waits throughout.

The search assumes *weak fairness*: a duty (to release a held lease, to end a start, to end a shutdown) that stays due is done in the
end. Nothing else has to happen: no request has to be made, cancelled, or timed out. So a state in which a request waits and nothing
is due is a counterexample as well: the run may end there.

The states in which one request waits are split into strongly connected components. A component contains a fair infinite run exactly if,
from one of its states, each duty of that state can be done inside the component.

- If each can be done, then do the oldest duty first, return, and repeat without end: that run is fair.
- If one cannot be done, then a walk from that state can reach every state of the component with the duty still open. So every state
  has a duty that is never done inside the component, and no run that stays inside is fair.

States are known up to renaming, so a duty is followed from edge to edge by its position, not by its name.

Example: two states that alternate "grant to b" and "release by b" while ``a`` waits. The only duty, b's release, is done in each round.
So the run is fair, and ``a`` starves.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

__all__ = ["NEW", "Edge", "Lasso", "StateGraph", "components", "fair_lasso"]

NEW: Final = -1
"""In :attr:`Edge.kept`: a duty that was not due before the step."""
_ENDED: Final = -1  # the position of a duty that is done
_NOWHERE: Final = 2**32 - 1  # the target of a step that violates a property: the search did not go on from it


class Edge(NamedTuple):
    """The ``position``-th event of a state, and the state that it leads to.

    ``kept``: for each duty of the target, its position among the duties of the source, or NEW.
    """

    position: int
    target: int
    kept: tuple[int, ...]


class StateGraph:
    """Every state and edge of a search, in the order of expansion. An edge takes about 8 bytes."""

    def __init__(self) -> None:
        self.pending: list[frozenset[str]] = []  # by state: the properties that are not fulfilled
        self.duties = array("H")  # by state: how many duties it has
        self._first = array("Q", [0])
        self._targets = array("I")
        self._kept = array("I")
        self._tables: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._sets: dict[frozenset[str], frozenset[str]] = {}

    @property
    def expanded(self) -> int:
        """How many states have all their edges. The others are not searched."""
        return len(self._first) - 1

    def add_state(self, pending: frozenset[str], duties: int) -> None:
        """Add the next state."""
        self.pending.append(self._sets.setdefault(pending, pending))
        self.duties.append(duties)

    def add_edge(self, target: int | None, kept: tuple[int, ...]) -> None:
        """Add an edge to the state under expansion. A target of None: the search did not go on from it."""
        number = self._numbers.setdefault(kept, len(self._tables))
        if number == len(self._tables):
            self._tables.append(kept)
        self._targets.append(_NOWHERE if target is None else target)
        self._kept.append(number)

    def end_state(self) -> None:
        """Close the state under expansion, which has all its edges, and go on to the next one."""
        self._first.append(len(self._targets))

    def edges(self, state: int) -> Iterator[Edge]:
        """Yield the edges of an expanded state."""
        first = self._first[state]
        for at in range(first, self._first[state + 1]):
            if self._targets[at] != _NOWHERE:
                yield Edge(at - first, self._targets[at], self._tables[self._kept[at]])


class Lasso(NamedTuple):
    """A state, and the positions of the events that lead from it back to itself and do every duty.

    No events: nothing is due in the state.
    """

    start: int
    positions: tuple[int, ...]


def fair_lasso(graph: StateGraph, name: str) -> Lasso | None:
    """Find a fair infinite run in which ``name`` stays unfulfilled, as close to the initial state as possible; None if there is none."""
    waiting = [state for state in range(graph.expanded) if name in graph.pending[state]]
    within = set(waiting)

    def successors(state: int) -> Iterator[int]:
        return (edge.target for edge in graph.edges(state) if edge.target in within)

    for component in sorted(components(waiting, successors), key=min):
        cycle = _fair_cycle(graph, set(component), min(component))
        if cycle is not None:
            return Lasso(min(component), tuple(edge.position for edge in cycle))
    return None


def components(nodes: list[int], successors: Callable[[int], Iterator[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components (Tarjan's algorithm, without recursion)."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}  # the least number known to be reachable; a finished node has no entry
    stack: list[int] = []
    for root in nodes:
        path = [] if root in number else [(root, successors(root))]
        while path:
            node, rest = path[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                stack.append(node)
            for after in rest:
                if after not in number:
                    path.append((after, successors(after)))
                    break
                low[node] = min(low[node], low.get(after, number[node]))
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    yield _pop(stack, node, low)


def _pop(stack: list[int], first: int, low: dict[int, int]) -> list[int]:
    component: list[int] = []
    while not component or component[-1] != first:
        component.append(stack.pop())
        del low[component[-1]]
    return component


def _fair_cycle(graph: StateGraph, members: set[int], start: int) -> list[Edge] | None:
    """Return a path inside ``members`` that does every duty of ``start`` and comes back to it; None where there is none."""
    cycle: list[Edge] = []
    here, owed = start, list(range(graph.duties[start]))
    while owed:
        way = _way(graph, members, (here, owed[0]), lambda node: node[1] == _ENDED)
        if way is None:
            return None
        cycle += way
        here = way[-1].target
        for edge in way:
            owed = [edge.kept.index(duty) for duty in owed if duty in edge.kept]
    home = _way(graph, members, (here, _ENDED), lambda node: node[0] == start)
    assert home is not None, "the component is strongly connected"
    return cycle + home


_Node = tuple[int, int]  # a state, and the position of one duty in it, or _ENDED


def _way(graph: StateGraph, members: set[int], start: _Node, there: Callable[[_Node], bool]) -> list[Edge] | None:
    """Return the shortest path from ``start`` to a node for which ``there`` is true; None where there is none."""
    came_from: dict[_Node, tuple[_Node, Edge] | None] = {start: None}
    queue = deque([start])
    while queue:
        node = queue.popleft()
        if there(node):
            return _back(came_from, node)
        state, duty = node
        for edge in graph.edges(state):
            lasts = duty != _ENDED and duty in edge.kept
            after = edge.target, edge.kept.index(duty) if lasts else _ENDED
            if edge.target in members and after not in came_from:
                came_from[after] = node, edge
                queue.append(after)
    return None


def _back(came_from: dict[_Node, tuple[_Node, Edge] | None], node: _Node) -> list[Edge]:
    way: list[Edge] = []
    while (step := came_from[node]) is not None:
        node, edge = step
        way.append(edge)
    return way[::-1]
