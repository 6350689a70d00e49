"""The run folders under a place, as a list that can be searched, filtered and sorted.

    runs/<name>/<time>-<seed>/  plan.toml      ─► workload, faults       ┐
                                results.json   ─► outcome, claims, why   ├─► Entry ─► chosen ─► the list of `quorate serve`
                                environment    ─► version                ┘

A folder with a plan.toml is a run. Links are not followed: `latest` is a run that is listed already, and any other may lead elsewhere. A run
without results is *running* while its history grows, and *unfinished* after that. What cannot be read is told as *unreadable*, not left out.

    folders, the newest first   ■ ■ ■ ■ ■ ■ □ □ □ □ □      a look reads on from here, as long as it has patience
                                └── Looked ─┘              "6 of 11 folders are read": the newest runs are there, the count is not yet whole
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
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
SEED: Final = re.compile(r"\A((?:[A-Za-z0-9_-]+ = [^\n]*\n)*?seed = )(0|[1-9]\d*)(?=\n)")
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


class Looked(NamedTuple):
    """The runs that are known, the newest first, and how many of the folders this look has read."""

    runs: Sequence[Entry]
    read: int
    folders: int

    @property
    def whole(self) -> bool:
        """Was every folder read?"""
        return self.read == self.folders


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


class Made(msgspec.Struct):
    """Of `environment.json`, what the list tells."""

    versions: dict[str, Any] = {}
    world: str | None = None


class Planned(NamedTuple):
    """Of `plan.toml`, what the list tells."""

    name: str
    seed: str
    configuration: str
    workload: str
    claims: tuple[str, ...]
    faults: tuple[str, ...]


def folders(root: str) -> Iterator[str]:
    """The run folders, links not followed."""
    places = [(root, 0)]
    while places:
        place, depth = places.pop()
        try:
            with os.scandir(place) as found:
                here = list(found)
        except OSError:  # it has gone, or is not for us to read
            continue
        if depth and any(each.name == PLAN and not each.is_symlink() for each in here):
            yield place
        elif depth < DEPTH_MAX:
            places += [(each.path, depth + 1) for each in here if each.is_dir(follow_symlinks=False)]


class Catalogue:
    """The runs under a place. Of a run that is over, files that are as they were are not read again. Any thread may look; one reads at a time."""

    def __init__(self, root: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._root, self._clock, self._lock = os.fspath(root), clock, threading.Lock()
        self._folders: list[str] = []  # the newest first
        self._read = 0  # how many of them
        self._known: dict[str, tuple[Stamp, Entry]] = {}

    def look(self, now_s: float, patience_s: float) -> Looked:
        """What is there now, as far as it can be read in that time, one folder at least. The next look goes on where this one stopped."""
        with self._lock:
            until = self._clock() + patience_s
            if self._read == len(self._folders):
                self._folders = sorted(folders(self._root), key=lambda each: (began(os.path.basename(each)), each), reverse=True)  # fmt: skip
                self._known = {each: self._known[each] for each in self._folders if each in self._known}
                self._read = 0
            for folder in self._folders[self._read :]:
                self._read_one(folder, now_s)
                if self._clock() >= until:
                    break
            runs = [self._known[each][1] for each in self._folders if each in self._known]
            return Looked(runs, self._read, len(self._folders))

    def _read_one(self, folder: str, now_s: float) -> None:
        """Read it, unless it is known and over and as it was."""
        stamp, before = stamp_of(folder), self._known.get(folder)
        over = stamp[READ.index(RESULTS)] is not None
        if before is None or not over or before[0] != stamp:
            self._known[folder] = (stamp, entry(self._root, folder, now_s))
        self._read += 1


def stamp_of(folder: str) -> Stamp:
    """Of each file that the list reads, when it was written and how long it is; None where there is none."""
    found = list[tuple[int, int] | None]()
    for name in READ:
        try:
            status = os.lstat(f"{folder}/{name}")
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def entry(root: str, folder: str, now_s: float) -> Entry:
    """One run, as far as it can be read."""
    path, when = folder[len(root) :].lstrip("/"), began(os.path.basename(folder))
    try:
        return told(path, when, folder, now_s)
    except (OSError, ValueError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        return Entry(path, parent(folder), when, "–", "–", "–", "–", "unreadable", {}, (), "–", 0, str(error))


def told(path: str, when: str, folder: str, now_s: float) -> Entry:
    """One run that can be read."""
    plan = planned((content(folder, PLAN) or b"").decode())
    made = msgspec.json.decode(content(folder, ENVIRONMENT) or b"{}", type=Made)
    judged = content(folder, RESULTS)
    results = None if judged is None else msgspec.json.decode(judged, type=Judged)
    claims = {name: each.verdict for name, each in results.claims.items()} if results else {}
    return Entry(
        path, plan.name or parent(folder), when, plan.seed, plan.configuration,
        (results and results.world) or made.world or "–", plan.workload,
        results.outcome if results else standing(folder, now_s),
        claims or dict.fromkeys(plan.claims, "unknown"), plan.faults,
        str(made.versions.get("quorate", "–")), words.count_ops({"stats": results.stats}) if results else 0, (results.reason if results else "") or "",
    )  # fmt: skip


def planned(text: str) -> Planned:
    """Most plans of a shelf differ in nothing but the seed, and TOML takes long to read: what is alike is read once."""
    found = None if '"""' in text or "'''" in text else SEED.match(text)
    if found is None:
        return read_plan(text)
    return read_plan(f"{found[1]}0{text[found.end() :]}")._replace(seed=found[2])


@lru_cache(maxsize=1024)
def read_plan(text: str) -> Planned:
    """What a plan says, as far as the list tells it."""
    plan = tomllib.loads(text)
    asked = [*plan.get("faults", ()), *plan.get("strokes", ())]
    return Planned(
        str(plan.get("name", "")), str(plan.get("seed", "–")), configuration(plan), str(plan.get("workload", "–")),
        tuple(map(str, plan.get("claims", ()))), tuple(dict.fromkeys(str(fault["kind"]) for fault in asked)),
    )  # fmt: skip


def parent(folder: str) -> str:
    """The name of the folder that it is in."""
    return os.path.basename(os.path.dirname(folder))


def began(name: str) -> str:
    """`2026-11-28 19:22:53.477` from the name of a folder; the name where it says no time."""
    found = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})-", name)
    return "{}-{}-{} {}:{}:{}".format(*found.groups()) if found else name


def content(folder: str, name: str) -> bytes | None:
    """What a file of a run holds; None if there is none, or a link. A pipe is not waited for."""
    try:
        file = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise
    with os.fdopen(file, "rb", buffering=0) as opened:
        return opened.read()


def standing(folder: str, now_s: float) -> str:
    """Of a run without results."""
    history = f"{folder}/history.jsonl"
    changed_s = os.stat(history if os.path.exists(history) else folder).st_mtime
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


def list_html(root: Path, looked: Looked, query: Mapping[str, str]) -> str:
    """The list as a page that needs no script: what is asked for stands in its address."""
    found = chosen(looked.runs, query)
    rows = [(run, "/".join(map(quoted, run.path.split("/")))) for run in found[:ROWS_MAX]]
    return render(
        "shelf.html.j2",
        {
            "root": str(root),
            "total": len(looked.runs),
            "unread": None if looked.whole else f"{looked.read:,} of {looked.folders:,} folders",
            "shown": len(found),
            "more": len(found) > ROWS_MAX,
            "rows": rows,
            "wanted": {name: query.get(name, "") for name in ("q", "sort", *FILTERS)},
            "choices": offered(looked.runs),
            "sorts": list(SORTS.items()),
            "data": embedded([run._asdict() for run, _ in rows]),
        },
    )


def quoted(part: str) -> str:
    """A part of a path for a URL."""
    return quote(part, safe="")
