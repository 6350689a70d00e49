"""A run as Markdown, to paste into a ticket or a design document.

The same sentences as on the page (`words`); values of the system under test are put into code spans, in which they mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from harness.report import clocks, placement, words
from harness.report.folder import RunFiles
from harness.report.freshness import freshness
from harness.report.rows import (
    attribution_notes,
    attribution_table,
    behind_rows,
    claim_rows,
    clock_rows,
    documented_rows,
    error_rows,
    facts,
    fault_rows,
    freshness_rows,
    outage_rows,
    outcome_rows,
    staleness_rows,
    survival_rows,
)
from harness.report.survival import FATES
from harness.report.text import visible

DOCUMENTED = ("the documentation says", "where", "guarantee", "verdict", "evidence")
FRESHNESS = ("reads that began after", "writes", "read stale", "share", "95 % interval")


def run_markdown(run: RunFiles) -> str:
    """The whole report of one run, without plots."""
    return "\n".join([*_head(run), *_missing(run), *_proof(run), *_needs(run), *_scope(run), *_faults(run), *_numbers(run), *_again(run)]) + "\n"  # fmt: skip


def _head(run: RunFiles) -> Iterator[str]:
    results = run.results
    yield f"# {str(results['outcome']).upper()}: {cell(words.finding(run.plan, results))}"
    yield ""
    yield " · ".join(f"{name}: {cell(value)}" for name, value in facts(run))
    yield ""
    yield from table(("guarantee", "verdict", "in words"), ((row["name"] if row["claimed"] else f"{row['name']} (not claimed)", row["verdict"], row["words"]) for row in claim_rows(results)))  # fmt: skip
    yield from table(DOCUMENTED, ((f"“{row['says']}”", row["source"], row["name"], row["verdict"], row["evidence"]) for row in documented_rows(run)))  # fmt: skip
    yield f"Strongest kept: {words.join(results.get('strongest') or []) or 'none'}. Weakest broken: {words.join(results.get('weakest_refuted') or []) or 'none'}."
    yield ""


def _proof(run: RunFiles) -> Iterator[str]:
    core = run.results.get("core")
    if core:
        yield f"## {words.impossible(len(run.core_bars))}"
        yield ""
        yield cell(words.sentence(core.get("sentence") or run.results.get("reason") or ""))
        yield ""
        yield from fenced(core.get("drawing", ""))


def _needs(run: RunFiles) -> Iterator[str]:
    if found := run.attribution:
        yield "## What the violation needs"
        yield ""
        yield cell(words.sentence(found["sentence"]))
        yield ""
        yield from table(("the plan", "runs that show it", "95 % interval", "chance", "verdict"), attribution_table(found))  # fmt: skip
        yield from (f"- {cell(words.sentence(note))}" for note in attribution_notes(found))
        yield cell(words.attributed(found))
        yield ""


def _missing(run: RunFiles) -> Iterator[str]:
    if run.missing:
        yield from ("## What is missing here", "", *(f"- {cell(line)}" for line in run.missing), "")


def _scope(run: RunFiles) -> Iterator[str]:
    for title, lines in (("Tested", words.tested(run.plan, run.results, run.faults)), ("Not tested", words.not_tested(run.results, run.faults))):  # fmt: skip
        yield f"## {title}"
        yield ""
        yield from (f"- {cell(line)}" for line in lines)
        yield ""


def _faults(run: RunFiles) -> Iterator[str]:
    if run.faults:
        yield "## Faults"
        yield ""
        yield from table(("fault", "nodes", "from", "to", "bit", "evidence"), ((row["kind"], row["nodes"], row["start"], row["end"], "yes" if row["bit"] else "NO", row["evidence"]) for row in fault_rows(run)))  # fmt: skip
        yield from table(("fault", "nodes", "from", "calls meanwhile", "acknowledged", "longest silence", "recovered after"), outage_rows(run))  # fmt: skip
        yield cell(clocks.in_words(clocks.shifts_of(run.faults, run.end_ns), run.nodes, str(run.results.get("world"))))  # fmt: skip
        yield ""
        yield from table(("clock of", "from", "to", "asked", "measured", "measured after"), clock_rows(run))


def _numbers(run: RunFiles) -> Iterator[str]:
    yield "## Numbers"
    yield ""
    yield from table(("operation", "ok", "fail", "info", "p50 ms", "p95 ms", "p99 ms", "max ms"), ((row["f"], *row["cells"]) for row in outcome_rows(run.results)))  # fmt: skip
    yield from table(("operation", "outcome", "error", "how often", "first"), error_rows(run))
    yield from table(("staleness and availability", ""), staleness_rows(run.results))
    yield cell(placement.in_words(run))
    yield ""
    yield from table(("key of the finding", "partition", "from", "preference list", "going to"), placement.key_rows(run))  # fmt: skip
    yield from table(("versions behind", "stale reads", "share"), behind_rows(run))
    if kept := run.survival:
        yield cell(words.survived(kept))
        yield ""
        yield from table(("acknowledged writes", "all", *FATES), survival_rows(run))
    if found := freshness(run):
        yield cell(words.freshness(found))
        yield ""
        yield from table((*FRESHNESS, *(["predicted"] if found.curve else [])), freshness_rows(found))


def _again(run: RunFiles) -> Iterator[str]:
    if command := run.results.get("command"):
        yield "## Again"
        yield ""
        yield from fenced(str(command))


def cell(text: Any) -> str:
    """One line in which no character of a stranger's makes a table, a link or HTML."""
    flat = escape(visible(" ".join(str(text).split())), quote=False)
    for mark in "\\`|[]*_":
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def fenced(text: str) -> list[str]:
    """A block of text as it is, in a fence longer than any in it."""
    longest = max((len(part) - len(part.lstrip("`")) for part in text.splitlines()), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *map(visible, text.splitlines()), fence, ""]


def table(header: Sequence[str], rows: Any) -> Iterator[str]:
    """A table; nothing if it has no row."""
    made = [" | ".join(cell(each) for each in row) for row in rows]
    if made:
        yield f"| {' | '.join(header)} |"
        yield "|" + "---|" * len(header)
        yield from (f"| {row} |" for row in made)
        yield ""
