"""What a run's report says, section by section, without pictures: the one source of the page and of Markdown.

RunFiles ─► words, tables, proof ─► parts ─┬─► page.py      with drawings, plots and the timeline ─► report.html
                                           └─► markdown.py  `quorate report RUN --format md`
"""

from __future__ import annotations

import shlex
from typing import Any, Final, NamedTuple

from harness.report import clocks, endings, evidence, overlaps, placement, words
from harness.report.folder import RunFiles
from harness.report.freshness import freshness
from harness.report.proof import core_parts
from harness.report.rows import attribution_notes, claim_rows, documented_rows, facts, staleness_rows
from harness.report.tables import tables


class Section(NamedTuple):
    """Its short name, for links, and its heading."""

    link: str
    heading: str


SECTIONS: Final = {
    "claims": Section("claims", "What was claimed, and what was seen"),
    "core": Section("proof", "The proof"),
    "needs": Section("what it needs", "What the violation needs"),
    "timeline": Section("timeline", "Timeline: every operation"),
    "scope": Section("scope", "Scope"),
    "faults": Section("faults", "Faults, with the evidence that they bit"),
    "processes": Section("processes", "Processes: how each ended"),
    "durability": Section("durability", "Durability: what became of acknowledged writes"),
    "clocks": Section("clocks", "Clocks of the nodes"),
    "ring": Section("ring", "Ring: which nodes held what"),
    "time": Section("latency", "Latency and throughput"),
    "staleness": Section("staleness", "Staleness and availability"),
    "since": Section("the run before", "Compared with the run before"),
    "repeat": Section("repeat it", "Repeat it"),
    "glossary": Section("words", "Words used here"),
}
GREEK: Final = "Δ is the least time by which every read would have to have begun earlier for the key to be linearizable; Γ the least by which all operations would have to be longer, half of it at each end. 0 is linearizable."
STALE: Final = "Stale here means surely stale: a newer value was acknowledged before the read began. Reads that overlap a write are not counted against the store."
NO_FAULTS: Final = "No faults were injected: this run says nothing about behaviour under faults."
NOT_ASKED: Final = "Not asked: the sentence says nothing of this configuration, or of these faults."


def parts(run: RunFiles) -> dict[str, Any]:
    """What each section says. A section of `core`, `needs` or `since` is None where there is nothing to say."""
    results, fresh, since = run.results, freshness(run), evidence.since(run)
    found: dict[str, Any] = {
        "name": results["name"],
        "outcome": results["outcome"],
        "reason": words.sentence(results.get("reason") or ""),
        "finding": words.finding(run.plan, results),
        "facts": list(facts(run)),
        "alarms": endings.alarms(run),
        "changed": run.changed,
        "claims": list(claim_rows(results)),
        "documented": list(documented_rows(run)),
        "strongest": words.join(results.get("strongest") or []) or "none",
        "weakest": words.join(results.get("weakest_refuted") or []) or "none",
        "missing": run.missing,
        "core": core_parts(run),
        "needs": needs_parts(run),
        "tested": words.tested(run.plan, results, run.faults),
        "not_tested": words.not_tested(results, run.faults),
        "overlaps": overlaps.in_words(run.faults, run.end_ns),
        "processes": endings.in_words(run),
        "durability": durability_words(run),
        "clocks": clocks_words(run),
        "ring": placement.in_words(run),
        "staleness": list(staleness_rows(results)),
        "freshness": words.freshness(fresh) if fresh else "",
        "fresh": fresh,
        "command": results.get("command", ""),
        "repeats": words.repeats(results),
        "again": evidence.judge_again(run),
        "sums": list(evidence.sums(run.folder)),
        "since": since,
        "plan_text": run.plan_text,
        "tables": tables(run, fresh, since),
        "notes": {"greek": GREEK, "stale": STALE, "no_faults": NO_FAULTS, "not_asked": NOT_ASKED},
    }
    absent = {name for name in ("core", "needs", "since") if not found[name]}
    return {**found, "sections": {name: section for name, section in SECTIONS.items() if name not in absent}}


def needs_parts(run: RunFiles) -> dict[str, Any] | None:
    """Which faults the violation needs, if that was tried; how to try it, where it can be; None where nothing is broken."""
    if found := run.attribution:
        return {"sentence": words.sentence(found["sentence"]), "how": words.attributed(found), "notes": [words.sentence(note) for note in attribution_notes(found)], "command": ""}  # fmt: skip
    if run.results["outcome"] != "invalid" or run.results.get("world") not in ("sim", "hosts"):
        return None
    return {"sentence": words.unattributed(run.results), "how": "", "notes": [], "command": f"quorate attribute {shlex.quote(str(run.folder))}"}  # fmt: skip


def durability_words(run: RunFiles) -> str:
    """What became of the acknowledged writes, or why that is not known."""
    if found := run.survival:
        return words.survived(found)
    return "No operation was recorded." if not run.bars else "Not measured: it takes a history of reads and writes of single keys in which each value is written once."  # fmt: skip


def clocks_words(run: RunFiles) -> str:
    """Which clocks were off, by how much, and how well that is known."""
    world = str(run.results.get("world"))
    shifted = clocks.in_words(clocks.shifts_of(run.faults, run.end_ns), run.nodes, world)
    return f"{shifted} {clocks.apart(run.environment.get('clocks') or {}, world)}".strip()
