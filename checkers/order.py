"""Violations that are a circle: which operation comes before which, and why, edge by edge.

    write x 1 ──session order──► write y 2 ──reads-from──► read y 2 ──session order──► read x nil ──reads-from──► initial value

The core finds the circle; here it becomes a networkx DiGraph of operations with named edges, and a sentence for each edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from checkers.history import History
from checkers.op import Op, Type
from checkers.verdict import Certificate, Edge, Result, Verdict

if TYPE_CHECKING:  # slow to load, and no verdict needs it
    import networkx as nx

INITIAL = "initial value"
SESSION, READS, CONFLICT = "session order", "reads-from", "conflict"
FORCED, REPLACED = (
    "write order",
    "read before replaced",
)  # of one order of all operations (checkers/forced.py)
Found = tuple[
    str, list[tuple[int, int | None, str, list[int]]], list[int], str | None, int, int, int
]  # as the core says it

_UNWRITTEN = {
    "thin-air": "returned a value that nobody wrote",
    "aborted-read": "returned a value whose write had failed (or the client called it failed wrongly)",
}


def result_of(checker: str, history: History, found: Found, *, tested_words: str, unwritten: bool) -> Result:
    """The Result of what the core found. `unwritten`: is a read of a value that nobody wrote a violation of this model?"""
    anomaly, raw, calls, doubt, tested, sessions, steps = found
    stats = {"ops": steps, "sessions": sessions, "reads_tested": tested}
    if raw:
        edges = tuple(Edge(before, after, name, tuple(because)) for before, after, name, because in raw)
        certificate = Certificate("core", involved(edges), edges)
        reason = f"{anomaly}: " + "; ".join(told(history, edge) for edge in edges)
        key = history.op(edges[0].before).key
        return Result(checker, Verdict.INVALID, reason, anomaly, key, certificate, stats)
    if anomaly:
        read = next(history.op(call) for call in calls if history.op(call).f != "write")
        reason = f"{anomaly}: {label(history, read.index)} by process {read.process} {_UNWRITTEN[anomaly]}"
        if unwritten:
            certificate = Certificate("core", tuple(calls))
            return Result(checker, Verdict.INVALID, reason, anomaly, read.key, certificate, stats)
        return Result(
            checker,
            Verdict.UNKNOWN,
            f"{reason}, so no order of writes can place it; see integrity",
            stats=stats,
        )
    if doubt is not None:
        return Result(checker, Verdict.UNKNOWN, doubt, stats=stats)
    if not tested:
        return Result(
            checker, Verdict.UNKNOWN, f"no read was {tested_words}, so nothing was tested", stats=stats
        )
    reason = f"{tested} reads {tested_words}, in {sessions} sessions: none contradicts the claim '{checker}'"
    return Result(checker, Verdict.VALID, reason, stats=stats)


def involved(edges: Iterable[Edge]) -> tuple[int, ...]:
    """All operations that the edges speak of, in order of call."""
    return tuple(
        sorted({op for edge in edges for op in (edge.before, edge.after, *edge.because) if op is not None})
    )


def graph(history: History, result: Result) -> nx.DiGraph[int | str]:
    """The circle as a graph: nodes are calls (`label`, `process`), edges have `name` and `because`. Empty without one."""
    import networkx as nx

    drawn: nx.DiGraph[int | str] = nx.DiGraph()
    for edge in result.certificate.edges if result.certificate is not None else ():
        for node in (edge.before, edge.after):
            if node is None:
                drawn.add_node(INITIAL, label=INITIAL)
            else:
                drawn.add_node(node, label=label(history, node), process=history.op(node).process)
        after = INITIAL if edge.after is None else edge.after
        drawn.add_edge(edge.before, after, name=edge.name, because=edge.because)
        if edge.after is None:
            drawn.add_edge(INITIAL, next(iter(drawn)), name="before every write", because=())
    return drawn


def chain(history: History, edges: Sequence[Edge]) -> str:
    """The edges by name, one after the other: `write 'x' 1 (#0) --session order--> write 'y' 1 (#2) --reads-from--> …`."""
    text, last = "", None
    for edge in edges:
        before, after = (
            label(history, edge.before),
            INITIAL if edge.after is None else label(history, edge.after),
        )
        text += (
            f" --{edge.name}--> {after}"
            if before == last
            else f"{'; ' if text else ''}{before} --{edge.name}--> {after}"
        )
        last = after
    return text


def label(history: History, index: int) -> str:
    """An operation in a few words: `read 'x' 3 (#14)`; without the key where there is none."""
    op, end = history.op(index), history.completion(index)
    key = "" if op.key is None else f"{op.key!r} "
    return f"{op.f} {key}{_value(op, end)} (#{index})"


def _value(op: Op, end: Op | None) -> str:
    if op.f == "read" and end is not None and end.type is Type.OK:
        return "the initial value" if end.value is None else repr(end.value)
    return repr(op.value)


def told(history: History, edge: Edge) -> str:
    """Why the one comes before the other, in one clause."""
    before = label(history, edge.before)
    process = history.op(edge.before).process
    after = "the initial value" if edge.after is None else label(history, edge.after)
    if edge.name == SESSION:
        return f"process {process} did {before} before {after}"
    if edge.name == READS:
        if edge.after is None:
            return f"{before} saw the value before any write, as if those had not been"
        return f"{after} saw what {before} wrote"
    if edge.name in (FORCED, REPLACED):
        return _forced(history, edge)
    why = because(history, edge)
    if edge.after is None:
        return (
            f"{edge.name} puts {before} before what was read, but that was the value before any write ({why})"
        )
    return f"{edge.name} puts {before} before {after} ({why})"


def _forced(history: History, edge: Edge) -> str:
    """What one order of all operations is forced to by what a read returned."""
    before, after = label(history, edge.before), label(history, edge.after or 0)
    if edge.name == FORCED:
        return f"{label(history, edge.because[0])} came after {before} and returned what {after} wrote, so {before} came before {after}"
    if not edge.because:
        return f"{before} saw the value before any write, so it came before {after}"
    return f"{before} returned what {label(history, edge.because[0])} wrote and {after} replaced, so it came before {after}"


def because(history: History, edge: Edge) -> str:
    """What shows a conflict, or an order that a session guarantee demands."""
    names = [label(history, index) for index in edge.because]
    if edge.name == CONFLICT:
        way = " to ".join(names)
        return f"the last of {way} knew of it by session order and reads-from, and returned the other"
    if not names:
        return f"process {history.op(edge.before).process} wrote both in this order"
    return f"process {history.op(edge.because[-1]).process} {_sequence(names)}"


def _sequence(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"did {names[0]}"
    return f"ended with {names[-1]}, after {', '.join(names[:-1])}"
