"""A run as Markdown, to paste into a ticket or a design document: every section of the page (`parts`), without its pictures.

Values of the system under test are put into cells and fences in which they mean nothing (`marked`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from harness.report import words
from harness.report.folder import RunFiles
from harness.report.marked import cell, fenced, table
from harness.report.parts import parts
from harness.report.tables import Table

DOCUMENTED = ("the documentation says", "where", "guarantee", "verdict", "evidence")
PICTURES: Final = (
    "Plots, and the timeline of every operation, are on the page: `quorate report` without `--format`."
)
Parts = Mapping[str, Any]


def run_markdown(run: RunFiles) -> str:
    """The whole report of one run, without plots."""
    found = parts(run)
    lines = list(_head(found))
    for name, section in found["sections"].items():
        if write := WRITERS.get(name):
            heading = found["core"]["title"] if name == "core" else section.heading
            lines += [f"## {cell(heading)}", "", *write(found)]
    return "\n".join(lines) + "\n"


def _head(found: Parts) -> Iterator[str]:
    yield f"# {str(found['outcome']).upper()}: {cell(found['finding'])}"
    yield ""
    yield " · ".join(f"{name}: {cell(value)}" for name, value in found["facts"])
    yield ""
    for alarm in (*found["changed"], *found["alarms"]):
        yield from (f"**{cell(alarm)}**", "")


def _claims(found: Parts) -> Iterator[str]:
    if found["outcome"] == "unknown":
        yield from paragraph(found["reason"])
    yield from table(("guarantee", "verdict", "in words"), ((row["name"] if row["claimed"] else f"{row['name']} (not claimed)", row["verdict"], row["words"]) for row in found["claims"]))  # fmt: skip
    if found["documented"]:
        yield from table(DOCUMENTED, ((f"“{row['says']}”", row["source"], row["name"], row["verdict"], row["evidence"]) for row in found["documented"]))  # fmt: skip
        yield from paragraph(found["notes"]["not_asked"])
    yield from paragraph(f"Strongest kept: {found['strongest']}. Weakest broken: {found['weakest']}.")


def _core(found: Parts) -> Iterator[str]:
    core = found["core"]
    why = core["why"]
    yield from paragraph(core["sentence"])
    yield from fenced(core["drawing"])
    yield from paragraph(why["zones"])
    if why["steps"]:
        yield from titled("Each must come before the next, round in a circle")
        yield from listed(why["steps"], "1.")
    if why["dead"]:
        yield from titled("Where every order ends")
        yield from paragraph(why["dead"])
        yield from listed(why["ends"])
    yield from titled("The operations as JSON")
    yield from fenced(core["json"])


def _needs(found: Parts) -> Iterator[str]:
    needs = found["needs"]
    yield from paragraph(needs["sentence"])
    if needs["command"]:
        yield from fenced(needs["command"])
    yield from written(found["tables"]["needs"])
    yield from listed(needs["notes"])
    yield from paragraph(needs["how"])


def _timeline(found: Parts) -> Iterator[str]:
    yield from (PICTURES, "")


def _scope(found: Parts) -> Iterator[str]:
    for title, name in (
        ("Tested", "tested"),
        ("Not tested", "not_tested"),
        ("What is missing here", "missing"),
    ):
        if found[name]:
            yield from titled(title)
            yield from listed(found[name])


def _faults(found: Parts) -> Iterator[str]:
    known = found["tables"]
    if not known["faults"].rows:
        yield from paragraph(found["notes"]["no_faults"])
    yield from written(known["faults"])
    yield from written(known["outages"], "What they did to the clients")
    yield from titled("Faults at the same time") if found["overlaps"] else ()
    yield from paragraph(found["overlaps"])
    yield from written(known["overlaps"])
    yield from written(known["silences"], "The longest times without an acknowledgement")


def _processes(found: Parts) -> Iterator[str]:
    yield from paragraph(found["processes"])
    yield from written(found["tables"]["processes"])


def _durability(found: Parts) -> Iterator[str]:
    yield from paragraph(found["durability"])
    yield from written(found["tables"]["survival"])
    yield from written(found["tables"]["lost"], "Writes that were lost, or that not all reads met")


def _clocks(found: Parts) -> Iterator[str]:
    yield from paragraph(found["clocks"])
    yield from written(found["tables"]["clocks"])
    yield from written(found["tables"]["own_clocks"], "The hosts' own clocks")


def _ring(found: Parts) -> Iterator[str]:
    yield from paragraph(found["ring"])
    yield from written(found["tables"]["keys"], "The keys of the finding")
    yield from written(found["tables"]["stages"], "How it changed")
    yield from written(found["tables"]["shares"], "What each node holds")


def _time(found: Parts) -> Iterator[str]:
    yield from written(found["tables"]["outcomes"])
    yield from written(found["tables"]["errors"], "What went wrong")


def _staleness(found: Parts) -> Iterator[str]:
    known = found["tables"]
    yield from table(("staleness and availability", ""), found["staleness"])
    yield from written(known["behind"], "How stale were stale reads?")
    yield from written(known["ages"])
    if found["freshness"]:
        yield from titled("How soon after a write do reads see it?")
        yield from paragraph(found["freshness"])
        yield from written(known["freshness"])
    yield from written(known["shifts"], "Keys that are not linearizable as they are")
    yield from paragraph(found["notes"]["greek"])
    yield from paragraph(found["notes"]["stale"])


def _since(found: Parts) -> Iterator[str]:
    since = found["since"]
    yield from paragraph(since["told"])
    yield from written(found["tables"]["guarantees"])
    yield from paragraph(f"{since['same']}, with the same verdict as before.")
    yield from written(found["tables"]["numbers"])
    yield from fenced(since["command"])


def _repeat(found: Parts) -> Iterator[str]:
    if found["command"]:
        yield from fenced(str(found["command"]))
    yield from paragraph(found["repeats"])
    if found["again"]:
        yield from paragraph("Judge the history again, without running anything:")
        yield from fenced("\n".join(found["again"]))
    for title, text in (("The plan", found["plan_text"]), ("Files of the run, with SHA-256", "\n".join(f"{digest}  {name}" for name, _, digest in found["sums"]))):  # fmt: skip
        if text:
            yield from titled(title)
            yield from fenced(text)
    yield from written(found["tables"]["environment"], "The environment")
    yield from written(found["tables"]["logs"], "The logs of the nodes")


def _glossary(found: Parts) -> Iterator[str]:
    yield from (f"- **{cell(word)}**: {cell(meaning)}" for word, meaning in words.GLOSSARY.items())


WRITERS: Final[Mapping[str, Callable[[Parts], Iterator[str]]]] = {
    "claims": _claims, "core": _core, "needs": _needs, "timeline": _timeline, "scope": _scope, "faults": _faults, "processes": _processes, "durability": _durability,
    "clocks": _clocks, "ring": _ring, "time": _time, "staleness": _staleness, "since": _since, "repeat": _repeat, "glossary": _glossary,
}  # fmt: skip


def paragraph(text: str) -> Iterator[str]:
    """A paragraph; nothing of nothing."""
    if text:
        yield from (cell(text), "")


def titled(text: str) -> Iterator[str]:
    """A heading within a section."""
    yield from (f"### {cell(text)}", "")


def listed(lines: Iterable[str], mark: str = "-") -> Iterator[str]:
    """A list; nothing of nothing."""
    made = [f"{mark} {cell(line)}" for line in lines]
    yield from (*made, "") if made else ()


def written(found: Table, title: str = "") -> Iterator[str]:
    """A table with its heading and its note; nothing if it has no row."""
    if found.rows:
        yield from titled(title) if title else ()
        yield from table(found.header, found.rows)
        yield from paragraph(found.note)
