"""A matrix in words: grids for the eye, a table to paste into a design document, and what ought to surprise.

grid       one for each environment and each value of the outer axes; rows and columns are the two last axes
markdown   all of it, as `docs/configurations.md` shows it
promises   what the documentation promises, and in which cells it was broken
surprises  configurations whose quorums meet (R + W > N) and that are not linearizable all the same, with an example
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from checkers.levels import LEVELS
from checkers.verdict import Verdict
from harness.hosted import SIM
from harness.intervals import clean_bound
from harness.matrix.grid import Matrix, short
from harness.matrix.measure import ANY
from harness.matrix.merge import Row
from harness.report import words

REFUSED: Final = "refused"
HEADER: Final = (
    "configuration", "strongest kept", "weakest refuted", "stale reads", "behind, ms: p50 / p99 / most", "behind, versions: p50 / p99 / most",
    "Δ of a run, ms: p50 / most", "lost keys", "available", "under faults", "read p50 / p99", "write p50 / p99",
)  # fmt: skip
OPEN: Final = "…"  # an end of an interval that so few runs do not show


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells of one environment and one value of each outer axis. `rows` are (label, cells)."""

    title: str
    across: str
    down: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Row, ...]], ...]


def grids(matrix: Matrix, rows: Sequence[Row]) -> Iterator[Grid]:
    """The grids, in the order of the cells."""
    axes = list(matrix.axes)
    outer, inner = axes[:-2], axes[-2:]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in [row for row in rows if row.world == SIM]:
        place = (row.cell.environment, *(row.cell.coordinates[axis] for axis in outer))
        groups.setdefault(place, []).append(row)
    down, across = (inner[0], inner[1]) if len(inner) == 2 else ("", *inner) if inner else ("", "")
    for (environment, *values), group in groups.items():
        lines: dict[str, list[Row]] = {}
        for row in group:
            lines.setdefault(_label(row, down), []).append(row)
        first = next(iter(lines.values()))
        yield Grid(
            title=", ".join([environment, *(f"{short(a)} {v}" for a, v in zip(outer, values, strict=True))]),
            across=short(across),
            down=short(down),
            columns=tuple(_label(row, across) for row in first),
            rows=tuple((label, tuple(cells)) for label, cells in lines.items()),
        )


def _label(row: Row, axis: str) -> str:
    return f"{short(axis)} {row.cell.coordinates[axis]}" if axis else "all"


def kept(row: Row) -> str:
    """The strongest levels kept, or what stands in their place."""
    if row.cell.plan is None:
        return REFUSED
    if not row.numbers["runs"]:
        return "not run"
    if row.strongest:
        return ", ".join(row.strongest)
    return "none" if row.weakest_refuted else "unknown"


def broken(row: Row) -> str:
    """`regular in 3 of 20 runs`; a dash where nothing was refuted."""
    told = [
        f"{level} in {row.numbers['violations'][level]['runs']} of {row.numbers['runs']} runs"
        for level in row.weakest_refuted
    ]
    return ", ".join(told) or "–"


def warmth(row: Row) -> int:
    """From 0 (no level was kept) to 4 (linearizable), for the colour of a cell; -1 if there is nothing to colour."""
    if row.cell.plan is None or not row.verdicts:
        return -1
    if row.verdicts.get("linearizable") is Verdict.VALID:
        return 4
    count = sum(verdict is Verdict.VALID for verdict in row.verdicts.values())
    return min(3, 4 * count // len(LEVELS))


def percent_between(share: Mapping[str, Any] | None) -> str:
    """`2.7 % (1.9–3.5)`; `0 of 1,234`."""
    if share is None:
        return "–"
    if not share["count"]:
        return f"0 of {share['of']:,}"
    value, low, high = (
        f"{100 * share[name]:.2g}" if share[name] < 0.995 else "100" for name in ("share", "low", "high")
    )
    return f"{value} % ({low}–{high})"


def succeeded(share: Mapping[str, Any] | None) -> str:
    """`98.7 % (98.1–99.3)`; `all of 1,234`."""
    if share is None:
        return "–"
    if share["count"] == share["of"]:
        return f"all of {share['of']:,}"
    return f"{100 * share['share']:.1f} % ({100 * share['low']:.1f}–{100 * share['high']:.1f})"


def between(quantile: Mapping[str, Any]) -> str:
    """`12.1 (10.9–13.4)`; `12.1 (10.9–…)` if so few runs do not show how great it may be, `12.1` if they show neither end."""
    ends = [OPEN if quantile[end] is None else words.number(quantile[end]) for end in ("low", "high")]
    return words.number(quantile["value"]) + ("" if ends == [OPEN, OPEN] else f" ({'–'.join(ends)})")


def spread(found: Mapping[str, Any] | None) -> str:
    """Quantiles, each with its interval, and the greatest of all."""
    if found is None:
        return "–"
    return " / ".join([*(between(found[q]) for q in ("p50", "p99") if q in found), words.number(found["max"])])  # fmt: skip


def under_each(numbers: Mapping[str, Any]) -> str:
    """`partition 72.1 % (70.3–73.9)` for each kind of fault; the kinds together are told if there are several."""
    found = numbers["available_under"]
    kinds = [kind for kind in found if kind != ANY or len(found) > 2]
    return ", ".join(f"{kind} {succeeded(found[kind])}" for kind in kinds) or "–"


def cells_of(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    numbers = row.numbers
    return (
        row.configuration,
        kept(row),
        broken(row),
        percent_between(numbers["stale"]),
        spread(numbers["behind_ms"]),
        spread(numbers["behind_versions"]),
        spread(numbers["delta_ms"]),
        percent_between(numbers["lost_keys"]),
        succeeded(numbers["available"]),
        under_each(numbers),
        *(_latency(numbers, f) for f in ("read", "write")),
    )


def _latency(numbers: Mapping[str, Any], f: str) -> str:
    found, sure = numbers["latency_ms"][f], numbers["latency_between_ms"][f]
    told = ("–" if found[q] is None else between({"value": found[q], **sure[q]}) for q in ("p50", "p99"))
    return " / ".join(told) + " ms"


def surprises(rows: Sequence[Row]) -> list[Row]:
    """Configurations with R + W > N whose linearizability was refuted: the first environment first, in it the shortest proof."""
    environments = list(dict.fromkeys(row.cell.environment for row in rows))
    found = [
        (environments.index(row.cell.environment), row.example.core_ops, row.cell.number, row)
        for row in rows
        if row.example is not None
        and _quorums_meet(row)
        and row.verdicts.get("linearizable") is Verdict.INVALID
    ]
    return [row for *_, row in sorted(found, key=lambda each: each[:3])]


def _quorums_meet(row: Row) -> bool:
    options = row.cell.plan.system_options if row.cell.plan is not None else {}
    n, r, w = (options.get(name) for name in ("n", "r", "w"))
    return all(isinstance(x, int) for x in (n, r, w)) and r + w > n  # type: ignore[operator]


def markdown(matrix: Matrix, rows: Sequence[Row], command: str) -> str:
    """The whole matrix as a page of Markdown."""
    runs = max((row.numbers["runs"] for row in rows), default=0)
    return "\n".join([*_head(matrix, rows, runs, command), *_surprising(rows), *_promised(rows), *_tables(rows), *_refused(rows)]) + "\n"  # fmt: skip


def _head(matrix: Matrix, rows: Sequence[Row], runs: int, command: str) -> Iterator[str]:
    made = sum(row.cell.plan is not None and row.world == SIM for row in rows)
    on_hosts = any(row.world != SIM for row in rows)
    hosted = (
        "; of rows *on hosts* in the time of this machine, and no run there is the same again"
        if on_hosts
        else ""
    )
    yield f"# {matrix.name}"
    yield ""
    yield f"{made} configurations and environments, up to {words.plural(runs, 'run')} each. Written by `{command}`; do not edit."
    yield ""
    yield (
        f"*Kept* means: not refuted in these runs. {words.plural(runs, 'run')} without a violation leave a rate of violations of up to "
        f"{100 * clean_bound(runs):.2g} % of runs possible (95 %). Intervals in brackets are 95 %, from how the runs differ, for reads of one run are "
        f"no independent draws; an end that is {OPEN}, or no brackets: further out than so few runs show. *Behind*: of the stale reads, for how long the first write "
        "that they missed had been acknowledged, and how many acknowledged versions they missed. *Δ of a run*: by how much its reads would have to have "
        "been called earlier to make it linearizable; the median of the runs. Latencies are medians "
        f"over the runs of each run's quantile, in the simulator's time{hosted}. *Lost keys*: the last reads missed an acknowledged write."
    )
    yield ""


def _surprising(rows: Sequence[Row]) -> Iterator[str]:
    found = surprises(rows)
    if not found:
        return
    names = dict.fromkeys(row.name for row in found)
    yield "## R + W > N is not linearizability"
    yield ""
    yield (
        f"In {words.plural(len(names), 'cell')} every read quorum meets every write quorum, and reads still went back in time or missed an "
        f"acknowledged write. An example ({found[0].name}, seed {found[0].example.seed if found[0].example else '–'}):"
    )
    yield ""
    assert found[0].example is not None
    yield words.sentence(found[0].example.proof)
    yield ""
    yield from ("```text", found[0].example.drawing, "```", "")
    yield "All of them: " + "; ".join(names) + "."
    yield ""


def promised(rows: Sequence[Row]) -> list[tuple[str, str, str, str]]:
    """(promise, claim, where, verdict) of each promise and row that was asked, broken ones first."""
    found = [(each, row) for row in rows for each in row.numbers["promises"]]
    found.sort(key=lambda pair: pair[0]["verdict"] != Verdict.INVALID.value)
    return [
        (f"“{each['says']}” ({each['source']})", str(each["claim"]), row.name, verdict_told(each, row))
        for each, row in found
    ]  # fmt: skip


def verdict_told(promise: Mapping[str, Any], row: Row) -> str:
    """`broken in 3 of 20 runs`, `kept in 20 runs`, `unknown`."""
    runs = row.numbers["runs"]
    if promise["broken"]:
        return f"broken in {promise['broken']} of {runs} runs"
    return f"kept in {words.plural(runs, 'run')}" if promise["verdict"] == Verdict.VALID.value else "unknown"


def _promised(rows: Sequence[Row]) -> Iterator[str]:
    if found := promised(rows):
        yield from (
            "## What the documentation promises",
            "",
            "| promise | claim | where | verdict |",
            "|---|---|---|---|",
        )
        yield from (f"| {' | '.join(cells)} |" for cells in found)
        yield ""


def _tables(rows: Sequence[Row]) -> Iterator[str]:
    for environment in dict.fromkeys(row.cell.environment for row in rows):
        yield f"## {environment}"
        yield ""
        yield "| " + " | ".join(HEADER) + " |"
        yield "|" + "---|" * len(HEADER)
        for row in rows:
            if row.cell.environment == environment and row.cell.plan is not None:
                yield "| " + " | ".join(cells_of(row)) + " |"
        yield ""


def _refused(rows: Sequence[Row]) -> Iterator[str]:
    refused = {row.cell.configuration: row.cell.refused for row in rows if row.cell.plan is None}
    if refused:
        yield "## Refused by the system"
        yield ""
        yield from (f"- {name}: {why}" for name, why in refused.items())
