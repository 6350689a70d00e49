"""The page of `quorate check --report`: each history with its verdict, its proof in words and in lanes, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from checkers.jsonl import encode_op
from harness.report import words
from harness.report.folder import pair
from harness.report.page import TIMELINE, embedded, render, scripts, timeline_parts
from harness.report.proof import why
from harness.report.scene import scene_of_history
from harness.runs import write_text

BARS_MAX = 60
REGISTERS = ("register", "sequential")


def write_verdicts(path: Path, rows: Sequence[Mapping[str, Any]], *, model: str) -> Path:
    """Write the page and return its path.

    Of one history alone it draws every operation. A row has `name` (the file), `verdict`, `judged`, `ops`, `seconds`, `result` (a Result as JSON), `explanation` (sentences), `drawing`,
    `core` (the records of the core's operations) and `history` (or None).
    """
    counts = {
        word: sum(row["verdict"] == word and row["judged"] for row in rows)
        for word in ("valid", "invalid", "unknown")
    }
    counts["not judged"] = sum(not row["judged"] for row in rows)
    data = [{key: value for key, value in row.items() if key not in ("core", "history")} for row in rows]
    write_text(
        path,
        render(
            "verdicts.html.j2",
            {
                "title": f"{words.plural(len(rows), 'history').replace('historys', 'histories')} as {model}",
                "summary": words.join([f"{count} {word}" for word, count in counts.items() if count]),
                "rows": [row_parts(row, number) for number, row in enumerate(rows)],
                "data": embedded({"model": model, "rows": data}),
                **timeline_of(rows, registers=model in REGISTERS),
            },
        ),
    )
    return path


def timeline_of(rows: Sequence[Mapping[str, Any]], *, registers: bool) -> dict[str, Any]:
    """The timeline and its scripts, if there is one history and it could be read."""
    history = rows[0]["history"] if len(rows) == 1 else None
    if history is None:
        return {"timeline": None}
    scene = scene_of_history(history, {op.index for op in rows[0]["core"]}, registers=registers)
    return {"timeline": timeline_parts(scene), **scripts(*TIMELINE)}


def row_parts(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """One history in words and lanes."""
    bars = pair(list(row["core"]), lambda process: "")
    reason = str(row["explanation"][0])
    reason = words.sentence(reason) if row["judged"] else reason  # which begins with the name of the file
    drawn = bars if len(bars) <= BARS_MAX else []
    told = f"{len(drawn)} operations in lanes. {reason}"
    core = {"checker": row["result"]["checker"], "edges": (row["result"]["certificate"] or {}).get("edges")}
    return {
        **{name: row[name] for name in ("name", "verdict", "judged", "drawing")},
        "word": row["verdict"] if row["judged"] else "not judged",
        "anchor": f"history-{number}",
        "ops": words.number(row["ops"]),
        "seconds": words.number(row["seconds"], 2),
        "path": (row["result"]["stats"] or {}).get("path") or "–",
        "anomaly": row["result"]["anomaly"] or "–",
        "reason": reason,
        "explanation": [words.sentence(str(sentence)) for sentence in row["explanation"][1:]],
        "why": why(drawn, core, ident=f"row-{number}", alternative=told) if drawn else None,
        "json": "\n".join(encode_op(op).decode().strip() for op in row["core"]),
        "count": words.plural(len(bars), "operation"),
        "numbers": list(numbers(row["result"]["stats"])),
        "keys": list(key_rows(row["result"]["parts"])),
    }


def numbers(stats: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What was counted, one name a row."""
    for name, value in stats.items():
        if name == "path":
            continue
        shown = (
            words.number(value, 3) if isinstance(value, int | float) and not isinstance(value, bool) else ""
        )
        yield name.replace("_", " "), shown or json.dumps(value, ensure_ascii=False, default=str)[:400]


def key_rows(parts: Mapping[str, Any], most: int = 200) -> Iterable[dict[str, str]]:
    """The verdict on each key, the bad ones first."""
    ranks = {"invalid": 0, "unknown": 1, "valid": 2}
    ordered = sorted(parts.items(), key=lambda item: ranks.get(item[1]["verdict"], 3))
    for name, part in ordered[:most]:
        yield {"name": name, "verdict": part["verdict"], "reason": part["reason"]}
    if len(ordered) > most:
        yield {"name": "…", "verdict": "", "reason": f"{len(ordered) - most} more keys"}
