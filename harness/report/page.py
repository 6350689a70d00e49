"""From a run folder to `report.html`, one file that needs no network.

    RunFiles ─► words (sentences) ─┐
             ─► proof, drawing ─────────┼─► page.html.j2 ─► report.html
             ─► plots (latency, rate) ──┤
             ─► timeline (data, still) ─┘

Every value goes through the template's escaping, because keys, values and error texts come from the system under
test. The page has a content policy that forbids every load, and every script but the timeline's own, by its hash; its data is inert JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.report import clocks, evidence, placement, words
from harness.report.drawing import bands
from harness.report.folder import RunFiles, read_folder
from harness.report.freshness import differences, freshness
from harness.report.proof import core_parts
from harness.report.rows import (
    age_rows,
    attribution_notes,
    attribution_table,
    behind_classes,
    behind_rows,
    claim_rows,
    clock_rows,
    documented_rows,
    error_rows,
    facts,
    fault_rows,
    freshness_rows,
    lost_rows,
    outage_rows,
    outcome_rows,
    shift_rows,
    silence_rows,
    staleness_rows,
    survival_rows,
)
from harness.report.scene import Scene, scene_of_run
from harness.report.still import around, still, still_rows
from harness.report.text import cut, visible
from harness.report.timeline import timeline

TIMELINE = ("timeline_data.js", "timeline_levels.js", "timeline_draw.js", "timeline.js")
SCRIPTS = (*TIMELINE, "copy.js")
SECTIONS = {"claims": "claims", "core": "proof", "needs": "what it needs", "timeline": "timeline", "scope": "scope", "faults": "faults", "durability": "durability", "clocks": "clocks", "ring": "ring", "time": "latency", "staleness": "staleness", "since": "the run before", "repeat": "repeat it", "glossary": "words"}  # fmt: skip


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
        trim_blocks=True, lstrip_blocks=True, finalize=seen,
    )  # fmt: skip
    style = Markup(files("harness.report").joinpath("style.css").read_text())
    common = {"style": style, "glossary": list(words.GLOSSARY.items()), "version": version("quorate"), "script": "", "script_source": ""}  # fmt: skip
    return environment.get_template(template).render({**common, **values})


def seen(value: Any) -> Any:
    """What a template prints: text of strangers turns nothing around it; our own drawings and JSON are left as they are."""
    return visible(value) if type(value) is str else value


def scripts(*names: str) -> dict[str, Any]:
    """These files of ours as the one script of a page, and the policy that lets exactly this text run and no other."""
    from markupsafe import Markup

    text = "".join(files("harness.report").joinpath(name).read_text() for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"script": Markup(text), "script_source": Markup(f"; script-src 'sha256-{digest}'")}


def timeline_parts(scene: Scene) -> dict[str, Any]:
    """The timeline: its data, and a still picture of the part that matters most."""
    from markupsafe import Markup

    data = timeline(scene)
    core = {bar.index for bar in scene.core}
    shown = around(scene.bars, scene.core)
    kept = len(data["ops"]["index"])
    about = "around the proof" if core else "at the beginning of the run"
    return {
        "total": data["total"],
        "shown": kept,
        "note": f"Drawn are {kept:,} of {data['total']:,} operations: the proof, of every slice of time the slowest and the first that failed, timed out or was stale, and others by even steps. The strip of the whole run counts all.",
        "still_words": f"{words.plural(len(shown), 'operation')} {about}, of {data['total']:,} in the run.",
        "svg": Markup(still(scene, shown, core)),
        "rows": still_rows(shown, core),
        "data": embedded(data),
    }


def attribution_parts(run: RunFiles) -> dict[str, Any] | None:
    """Which faults the violation needs, if that was tried; how to try it, where it can be; None where nothing is broken."""
    if found := run.attribution:
        return {"sentence": words.sentence(found["sentence"]), "how": words.attributed(found), "rows": list(attribution_table(found)), "notes": list(attribution_notes(found)), "command": ""}  # fmt: skip
    if run.results["outcome"] != "invalid" or run.results.get("world") not in ("sim", "hosts"):
        return None
    return {"sentence": words.unattributed(run.results), "how": "", "rows": [], "notes": [], "command": f"quorate attribute {shlex.quote(str(run.folder))}"}  # fmt: skip


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


def durability_parts(run: RunFiles) -> dict[str, Any]:
    """What became of the acknowledged writes: in words, as a table, and those that were lost."""
    found = run.survival
    return {
        "words": words.survived(found) if found else "No operation was recorded." if not run.bars else "Not measured: it takes a history of reads and writes of single keys in which each value is written once.",
        "rows": list(survival_rows(run)),
        "lost": list(lost_rows(run)),
    }  # fmt: skip


def ring_parts(run: RunFiles) -> dict[str, Any]:
    """Which nodes held what: in words, the keys of the finding, the stages, and each node's share."""
    return {
        "words": placement.in_words(run),
        "of_keys": list(placement.key_rows(run)),
        "stages": list(placement.stage_rows(run)),
        "shares": list(placement.share_rows(run)),
    }


def clock_parts(run: RunFiles) -> dict[str, Any]:
    """How far each node's clock was off: in words, as a plot and as a table."""
    from markupsafe import Markup

    from harness.report.plots import clock_plot

    shifts = clocks.shifts_of(run.faults, run.end_ns)
    told = clocks.in_words(shifts, run.nodes, str(run.results.get("world")))
    return {"words": told, "svg": Markup(clock_plot(run)), "rows": list(clock_rows(run))}


def contents(run: RunFiles) -> dict[str, Any]:
    """Everything the run's page shows, and links to its sections."""
    parts = parts_of(run)
    absent = {name for name, part in (("core", "core"), ("needs", "attribution"), ("since", "since")) if not parts[part]}  # fmt: skip
    return {**parts, "sections": [(name, title) for name, title in SECTIONS.items() if name not in absent]}


def parts_of(run: RunFiles) -> dict[str, Any]:
    """What each section shows."""
    from markupsafe import Markup

    from harness.report.plots import fate_plot, latency_plot, rate_plot, staleness_plot

    results = run.results
    return {
        "name": results["name"],
        "outcome": results["outcome"],
        "reason": words.sentence(results.get("reason") or ""),
        "finding": words.finding(run.plan, results),
        "facts": list(facts(run)),
        "claims": list(claim_rows(results)),
        "documented": list(documented_rows(run)),
        "strongest": words.join(results.get("strongest") or []),
        "weakest": words.join(results.get("weakest_refuted") or []),
        "missing": run.missing,
        "core": core_parts(run),
        "attribution": attribution_parts(run),
        "timeline": timeline_parts(scene_of_run(run)),
        **scripts(*SCRIPTS),
        "tested": words.tested(run.plan, results, run.faults),
        "not_tested": words.not_tested(results, run.faults),
        "faults": list(fault_rows(run)),
        "bands": Markup(bands(run.faults, run.end_ns)),
        "durability": durability_parts(run),
        "clocks": clock_parts(run),
        "ring": ring_parts(run),
        "fate_svg": Markup(fate_plot(run)),
        "latency_svg": Markup(latency_plot(run.bars, run.faults, run.end_ns, run.stale)),
        "rate_svg": Markup(rate_plot(run.bars, run.faults, run.end_ns)),
        "outages": list(outage_rows(run)),
        "silences": list(silence_rows(run)),
        "outcomes": list(outcome_rows(results)),
        "errors": list(error_rows(run)),
        "staleness": list(staleness_rows(results)),
        "freshness": freshness_parts(run),
        "behind": list(behind_rows(run)),
        "ages": list(age_rows(run)),
        "behind_svg": Markup(staleness_plot(list(behind_classes(run.behind)), run.ages_ns)),
        "shifts": list(shift_rows(results)),
        "command": results.get("command", ""),
        "repeats": words.repeats(results),
        "again": evidence.judge_again(run),
        "sums": list(evidence.sums(run.folder)),
        "node_logs": list(evidence.log_rows(run.folder)),
        "since": evidence.since(run),
        "plan_text": run.plan_text,
        "environment": [(key, words.flat(value)) for key, value in run.environment.items()],
        "data": embedded(
            cut(
                {
                    "results": results,
                    "faults": run.faults,
                    "environment": run.environment,
                    "plan": run.plan,
                    "durability": run.survival and run.survival.as_json(),
                }
            )
        ),
    }


def embedded(value: Any) -> Any:
    """JSON that is safe inside a script element: no character in it can end the element or open a comment."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
