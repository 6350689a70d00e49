"""`quorate compare`: one history against every level of the lattice.

level                  verdict    in words
linearizable           INVALID    stale-read: read #496 …
regular                VALID      …                            strongest kept, weakest refuted
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from checkers.explain import draw_core
from checkers.history import History
from checkers.judged import budget_of, count_calls, first_value
from checkers.levels import IMPLIES, Judgement, judge
from checkers.linearizable import EngineError
from checkers.verdict import Result, Verdict
from harness.cli.check import HISTORY, Options, loaded
from harness.cli.console import STYLES, emit, out, readable, waiting
from harness.plan import PlanError

CORE_TOLD: Final = 12  # operations


def compare_file(path: Path, options: Options, *, json: bool) -> int:
    """Judge every level; the exit status is 1 if one is refuted, 0 if one is kept and none refuted, else 2."""
    try:
        budget = budget_of(options.timeout_s, options.memory_mb)
        initial = first_value(options.initial)
    except EngineError as error:
        raise PlanError(str(error)) from None
    readable(path, HISTORY)
    with waiting(f"judging {path.name}", quiet=json) as tick:
        history = loaded(path, options.form, "register", options.key_by)
        tick(0.5, "every level")
        judged = judge(history, clock=time.monotonic, budget=budget, initial=initial)
    if json:
        emit(line_of(path, count_calls(history), judged))
    else:
        show(path, history, judged)
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
            level: {
                "verdict": result.verdict.value,
                "anomaly": result.anomaly,
                "path": result.stats.get("path"),
                "certificate": result.as_json()["certificate"],
                "reason": result.reason,
            }
            for level, result in judged.results.items()
        },
        "implies": {level: list(weaker) for level, weaker in IMPLIES.items()},
        "strongest": judged.strongest,
        "weakest_refuted": judged.weakest_refuted,
    }


def show(path: Path, history: History, judged: Judgement) -> None:
    """The table, and the two ends of what is known."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{path}  ({count_calls(history):,} operations)", title_justify="left", box=None, pad_edge=False
    )
    for name in ("level", "verdict", "in words"):
        table.add_column(name, overflow="fold", no_wrap=name != "in words")
    for level, result in judged.results.items():
        word = Text(result.verdict.name, style=STYLES[result.verdict.value])
        table.add_row(level, word, Text(result.reason))
    console = out()
    console.print(table)
    console.print(f"strongest kept: {', '.join(judged.strongest) or 'none'}", soft_wrap=True)
    for level in judged.strongest:
        console.print(Text(f"  {level}: {proof(judged.results[level])}"), soft_wrap=True)
    console.print(f"weakest refuted: {', '.join(judged.weakest_refuted) or 'none'}", soft_wrap=True)
    for level in judged.weakest_refuted:
        console.print(Text(f"  {level}: {proof(judged.results[level])}"), soft_wrap=True)
        console.print(Text(draw_core(history, judged.results[level])), soft_wrap=True)


def proof(result: Result) -> str:
    """What proves it, in a few words."""
    certificate = result.certificate
    if certificate is None:
        return "every read was looked at"
    if certificate.kind == "witness":
        return f"a witness, an order of {len(certificate.ops)} operations"
    named = ", ".join(f"#{index}" for index in certificate.ops[:CORE_TOLD])
    more = f" and {len(certificate.ops) - CORE_TOLD} more" if len(certificate.ops) > CORE_TOLD else ""
    one = "operation" if len(certificate.ops) == 1 else "operations"
    return f"a core of {len(certificate.ops)} {one}: {named}{more}"
