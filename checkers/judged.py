"""What `quorate check` and `python -m checkers` share: one file's outcome, its JSON line, and which outcome is the worst.

{"file", "model", "verdict": "valid" | "invalid" | "unknown", "path", "seconds", "ops", "anomaly", "core": [index of a call], "reason"}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from checkers.explain import draw_core, explain
from checkers.history import History
from checkers.jsonl import HistoryError, decode_value
from checkers.linearizable import EngineError
from checkers.op import MISSING, Type
from checkers.search import Budget
from checkers.verdict import Result, Verdict

BAD_INPUT, BROKEN = 254, 255
MOST: Final = 1e9  # seconds, or megabytes
PRECEDENCE: Final = (1, BROKEN, BAD_INPUT, 2, 0)  # exit statuses: INVALID, a crash, bad input, UNKNOWN, VALID


@dataclass(frozen=True, slots=True)
class Judged:
    """One file's outcome. Without `history` it could not be judged; then `result` says why, and `status` is not that of its verdict."""

    name: str
    history: History | None
    result: Result
    seconds: float
    status: int


def failed(name: str, reason: str, seconds: float, status: int) -> Judged:
    """The outcome of a file that could not be judged."""
    return Judged(name, None, Result("check", Verdict.UNKNOWN, reason), seconds, status)


def line_of(one: Judged, model: str, *, explained: bool) -> dict[str, Any]:
    """What `--json` prints of one file; with `explained` its sentences and its drawing too."""
    result = one.result
    core = (
        result.certificate if result.certificate is not None and result.certificate.kind == "core" else None
    )
    line = {
        "file": one.name,
        "model": model,
        "verdict": result.verdict.value,
        "path": result.stats.get("path"),
        "seconds": round(one.seconds, 6),
        "ops": 0 if one.history is None else count_calls(one.history),
        "anomaly": result.anomaly,
        "core": None if core is None else list(core.ops),
        "reason": result.reason,
    }
    if explained:
        line["explanation"] = [result.reason] if one.history is None else explain(one.history, result)
        line["drawing"] = "" if one.history is None else draw_core(one.history, result)
    return line


def count_calls(history: History) -> int:
    """Operations of clients; a call and its completion are one."""
    return sum(op.type is Type.INVOKE and isinstance(op.process, int) for op in history)


def budget_of(timeout_s: float | None, memory_mb: float | None) -> Budget | None:
    """The budget that the options ask for; None if they leave it as it is. EngineError for one that leaves nothing."""
    for option, given in (("--timeout", timeout_s), ("--memory", memory_mb)):
        if given is not None and not given > 0:
            raise EngineError(f"{option} {given:g} leaves nothing to work with; give a number above 0")
        if given is not None and given > MOST:
            raise EngineError(f"{option} {given:g} is no limit; leave it out, or give {MOST:g} at most")
    if timeout_s is None and memory_mb is None:
        return None
    usual = Budget()
    return Budget(
        deadline_ms=usual.deadline_ms if timeout_s is None else round(1000 * timeout_s),
        memory_mb=usual.memory_mb if memory_mb is None else memory_mb,
    )


def first_value(text: str | None) -> Any:
    """The value of `--initial`: JSON. MISSING if it was not given. EngineError if it is not JSON."""
    if text is None:
        return MISSING
    try:
        return decode_value(text)
    except (ValueError, HistoryError):
        raise EngineError(
            f"--initial {text} is not JSON; write text in quotes: --initial '\"{text}\"'"
        ) from None
