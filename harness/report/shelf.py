"""The run folders under a place, as a list that can be searched, filtered and sorted.

    runs/<name>/<time>-<seed>/  plan.toml      ─► workload, faults       ┐
                                results.json   ─► outcome, claims, why   ├─► Entry ─► chosen ─► the list of `quorate serve`
                                environment    ─► version                ┘

A folder with a plan.toml is a run. Links are not followed: `latest` is a run that is listed already, and any other may lead elsewhere. A run
without results is *running* while its history grows, and *unfinished* after that. What cannot be read is told as *unreadable*, not left out.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from harness.report import words
from harness.report.page import embedded, render
from harness.report.study import configuration

DEPTH_MAX: Final = 4
QUIET_S: Final = 15.0  # without a new line a run is no longer running
ROWS_MAX: Final = 500
SORTS: Final = {"": "newest first", "when": "oldest first", "name": "name", "outcome": "outcome", "workload": "workload", "-ops": "most operations"}  # fmt: skip
FILTERS: Final = ("outcome", "claim", "workload", "fault", "version")


class Entry(NamedTuple):
    """One run. `path` is that of its folder from the place that is served, with slashes."""

    path: str
    name: str
    when: str
    seed: str
    configuration: str
    world: str
    workload: str
    outcome: str
    claims: Mapping[str, str]
    faults: Sequence[str]
    version: str
    ops: int
    why: str


def folders(root: Path) -> Iterator[Path]:
    """The run folders, links not followed."""
    for place, inner, files in os.walk(root, followlinks=False):
        here = Path(place)
        if "plan.toml" in files and here != root and not (here / "plan.toml").is_symlink():
            inner.clear()
            yield here
        elif len(here.relative_to(root).parts) >= DEPTH_MAX:
            inner.clear()


def entries(root: Path, now_s: float) -> list[Entry]:
    """All runs; the newest first."""
    found = [entry(root, folder, now_s) for folder in folders(root)]
    return sorted(found, key=lambda each: (each.when, each.path), reverse=True)


def entry(root: Path, folder: Path, now_s: float) -> Entry:
    """One run, as far as it can be read."""
    path = folder.relative_to(root).as_posix()
    try:
        return told(path, folder, now_s)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Entry(path, folder.parent.name, began(folder), "–", "–", "–", "–", "unreadable", {}, (), "–", 0, str(error))  # fmt: skip


def told(path: str, folder: Path, now_s: float) -> Entry:
    """One run that can be read."""
    plan = tomllib.loads((folder / "plan.toml").read_text(encoding="utf-8"))
    environment = loaded(folder / "environment.json")
    results = loaded(folder / "results.json")
    claims = {str(name): str(each["verdict"]) for name, each in results.get("claims", {}).items()}
    asked = [*plan.get("faults", ()), *plan.get("strokes", ())]
    return Entry(
        path, str(plan.get("name", folder.parent.name)), began(folder), str(plan.get("seed", "–")), configuration(plan),
        str(results.get("world") or environment.get("world") or "–"), str(plan.get("workload", "–")),
        str(results["outcome"]) if results else standing(folder, now_s),
        claims or {str(name): "unknown" for name in plan.get("claims", ())},
        tuple(dict.fromkeys(str(fault["kind"]) for fault in asked)),
        str(environment.get("versions", {}).get("quorate", "–")), words.count_ops(results) if results else 0, str(results.get("reason", "")),
    )  # fmt: skip


def began(folder: Path) -> str:
    """`2026-11-28 19:22:53.477` from the name of the folder; the name where it says no time."""
    found = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})-", folder.name)
    return "{}-{}-{} {}:{}:{}".format(*found.groups()) if found else folder.name


def loaded(path: Path) -> dict[str, Any]:
    """An object of a file; empty without the file, or if it is a link."""
    if not path.exists() or path.is_symlink():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    return found


def standing(folder: Path, now_s: float) -> str:
    """Of a run without results."""
    history = folder / "history.jsonl"
    changed_s = (history if history.exists() else folder).stat().st_mtime
    return "running" if now_s - changed_s < QUIET_S else "unfinished"


def chosen(runs: Iterable[Entry], wanted: Mapping[str, str]) -> list[Entry]:
    """What a query lets through, in its order: `q` is looked for in everything that is told of a run; `sort` is one of SORTS, `-` for the greatest first."""
    text = wanted.get("q", "").strip().lower()
    filters = {name: wanted[name] for name in FILTERS if wanted.get(name)}
    found = [each for each in runs if text in " ".join(map(str, each)).lower() and all(value in values_of(each, name) for name, value in filters.items())]  # fmt: skip
    sort = wanted.get("sort", "")
    if sort and sort in SORTS:
        found.sort(key=lambda each: getattr(each, sort.lstrip("-")), reverse=sort.startswith("-"))
    return found


def values_of(run: Entry, name: str) -> Sequence[str]:
    """What a run has under the name of a filter."""
    if name == "claim":
        return tuple(run.claims)
    return tuple(run.faults) if name == "fault" else (str(getattr(run, name)),)


def offered(runs: Sequence[Entry]) -> dict[str, list[str]]:
    """What there is to choose from, for each filter."""
    return {name: sorted({value for run in runs for value in values_of(run, name)}) for name in FILTERS}


def list_html(root: Path, runs: Sequence[Entry], query: Mapping[str, str]) -> str:
    """The list as a page that needs no script: what is asked for stands in its address."""
    found = chosen(runs, query)
    rows = [(run, "/".join(map(quoted, run.path.split("/")))) for run in found[:ROWS_MAX]]
    return render(
        "shelf.html.j2",
        {
            "root": str(root),
            "total": len(runs),
            "shown": len(found),
            "more": len(found) > ROWS_MAX,
            "rows": rows,
            "wanted": {name: query.get(name, "") for name in ("q", "sort", *FILTERS)},
            "choices": offered(runs),
            "sorts": list(SORTS.items()),
            "data": embedded([run._asdict() for run, _ in rows]),
        },
    )


def quoted(part: str) -> str:
    """A part of a path for a URL."""
    return quote(part, safe="")
