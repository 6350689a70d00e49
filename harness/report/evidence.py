"""What a run left behind, so that others can check it: files with their sums, what the logs say, how to judge it again, and the run before.

    folder ─► every file: bytes, SHA-256            anybody can tell whether a file was changed since the page was written
           ─► nodes/*/*.log: lines that look bad    counted, with the last of them
           ─► the run before it, by name and time   what is newly broken or mended, and which numbers moved

How the system's processes ended stands in a section of its own (`endings`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from checkers.levels import LEVELS
from harness import runs
from harness.plan import PlanError, claim_parts
from harness.report import words
from harness.report.folder import RunFiles, read_folder, shortened
from harness.report.text import one_line
from harness.report.versus import compared, measured

FILES: Final = ("plan.toml", "claims.toml", "history.jsonl", "faults.jsonl", "results.json", "environment.json", "ring.json", "tape.jsonl")  # fmt: skip
BAD: Final = re.compile(r"\b(error|fatal|panic(?:ked)?|exception|traceback|critical|assert(?:ion)?|corrupt(?:ed)?|segfault|out of memory)\b", re.IGNORECASE)  # fmt: skip


def kept_files(folder: Path) -> Iterator[Path]:
    """The files that a run wrote and nothing changes later, in a fixed order."""
    yield from (path for name in FILES if (path := folder / name).is_file())
    yield from sorted((folder / "nodes").glob("*/*.log"))


def sums(folder: Path) -> Iterator[tuple[str, str, str]]:
    """(path in the folder, bytes, SHA-256)."""
    for path in kept_files(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        yield str(path.relative_to(folder)), words.number(path.stat().st_size), digest


def log_rows(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """(log, lines, lines that look bad, the last of them)."""
    for path in sorted((folder / "nodes").glob("*/*.log")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        bad = [line for line in lines if BAD.search(line)]
        yield f"{path.parent.name}/{path.name}", words.number(len(lines)), words.number(len(bad)), one_line(shortened(bad[-1].strip())) if bad else "–"  # fmt: skip


def judge_again(run: RunFiles) -> list[str]:
    """Commands that judge the history again, without the run."""
    path = shlex.quote(str(run.folder / "history.jsonl"))
    names = dict.fromkeys(claim_parts(name)[0] for name in run.results.get("claims", {}))
    others = [f"quorate check {path} --model {shlex.quote(name)}" for name in names if name not in LEVELS]
    return [f"quorate compare {path}"] * any(name in LEVELS for name in names) + others


def since(run: RunFiles) -> dict[str, Any] | None:
    """What changed since the run before; None if there is none, or none that can be read."""
    earlier = runs.before(run.folder)
    if earlier is None:
        return None
    try:
        found = compared(read_folder(earlier), run, histories=False)
    except PlanError:
        return None
    moved = [each for each in found["guarantees"] if each["became"] != "same"]
    plan = "; ".join(found["plan_changes"])
    changes = f"In the plan {plan}." if plan else "The plans are the same."
    return {
        "name": earlier.name,
        "seed": str(found["runs"][0]["seed"]),
        "plan": found["plan_changes"],
        "told": f"The run before is {earlier.name}, seed {found['runs'][0]['seed']}. {changes}",
        "guarantees": [(each["name"], each["before"], each["after"], each["became"]) for each in moved],
        "same": f"{words.plural(len(found['guarantees']) - len(moved), 'guarantee')} {'is' if len(found['guarantees']) - len(moved) == 1 else 'are'} not broken",
        "numbers": [(each["name"], *(measured(each["name"], each[side]) for side in ("before", "after")), "differs" if each["certain"] else "") for each in found["numbers"]],
        "command": f"quorate report {shlex.quote(str(earlier))} {shlex.quote(str(run.folder))}",
    }  # fmt: skip
