"""The morning as one HTML file."""

from __future__ import annotations

from typing import Any

from harness.campaign.morning import Morning, item_cells, told, trend_lines
from harness.report import words
from harness.report.page import embedded, render

TROUBLE_MAX = 40


def morning_page(found: Morning) -> str:
    """The page."""
    trouble = [f"{run.item}, seed {run.seed}: {run.outcome}: {run.reason}{f' ({run.folder})' if run.folder else ''}" for run in found.records if run.outcome in ("crash", "infrastructure", "unknown", "vacuous")]  # fmt: skip
    return render(
        "campaign.html.j2",
        {
            "title": f"{found.campaign.name}, night {found.night.number}",
            "outcome": found.outcome,
            "badge": {"violation": "invalid", "crash": "invalid", "ok": "valid"}.get(
                found.outcome, "unknown"
            ),
            "why": words.sentence(found.why),
            "night_version": found.night.version,
            "findings": [finding_parts(found, each) for each in found.findings],
            "items": list(item_cells(found)),
            "trends": trend_lines(found),
            "trouble": trouble[:TROUBLE_MAX],
            "data": embedded(found.as_json()),
        },
    )


def finding_parts(found: Morning, each: Any) -> dict[str, Any]:
    """A finding for the template."""
    state = {
        "new": "invalid",
        "ongoing": "invalid",
        "rare": "invalid" if each.tonight else "unknown",
        "resolved": "valid",
    }[each.state]
    return {
        "id": each.id,
        "title": each.title,
        "state": f"{each.state}, accepted" if each.accepted else each.state,
        "badge": "unknown" if each.accepted else state,
        "configuration": each.configuration,
        "promise": found.campaign.promise(each.example.item, each.claim),
        "told": told(found, each),
        "sentence": words.sentence(each.example.sentence or each.example.reason),
        "drawing": each.example.drawing,
        "where": words.join(list(each.items)),
        "shapes": "; ".join(each.shapes),
        "nights": ", ".join(f"{night}: {hits} of {runs}" for night, (hits, runs) in each.hits.items()),
        "ways": found.ways.get(each.id),
    }
