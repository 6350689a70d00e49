"""`quorate compare`: one history against every level of the lattice.

level                  verdict    in words
linearizable           INVALID    stale-read: read #496 …
regular                VALID      …                            strongest kept, weakest refuted
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from checkers.formats import AUTO
from checkers.levels import IMPLIES, Judgement, judge
from checkers.verdict import Verdict
from harness.cli.check import count_calls, loaded
from harness.cli.console import STYLES, emit, out, readable, waiting


def compare_file(path: Path, form: str = AUTO, *, json: bool) -> int:
    """Judge every level; the exit status is 1 if one is refuted, 0 if one is kept and none refuted, else 2."""
    readable(path)
    with waiting(f"judging {path.name}", quiet=json) as tick:
        history = loaded(path, form, "register")
        tick(0.5, "every level")
        judged = judge(history)
    if json:
        emit(line_of(path, count_calls(history), judged))
    else:
        show(path, count_calls(history), judged)
    end = (
        Verdict.INVALID if judged.weakest_refuted else Verdict.VALID if judged.strongest else Verdict.UNKNOWN
    )
    return end.exit_status


def line_of(path: Path, ops: int, judged: Judgement) -> dict[str, Any]:
    """What `compare --json` prints."""
    return {
        "file": str(path),
        "ops": ops,
        "levels": {
            level: {"verdict": result.verdict.value, "anomaly": result.anomaly, "reason": result.reason}
            for level, result in judged.results.items()
        },
        "implies": {level: list(weaker) for level, weaker in IMPLIES.items()},
        "strongest": judged.strongest,
        "weakest_refuted": judged.weakest_refuted,
    }


def show(path: Path, ops: int, judged: Judgement) -> None:
    """The table, and the two ends of what is known."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{path}  ({ops:,} operations)", title_justify="left", box=None, pad_edge=False)
    for name in ("level", "verdict", "in words"):
        table.add_column(name, overflow="fold")
    for level, result in judged.results.items():
        word = Text(result.verdict.name, style=STYLES[result.verdict.value])
        table.add_row(level, word, Text(result.reason))
    console = out()
    console.print(table)
    console.print(f"strongest kept: {', '.join(judged.strongest) or 'none'}", soft_wrap=True)
    console.print(f"weakest refuted: {', '.join(judged.weakest_refuted) or 'none'}", soft_wrap=True)
