"""Which nodes held a key, and when: ring.json (harness/rings.py) in words, as tables, and for the timeline.

    stages   1: n1 n2 n3         2: join n5 under way       3: n1 n2 n3 n5
    key 7    n2, n3, n1          n2, n3, n1 → n2, n5, n3    n2, n5, n3      the preference lists of its partition

A stage is a time in which members, owners and the change under way are the same; epochs may pass in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from harness.report.folder import RunFiles
from harness.report.words import plural

STAGES_MAX: Final = 60


def in_words(run: RunFiles) -> str:
    """The ring of the run in a few sentences; why nothing is known of it."""
    ring = run.ring
    if not ring:
        return "Which nodes held a key was not recorded in this run."
    if not (stages := ring["stages"]):
        why = ring.get("why") or "no node told of its ring"
        return f"Which nodes held a key is not known: {why}."
    lists = stages[0]["lists"]
    first, last = stages[0]["epochs"][0], stages[-1]["epochs"][1]
    told = f"The keys are cut into {len(lists)} partitions, each held by {plural(max(map(len, lists)), 'node')} in the order of its preference list. "
    if first == last:
        return f"{told}The ring had epoch {first} throughout, with {', '.join(stages[0]['members'])} as members, and nothing moved."
    begun = [stage for before, stage in pairwise([{"change": ""}, *stages]) if stage["change"] and stage["change"] != before["change"]]  # fmt: skip
    seen = ", ".join(f"{stage['change']} (from {stage['from_ns'] / 1e9:.2f} s)" for stage in begun)
    return f"{told}The ring went from epoch {first} to {last}; changes seen under way: {seen or 'none'}."


def stage_rows(run: RunFiles) -> Iterator[tuple[str, ...]]:
    """From, epochs, members, what is under way, and how many partitions that moves."""
    for stage in shown(run):
        first, last = stage["epochs"]
        moved = sum(now != then for now, then in zip(stage["lists"], stage["wanted"], strict=False))
        epochs = str(first) if first == last else f"{first} to {last}"
        yield f"{stage['from_ns'] / 1e9:.3f} s", epochs, ", ".join(stage["members"]), stage["change"] or "–", str(moved) if stage["wanted"] else "–"  # fmt: skip


def share_rows(run: RunFiles) -> Iterator[tuple[str, ...]]:
    """For each node of how many partitions it is the first, and how many it holds, at the beginning and at the end."""
    stages = (run.ring or {}).get("stages") or []
    if not stages:
        return
    counts = [(Counter(names[0] for names in stage["lists"]), Counter(name for names in stage["lists"] for name in names)) for stage in (stages[0], stages[-1])]  # fmt: skip
    for node in sorted({name for _, holds in counts for name in holds}):
        yield node, *(str(count[node]) for pair in counts for count in pair)


def key_rows(run: RunFiles) -> Iterator[tuple[str, ...]]:
    """For each key of the finding: its partition, and its preference lists from stage to stage, where they change."""
    ring = run.ring or {}
    for key in dict.fromkeys(str(bar.key) for bar in run.core_bars):
        if (partition := ring.get("keys", {}).get(key)) is None:
            continue
        before = None
        for stage in shown(run):
            now = held(stage, partition)
            if now != before:
                yield key, str(partition), f"{stage['from_ns'] / 1e9:.3f} s", now[0], now[1] or "–"
            before = now


def held(stage: Mapping[str, Any], partition: int) -> tuple[str, str]:
    """The preference list of a partition, and the one it goes to, if that is another."""
    now, wanted = stage["lists"][partition], stage["wanted"]
    goes = wanted[partition] if wanted and wanted[partition] != now else []
    return ", ".join(now), ", ".join(goes)


def shown(run: RunFiles) -> Sequence[Mapping[str, Any]]:
    """The stages; of very many the first."""
    return ((run.ring or {}).get("stages") or [])[:STAGES_MAX]


def for_timeline(run: RunFiles, keys: Sequence[str], unit_ns: int) -> dict[str, Any] | None:
    """What `timeline_data.js` reads: the partition of each key, -1 of one that is not known, and who holds those partitions, stage by stage."""
    if not shown(run):
        return None
    known = (run.ring or {}).get("keys", {})
    partitions = [known.get(key, -1) for key in keys]
    used = sorted({partition for partition in partitions if partition >= 0})
    stages = [[stage["from_ns"] // unit_ns, stage["change"], {str(partition): held(stage, partition) for partition in used}] for stage in shown(run)]  # fmt: skip
    return {"partitions": partitions, "stages": stages}
