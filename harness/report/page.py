"""From a run folder to `report.html`, one file that needs no network.

    RunFiles ─► parts (words, tables, proof) ─┐
             ─► pictures (drawing, plots) ────┼─► page.html.j2 ─► report.html
             ─► timeline (data, still) ───────┘

Every value goes through the template's escaping, because keys, values and error texts come from the system under
test. The page has a content policy that forbids every load, and every script but the timeline's own, by its hash; its data is inert JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from harness.report import words
from harness.report.drawing import bands
from harness.report.folder import RunFiles, read_folder
from harness.report.freshness import Freshness
from harness.report.parts import parts
from harness.report.rows import behind_classes
from harness.report.scene import Scene, scene_of_run
from harness.report.still import around, still, still_rows
from harness.report.text import cut, visible
from harness.report.timeline import timeline
from harness.runs import write_text

TIMELINE = ("timeline_data.js", "timeline_levels.js", "timeline_draw.js", "timeline.js")
SCRIPTS = (*TIMELINE, "copy.js")


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder and return its path. Raises PlanError if it is not a run folder."""
    run = read_folder(Path(folder))
    path = run.folder / "report.html"
    write_text(path, render("page.html.j2", contents(run)))
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


def contents(run: RunFiles) -> dict[str, Any]:
    """Everything the run's page shows."""
    found = parts(run)
    about = {"results": run.results, "faults": run.faults, "environment": run.environment, "plan": run.plan, "durability": run.survival and run.survival.as_json()}  # fmt: skip
    return {
        **found,
        "pictures": pictures(run, found["fresh"]),
        "timeline": timeline_parts(scene_of_run(run)),
        **scripts(*SCRIPTS),
        "data": embedded(cut(about)),
    }


def pictures(run: RunFiles, fresh: Freshness | None) -> dict[str, Any]:
    """The drawings and plots, as SVG; `fresh` is the t-visibility of the run, which takes long to find."""
    from markupsafe import Markup

    from harness.report import plots

    drawn = {
        "bands": bands(run.faults, run.end_ns),
        "clocks": plots.clock_plot(run),
        "fate": plots.fate_plot(run),
        "latency": plots.latency_plot(run.bars, run.faults, run.end_ns, run.stale),
        "rate": plots.rate_plot(run.bars, run.faults, run.end_ns),
        "behind": plots.staleness_plot(list(behind_classes(run.behind)), run.ages_ns),
        "freshness": plots.freshness_plot(fresh) if fresh and not fresh.flat else "",
    }
    return {name: Markup(svg) for name, svg in drawn.items()}


def embedded(value: Any) -> Any:
    """JSON that is safe inside a script element: no character in it can end the element or open a comment."""
    from markupsafe import Markup

    text = json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
