"""The tables of a run, each said once: the page draws them, Markdown writes them.

    rows (`rows`, `placement`, `evidence`) ─► Table(label, columns, rows, note) ─► table.html.j2
                                                                                └► markdown

A column has a kind: `key` names the row, `num` is a number, `badge` a verdict with a colour, `op` the number of an operation that the timeline knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from harness.report import endings, evidence, overlaps, placement, rows, words
from harness.report.clocks import own_rows
from harness.report.folder import RunFiles
from harness.report.freshness import Freshness, told_of_prediction
from harness.report.survival import FATES

SECTIONS: Final = ("ends", "ends_of", "clocks")  # of the environment, that have a section of their own
BADGES: Final = {"needed": "invalid", "helps": "unknown", "newly broken": "invalid", "unasked": "invalid", "not as asked": "invalid", "by itself": "unknown", "mended": "valid", "yes": "valid", "no": "invalid"}  # fmt: skip
"""The colour of a word in a badge; of others it is plain."""


class Column(NamedTuple):
    """One column."""

    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as data. `label` names it for who cannot see it, `note` explains its words."""

    label: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""
    badges: Mapping[str, str] = field(default_factory=lambda: BADGES)

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


def made(label: str, columns: str, cells: Iterable[Sequence[Any]], note: str = "") -> Table:
    """`columns`: the names, with bars between, each after its kind if it has one: `key:fault | nodes | num:from`."""
    pairs = (each.strip().rpartition(":") for each in columns.split("|"))
    return Table(label, [Column(name, kind) for kind, _, name in pairs], list(cells), note)


def tables(run: RunFiles, fresh: Freshness | None, since: Mapping[str, Any] | None) -> dict[str, Table]:
    """Every table of a run's report; those without rows are left out by who shows them."""
    return {**_of_faults(run), **_of_data(run), **_of_time(run, fresh), **_of_folder(run, since)}


def _of_faults(run: RunFiles) -> dict[str, Table]:
    faults = (
        (row["kind"], row["nodes"], row["start"], row["end"], "yes" if row["bit"] else "no", row["evidence"], "yes" if row["healed"] else "no")
        for row in rows.fault_rows(run)
    )  # fmt: skip
    return {
        "needs": made("What the violation needs", "key:the plan | num:runs that show it | num:95 % interval | num:chance | badge:verdict", rows.attribution_table(run.attribution) if run.attribution else ()),
        "faults": made("Faults", "key:fault | nodes | num:from | num:to | badge:did it bite? | evidence | healed", faults),
        "outages": made(
            "What the faults did to the clients", "key:fault | nodes | num:from | num:calls meanwhile | num:acknowledged | num:longest silence | num:recovered after", rows.outage_rows(run),
            "Silence: no operation of any client was acknowledged. Recovered: from the end of the fault to the first of 20 calls in a row that were acknowledged.",
        ),
        "overlaps": made("Faults at the same time", "num:from | num:to | num:lasted | which", overlaps.rows(run.faults, run.end_ns), f"Of faults that bit; of very many times the {overlaps.SHOWN} longest."),
        "processes": made(
            "How processes ended", "key:node | num:process | num:ended at | how | badge:asked to? | faults on the node then", endings.rows(run),
            "A status above 128 is that of a process which a signal ended. Faults: those that struck the node then, or until a second before.",
        ),
        "silences": made(
            "Times without an acknowledgement", "num:from | num:to | num:lasted | faults meanwhile", rows.silence_rows(run),
            "While calls were made; the five longest of 100 ms and more.",
        ),
        "own_clocks": made(
            "The hosts' own clocks", "key:host | num:when the run began | num:when it was over | num:gained", own_rows(run.environment.get("clocks") or {}),
            "Ahead of this machine's clock. Half of the way there and back is the bound, however unequal the two ways are.",
        ),
        "clocks": made("Shifts of clocks", "key:node | num:from | num:to | num:asked | num:measured | num:measured after", rows.clock_rows(run)),
    }  # fmt: skip


def _of_data(run: RunFiles) -> dict[str, Table]:
    stages = list(placement.stage_rows(run))
    return {
        "survival": made(
            "What became of acknowledged writes", f"key:writes | num:acknowledged | {' | '.join(f'num:{fate}' for fate in FATES)}", rows.survival_rows(run),
            "Judged by the last reads: those called when every fault was over and every write of the key acknowledged. Kept: each of them returns the write, or one that may have come after it. Came back: kept, but a read on the way missed it. Partly: some are surely older. Lost: all are. Unread: there is none. In the reach of a fault: acknowledged from a second before it began until it ended.",
        ),
        "lost": made("Lost writes", "op:operation | what | num:acknowledged at | fate", rows.lost_rows(run)),
        "keys": made("Who held the keys of the finding", "key:key | num:partition | num:from | preference list | going to", placement.key_rows(run)),
        "stages": made("Stages of the ring", "num:from | num:epoch | members | under way | num:partitions that move", stages if len(stages) > 1 else ()),
        "shares": made("Shares of the nodes", "key:node | num:first of, at the beginning | num:holds | num:first of, at the end | num:holds", placement.share_rows(run)),
    }  # fmt: skip


def _of_time(run: RunFiles, fresh: Freshness | None) -> dict[str, Table]:
    predicted = " | num:predicted" if fresh and fresh.curve else ""
    return {
        "outcomes": made("Outcomes and latency", "key:operation | num:ok | num:fail | num:info | num:p50 ms | num:p95 ms | num:p99 ms | num:max ms", ((row["f"], *row["cells"]) for row in rows.outcome_rows(run.results))),
        "errors": made("Errors", "key:operation | outcome | error | num:how often | op:first", rows.error_rows(run)),
        "behind": made(
            "Versions behind", "num:versions behind | num:reads | num:of the stale reads", rows.behind_rows(run),
            "Versions: how many newer values had been acknowledged when the read began.",
        ),
        "ages": made(
            "Time behind", "of the stale reads | num:at most so far behind", rows.age_rows(run),
            "Time: for how long the first of the newer values had been acknowledged.",
        ),
        "freshness": made("Stale reads by time since the write", f"num:reads that began after | num:writes | num:read stale | num:share | num:95 % interval{predicted}", rows.freshness_rows(fresh) if fresh else (), told_of_prediction(run, fresh) if fresh else ""),
        "shifts": made("Keys that are not linearizable as they are", "key:key | num:Δ | num:Γ", rows.shift_rows(run.results)),
    }  # fmt: skip


def _of_folder(run: RunFiles, since: Mapping[str, Any] | None) -> dict[str, Table]:
    known = since or {}
    return {
        "guarantees": made("Guarantees compared", "key:guarantee | before | now | badge:what became of it", known.get("guarantees", ())),
        "numbers": made("Numbers compared", "key:number | num:before | num:now | more than chance?", known.get("numbers", ()), "Differs: the 95 % intervals of the two shares lie apart. Latencies of single runs have no interval."),
        "environment": made("The environment", "key:name | value", ((key, words.flat(value)) for key, value in run.environment.items() if key not in SECTIONS)),
        "logs": made("The logs of the nodes", "key:log | num:lines | num:that look bad | the last of them", evidence.log_rows(run.folder), "A line looks bad if it has a word such as error, fatal, panic, exception or corrupt."),
    }  # fmt: skip
