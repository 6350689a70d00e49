"""The run folders under a place, as a list that can be searched, filtered and sorted.

    runs/<name>/<time>-<seed>/  plan.toml      ─► workload, faults       ┐
                                results.json   ─► outcome, claims, why   ├─► Entry ─► chosen ─► the list of `quorate serve`
                                environment    ─► version                ┘

A folder with a plan.toml is a run. Links are not followed: `latest` is a run that is listed already, and any other may lead elsewhere. A run
without results is *running* while its history grows, and *unfinished* after that. What cannot be read is told as *unreadable*, not left out.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from harness.report import words
from harness.report.page import embedded, render
from harness.report.study import configuration

READ: Final = ("plan.toml", "results.json", "environment.json")
PLAN, RESULTS, ENVIRONMENT = READ
DEPTH_MAX: Final = 4
QUIET_S: Final = 15.0  # without a new line a run is no longer running
ROWS_MAX: Final = 500
SORTS: Final = {"": "newest first", "when": "oldest first", "name": "name", "outcome": "outcome", "workload": "workload", "-ops": "most operations"}  # fmt: skip
Stamp = tuple[tuple[int, int] | None, ...]
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


class Claimed(msgspec.Struct):
    """Of a claim in `results.json`, what the list tells."""

    verdict: str


class Judged(msgspec.Struct):
    """Of `results.json`, what the list tells; the rest, which is most of it, is passed over unread."""

    outcome: str
    reason: str | None = ""
    world: str | None = None
    claims: dict[str, Claimed] = {}
    stats: Any = None


def folders(root: Path) -> Iterator[Path]:
    """The run folders, links not followed."""
    places = [(os.fspath(root), 0)]
    while places:
        place, depth = places.pop()
        try:
            with os.scandir(place) as found:
                here = list(found)
        except OSError:  # it has gone, or is not for us to read
            continue
        if depth and any(each.name == PLAN and not each.is_symlink() for each in here):
            yield Path(place)
        elif depth < DEPTH_MAX:
            places += [(each.path, depth + 1) for each in here if each.is_dir(follow_symlinks=False)]


class Catalogue:
    """The runs under a place. Of a run that is over, files that are as they were are not read again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, tuple[Stamp, Entry]] = {}

    def entries(self, now_s: float) -> list[Entry]:
        """All runs; the newest first."""
        known, found = self._known, dict[Path, tuple[Stamp, Entry]]()
        for folder in folders(self._root):
            stamp = stamp_of(folder)
            before = known.get(folder)
            over = stamp[READ.index(RESULTS)] is not None
            found[folder] = before if before and over and before[0] == stamp else (stamp, entry(self._root, folder, now_s))  # fmt: skip
        self._known = found
        return sorted((each for _, each in found.values()), key=lambda each: (each.when, each.path), reverse=True)  # fmt: skip


def stamp_of(folder: Path) -> Stamp:
    """Of each file that the list reads, when it was written and how long it is; None where there is none."""
    found = list[tuple[int, int] | None]()
    for name in READ:
        try:
            status = os.lstat(f"{folder}/{name}")
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def entries(root: Path, now_s: float) -> list[Entry]:
    """All runs, each read now."""
    return Catalogue(root).entries(now_s)


def entry(root: Path, folder: Path, now_s: float) -> Entry:
    """One run, as far as it can be read."""
    path = folder.relative_to(root).as_posix()
    try:
        return told(path, folder, now_s)
    except (OSError, ValueError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        return Entry(path, folder.parent.name, began(folder), "–", "–", "–", "–", "unreadable", {}, (), "–", 0, str(error))  # fmt: skip


def told(path: str, folder: Path, now_s: float) -> Entry:
    """One run that can be read."""
    plan = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
    environment = loaded(folder / ENVIRONMENT)
    results = judged(folder / RESULTS)
    claims = {name: each.verdict for name, each in results.claims.items()} if results else {}
    asked = [*plan.get("faults", ()), *plan.get("strokes", ())]
    return Entry(
        path, str(plan.get("name", folder.parent.name)), began(folder), str(plan.get("seed", "–")), configuration(plan),
        str((results and results.world) or environment.get("world") or "–"), str(plan.get("workload", "–")),
        results.outcome if results else standing(folder, now_s),
        claims or {str(name): "unknown" for name in plan.get("claims", ())},
        tuple(dict.fromkeys(str(fault["kind"]) for fault in asked)),
        str(environment.get("versions", {}).get("quorate", "–")), words.count_ops({"stats": results.stats}) if results else 0, (results.reason if results else "") or "",
    )  # fmt: skip


def began(folder: Path) -> str:
    """`2026-11-28 19:22:53.477` from the name of the folder; the name where it says no time."""
    found = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})-", folder.name)
    return "{}-{}-{} {}:{}:{}".format(*found.groups()) if found else folder.name


def loaded(path: Path) -> dict[str, Any]:
    """An object of a file; empty without the file, or if it is a link."""
    if not path.exists() or path.is_symlink():
        return {}
    found = msgspec.json.decode(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    return found


def judged(path: Path) -> Judged | None:
    """The results, if the run came to them."""
    if not path.exists() or path.is_symlink():
        return None
    return msgspec.json.decode(path.read_bytes(), type=Judged)


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
