"""The rows of the report's tables in words, the same for the page and for Markdown.

results.json, faults.jsonl, attribution.json ─► rows ─► page.html.j2
                                                     └► markdown
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from checkers.stats import quantile
from harness.intervals import wilson
from harness.report import words
from harness.report.clocks import shifts_of
from harness.report.drawing import in_units
from harness.report.folder import RunFiles, shortened
from harness.report.freshness import Freshness
from harness.report.outages import outages, silences
from harness.report.survival import FATES, LOST, PARTLY
from harness.search.event import NEEDED, UNDECIDED, essential
from harness.worlds.sim.sites import sited

KEYS_SHOWN: Final = 20
LOST_SHOWN: Final = 20
ERRORS_SHOWN: Final = 15
SUBJECT: Final = ("name", "mode")  # what words.subject tells
SHARES: Final = (0.1, 0.5, 0.9, 0.99, 1.0)


def facts(run: RunFiles) -> Iterable[tuple[str, str]]:
    """The line under the finding."""
    yield "system", words.subject(run.plan, run.results)
    yield "world", {"sim": "simulator", "hosts": "hosts over SSH"}.get(str(run.results.get("world")), "–")
    if run.results.get("world") == "sim" and (
        places := sited(run.nodes, (run.plan.get("sim") or {}).get("sites", ()))
    ):
        yield "sites", words.join([f"{node} in {site}" for node, site in places.items()])
    yield "seed", str(run.results.get("seed"))
    yield "operations", words.number(words.count_ops(run.results))
    yield "duration", f"{run.end_ns / 1e9:.1f} s"
    counts = run.results.get("faults") or {}
    yield "faults that bit", f"{counts.get('bit', 0)} of {counts.get('count', 0)}"
    if run.results["outcome"] == "invalid":
        yield "event required", event_required(run.attribution)
        if (hits := shown_again(run.attribution)) is not None:
            yield "reproduces", f"{hits[0]} of {hits[1]} runs"
    if settings := settings_of(run.environment.get("system")):
        yield "settings", settings
    yield "version", version_of(run.environment)


def event_required(attribution: Mapping[str, Any]) -> str:
    """Without what the violation never showed; that it is not known where nobody tried, or too few runs could be counted."""
    verdicts = {str(each["without"]): each["verdict"] for each in attribution.get("variants", ())}
    needed = essential([name for name, verdict in verdicts.items() if verdict == NEEDED])
    known = verdicts and UNDECIDED not in verdicts.values()
    return words.join(needed) or ("none was found" if known else "not established")


def version_of(environment: Mapping[str, Any]) -> str:
    """Of this program, with the commit it was at, if it is known."""
    version, code = (
        str((environment.get("versions") or {}).get("quorate", "–")),
        environment.get("code") or {},
    )
    return f"{version}, commit {code['commit'][:12]}{', changed since (dirty)' if code.get('dirty') else ''}" if code.get("commit") else version  # fmt: skip


def settings_of(system: Any) -> str:
    """How the system was set, as far as one line tells: its simple settings, by name."""
    told = system.items() if isinstance(system, Mapping) else ()
    simple = [(name, value) for name, value in told if name not in SUBJECT and value not in ("", None) and not isinstance(value, list | Mapping)]  # fmt: skip
    said = ((name, ("yes" if value else "no") if isinstance(value, bool) else words.flat(value)) for name, value in simple)  # fmt: skip
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in said)


def shown_again(attribution: Mapping[str, Any]) -> tuple[int, int] | None:
    """How many of how many runs of the plan as it is showed the violation, if that was tried."""
    whole = next((each for each in attribution.get("variants", ()) if not each["verdict"]), None)
    return (whole["hits"], whole["runs"]) if whole else None


def claim_rows(results: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Claims first, then the other levels that were judged for comparison."""
    claims = results.get("claims", {})
    for name, result in claims.items():
        yield {
            "name": name,
            "claimed": True,
            "verdict": result["verdict"],
            "words": words.claim_words(name, result),
        }
    for name, result in results.get("levels", {}).items():
        if name not in claims:
            yield {
                "name": name,
                "claimed": False,
                "verdict": result["verdict"],
                "words": words.claim_words(name, result),
            }


def documented_rows(run: RunFiles) -> Iterable[dict[str, str]]:
    """Each sentence of the documentation and what the run says to it: its verdict, or `not asked` with the reason."""
    judged = {**(run.results.get("levels") or {}), **run.results.get("claims", {})}
    core = run.results.get("core") or {}
    for claim in run.documented:
        result, silent = judged.get(claim.name), claim.silent_about(run.plan)
        verdict = "not asked" if silent or result is None else str(result["verdict"])
        evidence = silent or (result["reason"] if result else "it was not judged: it is not among the claims of this run; run its plan again")  # fmt: skip
        proven = verdict == "invalid" and core.get("sentence") == evidence
        yield {"says": claim.says, "source": claim.source, "name": claim.name, "verdict": verdict, "evidence": words.sentence(evidence), "proof": "#core" if proven else ""}  # fmt: skip


def fault_rows(run: RunFiles) -> Iterable[dict[str, Any]]:
    """The fault table."""
    for fault in run.faults:
        shape = fault.get("shape") or fault.get("targets")
        end = fault.get("end_ns")
        yield {
            "kind": f"{fault['kind']} ({words.flat(shape)})" if shape else str(fault["kind"]),
            "nodes": ", ".join(map(str, fault.get("nodes") or [])) or "–",
            "start": in_units(int(fault.get("start_ns") or 0), 2e9),
            "end": in_units(int(end), 2e9) if end is not None else "never",
            "bit": bool(fault.get("bit")),
            "healed": bool(fault.get("healed")),
            "evidence": words.evidence_words(fault),
        }


def outage_rows(run: RunFiles) -> Iterable[tuple[str, ...]]:
    """What each fault that bit did to the clients."""
    for outage in outages(run.bars, run.faults, run.end_ns):
        fault = run.faults[outage.fault]
        recovered = (
            "not seen" if outage.recovered_ns is None else f"{words.number(outage.recovered_ns / 1e6)} ms"
        )
        beside = f" ({words.join(outage.beside)} went on)" if outage.beside else ""
        yield (
            str(fault["kind"]),
            ", ".join(map(str, fault.get("nodes") or [])) or "–",
            in_units(int(fault.get("start_ns") or 0), 2e9),
            words.number(outage.calls),
            words.percent(outage.acknowledged / outage.calls if outage.calls else None),
            f"{words.number(outage.silence_ns / 1e6)} ms",
            f"{recovered}{beside}",
        )


def silence_rows(run: RunFiles) -> Iterable[tuple[str, ...]]:
    """The longest times without any acknowledgement."""
    for low, high, kinds in silences(run.bars, run.faults):
        yield in_units(low, 2e9), in_units(high, 2e9), f"{words.number((high - low) / 1e6)} ms", words.join(kinds) or "no fault"  # fmt: skip


def outcome_rows(results: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Counts and latency quantiles, one row for each function."""
    counts, latency = words.counts_by_f(results), results.get("latency_ms") or {}
    for f in sorted({*counts, *latency}):
        row, quantiles = counts.get(f, {}), latency.get(f) or {}
        cells = [words.number(row.get(word)) for word in ("ok", "fail", "info")]
        cells += [words.number(quantiles.get(word), 2) for word in ("p50", "p95", "p99", "max")]
        yield {"f": f, "cells": cells}


def error_rows(run: RunFiles) -> Iterable[tuple[str, ...]]:
    """What went wrong, the most frequent first: operation, outcome, error, how often, and the number of the first."""
    first, counts = dict[tuple[str, str, str], int](), Counter[tuple[str, str, str]]()
    for bar in run.bars:
        if bar.outcome != "ok":
            kind = (shortened(bar.f), bar.outcome, bar.error or "no reason was recorded")
            counts[kind] += 1
            first.setdefault(kind, bar.index)
    for kind, count in counts.most_common(ERRORS_SHOWN):
        yield *kind, words.number(count), str(first[kind])


def staleness_rows(results: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Staleness and availability numbers."""
    shifts = words.stats_of(results.get("atomicity"))
    stale, available = words.stats_of(results.get("staleness")), results.get("availability") or {}
    yield "reads looked at", words.number(stale.get("reads"))
    if not stale:
        yield "stale reads", "not measured"
    else:
        yield "stale reads", f"{words.number(stale.get('stale_reads'))} ({words.percent(stale.get('stale_fraction'))})"  # fmt: skip
        yield "worst staleness", f"{words.number(stale.get('worst_staleness_ms'))} ms, {words.plural(stale.get('worst_staleness_versions') or 0, 'version')}"  # fmt: skip
    for name, greek in (
        ("delta", "Δ: how far out of date reads were"),
        ("gamma", "Γ: how much clocks or intervals would have to give"),
    ):
        yield greek, shift_words(shifts, name)
    yield "acknowledged over the whole run", words.percent(available.get("overall"))
    yield "acknowledged while a fault was active", words.percent(available.get("under_faults"))


def behind_classes(behind: Sequence[int]) -> Iterable[tuple[str, int]]:
    """How many were so many acknowledged versions behind, in classes that double; `behind` ascending."""
    low = 1
    while behind and low <= behind[-1]:
        high = max(low, 2 * low - 2)  # 1, 2, 3 to 4, 5 to 8, 9 to 16 …
        count = bisect_right(behind, high) - bisect_right(behind, low - 1)
        if count:
            yield str(low) if low == high else f"{low} to {high}", count
        low = high + 1


def behind_rows(run: RunFiles) -> Iterable[tuple[str, str, str]]:
    """The same of the stale reads of a run, with their share of all stale ones."""
    for name, count in behind_classes(run.behind):
        yield name, words.number(count), words.percent(count / len(run.behind))


def age_rows(run: RunFiles) -> Iterable[tuple[str, str]]:
    """Quantiles of the time by which stale reads were behind."""
    for share in SHARES if run.ages_ns else ():
        yield (
            "all" if share == 1 else f"{100 * share:g} %",
            f"{words.number(quantile(run.ages_ns, share) / 1e6)} ms",
        )


def shift_words(stats: Mapping[str, Any], name: str) -> str:
    """Delta or Gamma over the keys of a run: the greatest and the quantiles; keys that no shift mends are counted."""
    spread, keys = stats.get(f"{name}_ms") or {}, stats.get("keys")
    if not keys:
        return "–"
    told = ", ".join(
        f"{quantile} {words.number(spread.get(quantile), 3)} ms" for quantile in ("max", "p99", "p50")
    )
    beyond = stats.get(f"keys_without_{name}")
    more = f"; none is enough for {words.plural(beyond, 'key')}" if beyond else ""
    skipped = stats.get("keys_skipped")
    more += f"; {words.plural(skipped, 'key')} not measured" if skipped else ""
    return f"{told if spread else 'no finite one'}, over {words.plural(keys, 'key')}{more}"


def shift_rows(results: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """Delta and Gamma of the keys that are not linearizable as they are, the worst first."""

    def size(part: Mapping[str, Any]) -> float:
        delta = part["delta_ms"]
        return float("inf") if delta is None else float(delta)

    parts = (results.get("atomicity") or {}).get("keys_shifted") or {}
    bad = [(name, part) for name, part in parts.items() if size(part)]
    for name, part in sorted(bad, key=lambda item: -size(item[1]))[:KEYS_SHOWN]:
        cells = (part["delta_ms"], part["gamma_ms"])
        delta, gamma = (
            "no shift is enough" if cell is None else f"{words.number(float(cell), 3)} ms" for cell in cells
        )
        yield shortened(name), delta, gamma


def attribution_table(found: Mapping[str, Any]) -> Iterable[tuple[str, str, str, str, str]]:
    """The plan as it is, then without one thing at a time: runs that show it, the interval of their share, chance, verdict."""
    for each in found["variants"]:
        verdict = each["verdict"]
        name = f"without {each['without']}" if verdict else each["without"]
        chance = words.chance(each["chance"]) if verdict else ""
        low, high = wilson(each["hits"], each["runs"])
        yield (
            name,
            f"{each['hits']} of {each['runs']}",
            f"{100 * low:.0f} to {100 * high:.0f} %",
            chance,
            verdict,
        )


def attribution_notes(found: Mapping[str, Any]) -> Iterable[str]:
    """What the counts of the table do not tell: other violations of the claim, and runs that were left out."""
    for each in found["variants"]:
        name = f"without {each['without']}" if each["verdict"] else "of the plan as it is"
        if others := each.get("others"):
            yield f"{words.plural(others, 'run')} {name} broke the claim in another way; the table counts {'it' if others == 1 else 'them'} as not showing this one"
        if left := each.get("uncounted"):
            yield f"{words.plural(left, 'run')} {name} {'does' if left == 1 else 'do'} not count: no verdict on the claim, or a kind of fault never bit"


def survival_rows(run: RunFiles) -> Iterable[tuple[str, ...]]:
    """Acknowledged writes by what became of them: of the whole run, and in the reach of each kind of fault."""
    found = run.survival
    if found is None:
        return
    near = ((f"in the reach of {kind} ({count})", counts) for kind, (count, counts) in found.near.items())
    for name, counts in (("the whole run", found.counts), *near):
        yield name, words.number(counts.total()), *(words.number(counts[fate]) for fate in FATES)


def lost_rows(run: RunFiles) -> Iterable[tuple[int, str, str, str]]:
    """The writes that were lost, then those that not all have: number, what, when it was acknowledged, and its fate."""
    found = run.survival
    for fate in (LOST, PARTLY) if found else ():
        for index in found.of(fate)[:LOST_SHOWN] if found else ():
            bar = run.by_index[index]
            yield index, bar.words, f"{(bar.end_ns or bar.start_ns) / 1e9:.3f} s", fate


def clock_rows(run: RunFiles) -> Iterable[tuple[str, ...]]:
    """Every shift of a clock: node, from, to, asked, measured when it began, measured when it was over."""
    for shift in shifts_of(run.faults, run.end_ns):
        measured, after = (f"{words.number(ms)} ms" if ms is not None else "no process" for ms in (shift.measured_ms, shift.after_ms))  # fmt: skip
        yield shift.node, f"{shift.start_ns / 1e9:.3f} s", f"{shift.end_ns / 1e9:.3f} s", f"{words.number(shift.asked_ms)} ms{f', {shift.motion}' if shift.motion else ''}", measured, after  # fmt: skip


def freshness_rows(found: Freshness) -> Iterable[tuple[str, ...]]:
    """One row for each part."""
    for part in found.parts:
        cells = (
            f"{words.number(part.from_ms)} to {words.number(part.to_ms)} ms",
            words.number(part.reads),
            words.number(part.stale),
            words.percent(part.share),
            f"{words.percent(part.low)} to {words.percent(part.high)}",
        )
        yield cells if part.predicted is None else (*cells, words.percent(part.predicted))
