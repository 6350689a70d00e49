"""What checkers of weak models get wrong, drawn. A row is a session."""

import pytest

from checkers import History, Verdict, invoke
from checkers.explain import explain
from checkers.levels import IMPLIES, LEVELS, below, judge
from checkers.notation import parse_drawing
from checkers.order import INITIAL, graph

TRAPS = {
    "causal is not one order: a, b, a of concurrent writes": (
        """A: |-w 1-|
           B: |-w 2-|
           C:         |-r 1-| |-r 2-| |-r 1-|""",
        {"causal": "valid", "causal-convergence": "invalid", "monotonic-reads": "invalid"},
    ),
    "two sessions see concurrent writes in opposite orders": (
        """A: |-w 1-|
           B: |-w 2-|
           C:         |-r 1-| |-r 2-|
           D:         |-r 2-| |-r 1-|""",
        {"causal": "valid", "monotonic-reads": "invalid", "read-your-writes": "unknown"},
    ),
    "cross-key: cutting by key would see nothing": (
        """A: |-w x 1-| |-w y 2-|
           B:                     |-r y 2-| |-r x nil-|""",
        {"causal": "invalid", "monotonic-writes": "invalid", "monotonic-reads": "unknown"},
    ),
    "a stale read of another session is no violation without real time": (
        """A: |-w 1-| |-w 2-| |-r 2-|
           B:                   |-r 1-| |-r 2-|""",
        {"regular": "invalid", "causal-convergence": "valid", "session-guarantees": "valid"},
    ),
    "a safe register may return anything under a write": (
        """A: |---w 1---|
           B:  |-r 9-|    |-r 1-|""",
        {"safe": "valid", "integrity": "invalid", "causal": "invalid", "read-your-writes": "unknown"},
    ),
    "an info write may land late, and is not before what nobody saw": (
        """A: |-w 1- - - - - - - - - -
           B:     |-r nil-| |-r 1-|""",
        {"causal-convergence": "valid", "monotonic-reads": "valid"},
    ),
    "values that are not unique": (
        """A: |-w 1-| |-w 1-| |-r 1-|""",
        {"causal": "unknown", "causal-convergence": "unknown", "session-guarantees": "unknown"},
    ),
    "a failed cas says what the value was not": (
        """A: |-w 1-| |-cas 2 3-x |-r 1-|""",
        {"causal": "unknown", "read-your-writes": "unknown"},
    ),
    "a failed write that was read": (
        """A: |-w 1-x |-r 1-|""",
        {"causal": "invalid", "monotonic-reads": "unknown"},
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_trap(name):
    drawing, expected = TRAPS[name]
    aligned = "\n".join(line.strip() for line in drawing.splitlines())
    results = judge(parse_drawing(aligned)).results
    assert {level: results[level].verdict.value for level in expected} == expected


def test_a_violation_is_a_graph_with_named_edges_and_a_sentence_for_each():
    history = parse_drawing("A: |-w x 1-| |-w y 2-|\nB:                     |-r y 2-| |-r x nil-|")
    result = judge(history).results["causal"]
    drawn = graph(history, result)
    names = [name for _, _, name in drawn.edges.data("name")]
    assert names == ["session order", "reads-from", "session order", "reads-from", "before every write"]
    assert INITIAL in drawn
    assert result.reason.count(";") == len(result.certificate.edges) - 1
    (chained,) = [line for line in explain(history, result) if "-->" in line]
    assert chained == (
        "write 'x' 1 (#0) --session order--> write 'y' 2 (#2) --reads-from--> read 'y' 2 (#4) "
        "--session order--> read 'x' the initial value (#6) --reads-from--> initial value"
    )


@pytest.mark.parametrize(
    "name", [name for name, (_, expected) in TRAPS.items() if "invalid" in expected.values()]
)
def test_every_circle_is_told_edge_by_edge(name):
    aligned = "\n".join(line.strip() for line in TRAPS[name][0].splitlines())
    history = parse_drawing(aligned)
    for result in judge(history).results.values():
        edges = result.certificate.edges if result.certificate is not None else ()
        if edges:
            (chained,) = [line for line in explain(history, result) if "-->" in line]
            assert [part.split("-->")[0] for part in chained.split(" --")[1:]] == [
                edge.name for edge in edges
            ]
            assert {name for _, _, name in graph(history, result).edges.data("name")} >= {
                edge.name for edge in edges
            }


def test_values_that_are_not_unique_are_named():
    result = judge(parse_drawing("A: |-w 1-| |-w 1-| |-r 1-|")).results["causal"]
    assert "#2 writes a value that was there before; write unique values" in result.reason


def test_a_cycle_of_reads_from_the_future():
    ops = []
    for process, (key, other) in enumerate(("xy", "yx")):
        read, write = invoke(process, "read", key, time_ns=1), invoke(process, "write", other, 1, time_ns=2)
        ops += [(1, read), (1, invoke(process, "read", key, 1, time_ns=1).ok()), (2, write), (2, write.ok())]
    history = History.from_ops(op for _, op in sorted(ops, key=lambda pair: pair[0]))
    results = judge(history).results
    assert (results["causal"].verdict, results["causal"].anomaly) == (Verdict.INVALID, "cyclic-co")


def test_the_lattice_names_levels_and_has_one_top():
    assert {*IMPLIES, *(weaker for direct in IMPLIES.values() for weaker in direct)} == set(LEVELS)
    assert below("linearizable") == set(LEVELS) - {"linearizable"}
    assert "session-guarantees" not in below("causal")
