"""From a run folder to `report.html`, one file that needs no network.

    RunFiles ─► words (sentences) ─┐
             ─► drawing (lanes, bands) ─┼─► page.html.j2 ─► report.html
             ─► plots (latency, rate) ──┤
             ─► timeline (data, still) ─┘

Every value goes through the template's escaping, because keys, values and error texts come from the system under
test. The page has a content policy that forbids every load, and every script but the timeline's own, by its hash; its data is inert JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.report import words
from harness.report.drawing import bands, in_units, lanes
from harness.report.folder import RunFiles, read_folder
from harness.report.freshness import Freshness, differences, freshness
from harness.report.still import around, still, still_rows
from harness.report.timeline import timeline

KEYS_SHOWN = 20


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path. Raises PlanError if it is not a run folder."""
    run = read_folder(Path(folder))
    path = run.folder / "report.html"
    path.write_text(render("page.html.j2", contents(run)))
    return path


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template. SVG drawings and JSON come as `Markup`; everything else is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("harness.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    style = Markup(files("harness.report").joinpath("style.css").read_text())
    common = {"style": style, "glossary": list(words.GLOSSARY.items()), "version": version("quorate"), "script": "", "script_source": ""}  # fmt: skip
    return environment.get_template(template).render({**common, **values})


def scripts(*names: str) -> dict[str, Any]:
    """These files of ours as the one script of a page, and the policy that lets exactly this text run and no other."""
    from markupsafe import Markup

    text = "".join(files("harness.report").joinpath(name).read_text() for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_source": Markup(f"; script-src 'sha256-{digest}'")}


def timeline_parts(run: RunFiles) -> dict[str, Any]:
    """The timeline: its data, and a still picture of the part that matters most."""
    from markupsafe import Markup

    data = timeline(run)
    core = {bar.index for bar in run.core_bars}
    shown = around(run.bars, run.core_bars)
    kept = len(data["ops"]["index"])
    about = "around the proof" if core else "at the beginning of the run"
    return {
        "total": data["total"],
        "shown": kept,
        "note": f"Drawn are {kept:,} of {data['total']:,} operations: the proof, of every slice of time the slowest and the first that failed, timed out or was stale, and others by even steps. The strip of the whole run counts all.",
        "still_words": f"{words.plural(len(shown), 'operation')} {about}, of {data['total']:,} in the run.",
        "svg": Markup(still(run, shown, core)),
        "rows": still_rows(shown, core),
        "data": embedded(data),
    }


def freshness_parts(run: RunFiles) -> dict[str, Any] | None:
    """t-visibility: in words, as a plot and as a table; None where too few reads count."""
    from markupsafe import Markup

    from harness.report.plots import freshness_plot

    found = freshness(run)
    if found is None:
        return None
    return {
        "words": words.freshness(found),
        "predicted": found.curve is not None,
        "svg": Markup("" if found.flat else freshness_plot(found)),
        "rows": list(freshness_rows(found)),
        "differences": "; ".join(differences(run)),
    }


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


def contents(run: RunFiles) -> dict[str, Any]:
    """Everything the run's page shows."""
    from markupsafe import Markup

    from harness.report.plots import latency_plot, rate_plot

    results = run.results
    return {
        "name": results["name"],
        "outcome": results["outcome"],
        "reason": words.sentence(results.get("reason") or ""),
        "finding": words.finding(run.plan, results),
        "facts": list(facts(run)),
        "claims": list(claim_rows(results)),
        "strongest": words.join(results.get("strongest") or []),
        "weakest": words.join(results.get("weakest_refuted") or []),
        "core": core_parts(run),
        "timeline": timeline_parts(run),
        **scripts("timeline_data.js", "timeline_draw.js", "timeline.js"),
        "tested": words.tested(run.plan, results, run.faults),
        "not_tested": words.not_tested(results, run.faults),
        "faults": list(fault_rows(run)),
        "bands": Markup(bands(run.faults, run.end_ns)),
        "latency_svg": Markup(latency_plot(run.bars, run.faults, run.end_ns)),
        "rate_svg": Markup(rate_plot(run.bars, run.faults, run.end_ns)),
        "outcomes": list(outcome_rows(results)),
        "staleness": list(staleness_rows(results)),
        "freshness": freshness_parts(run),
        "shifts": list(shift_rows(results)),
        "command": results.get("command", ""),
        "plan_text": run.plan_text,
        "environment": [(key, words.flat(value)) for key, value in run.environment.items()],
        "data": embedded(
            {"results": results, "faults": run.faults, "environment": run.environment, "plan": run.plan}
        ),
    }


def embedded(value: Any) -> Any:
    """JSON that is safe inside a script element: no character in it can end the element or open a comment."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def facts(run: RunFiles) -> Iterable[tuple[str, str]]:
    """The line under the finding."""
    yield "system", words.subject(run.plan, run.results)
    yield "world", {"sim": "simulator", "hosts": "hosts over SSH"}.get(str(run.results.get("world")), "–")
    yield "seed", str(run.results.get("seed"))
    yield "operations", words.number(words.count_ops(run.results))
    yield "duration", f"{run.end_ns / 1e9:.1f} s"
    counts = run.results.get("faults") or {}
    yield "faults that bit", f"{counts.get('bit', 0)} of {counts.get('count', 0)}"


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


def core_parts(run: RunFiles) -> dict[str, Any] | None:
    """The proof, or None when nothing is refuted."""
    from markupsafe import Markup

    core = run.results.get("core")
    if not core:
        return None
    bars = run.core_bars
    sentence = words.sentence(core.get("sentence") or run.results.get("reason") or "")
    return {
        "count": words.plural(len(bars), "operation"),
        "sentence": sentence,
        "svg": Markup(lanes(bars, ident="core", alternative=f"{len(bars)} operations in lanes. {sentence}")),
        "drawing": core.get("drawing", ""),
        "json": "\n".join(json.dumps(op, ensure_ascii=False) for op in core["ops"]),
    }


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


def outcome_rows(results: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Counts and latency quantiles, one row for each function."""
    counts, latency = words.counts_by_f(results), results.get("latency_ms") or {}
    for f in sorted({*counts, *latency}):
        row, quantiles = counts.get(f, {}), latency.get(f) or {}
        cells = [words.number(row.get(word)) for word in ("ok", "fail", "info")]
        cells += [words.number(quantiles.get(word), 2) for word in ("p50", "p95", "p99", "max")]
        yield {"f": f, "cells": cells}


def staleness_rows(results: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Staleness and availability numbers."""
    shifts = words.stats_of(results.get("atomicity"))
    stale, available = words.stats_of(results.get("staleness")), results.get("availability") or {}
    yield "reads looked at", words.number(stale.get("reads"))
    yield (
        "stale reads",
        f"{words.number(stale.get('stale_reads'))} ({words.percent(stale.get('stale_fraction'))})",
    )
    yield (
        "worst staleness",
        f"{words.number(stale.get('worst_staleness_ms'))} ms, {words.plural(stale.get('worst_staleness_versions') or 0, 'version')}",
    )
    for name, greek in (
        ("delta", "Δ: how far out of date reads were"),
        ("gamma", "Γ: how much clocks or intervals would have to give"),
    ):
        yield greek, shift_words(shifts, name)
    yield "acknowledged over the whole run", words.percent(available.get("overall"))
    yield "acknowledged while a fault was active", words.percent(available.get("under_faults"))


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
        yield name, delta, gamma
