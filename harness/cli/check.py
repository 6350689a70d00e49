"""`quorate check`: from history files to verdicts, one line each."""

from __future__ import annotations

import json as json_lines
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from checkers.bespoke.table import Model
from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError, encode_op
from checkers.linearizable import EngineError
from checkers.models import UnknownModel, model_named, refuse_transactions
from checkers.search import Budget
from checkers.verdict import Result, Verdict, merge
from harness.cli.console import STYLES, emit, out, readable, waiting
from harness.plan import PlanError


def judge_named(model: str) -> Model:
    """The model, which knows how to judge. Raises PlanError for a model there is not."""
    try:
        return model_named(model)
    except UnknownModel as error:
        raise PlanError(str(error)) from None


def judge_with(
    model: str, engine: str, timeout_s: float | None, memory_mb: float | None
) -> Callable[[History], Result]:
    """How to judge a history. Raises PlanError for a model or an engine there is not, or that does not fit the model."""
    named = judge_named(model)
    if not named.is_object:
        if engine != "auto" or timeout_s is not None or memory_mb is not None:
            text = f"the model {model!r} is checked in one way, which needs no budget"
            raise PlanError(f"{text}; leave --engine, --timeout and --memory out")
        return named.check
    for option, given in (("--timeout", timeout_s), ("--memory", memory_mb)):
        if given is not None and not given > 0:
            raise PlanError(f"{option} {given:g} leaves nothing to work with; give a number above 0")
    limits = Budget(
        deadline_ms=round(1000 * timeout_s) if timeout_s is not None else Budget().deadline_ms,
        memory_mb=memory_mb if memory_mb is not None else Budget().memory_mb,
    )
    judge = partial(named.check, engine=engine, budget=limits)
    try:
        judge(History.from_ops([]))  # refuses what cannot be, before any file is read
    except EngineError as error:
        raise PlanError(str(error)) from None
    return judge


def check_files(
    files: Sequence[Path],
    model: str,
    form: str = AUTO,
    *,
    engine: str = "auto",
    timeout_s: float | None = None,
    memory_mb: float | None = None,
    json: bool,
) -> int:
    """Judge each file; the exit status is that of the worst verdict."""
    judge = judge_with(model, engine, timeout_s, memory_mb)
    for path in files:
        readable(path)
    verdicts: list[Verdict] = []
    with waiting(f"judging {len(files)} {'history' if len(files) == 1 else 'histories'}", quiet=json) as tick:
        for number, path in enumerate(files):
            tick(number / len(files), path.name)
            began = time.perf_counter()
            history = loaded(path, form, model)
            result = judge(history)
            seconds = time.perf_counter() - began
            verdicts.append(result.verdict)
            if json:
                emit(line_of(path, model, history, result, seconds))
            else:
                show(path, history, result, seconds)
    return merge(verdicts).exit_status


def loaded(path: Path, form: str, model: str) -> History:
    """The history in the file, its operations such as can be judged."""
    history = load(path, form)
    try:
        return refuse_transactions(history, model)
    except HistoryError as error:
        raise HistoryError(f"{path}: {error}") from None


def line_of(path: Path, model: str, history: History, result: Result, seconds: float) -> dict[str, Any]:
    """What `check --json` prints of one file."""
    return {
        "file": str(path),
        "model": model,
        "verdict": result.verdict.value,
        "path": result.stats.get("path"),
        "seconds": round(seconds, 6),
        "ops": count_calls(history),
        "anomaly": result.anomaly,
        "core": core_ops(history, result),
        "reason": result.reason,
    }


def count_calls(history: History) -> int:
    """Operations of clients; a call and its completion are one."""
    from checkers.op import Type

    return sum(op.type is Type.INVOKE and isinstance(op.process, int) for op in history)


def core_ops(history: History, result: Result) -> list[dict[str, Any]] | None:
    """The operations of the core, each call followed by its completion, as lines of the history."""
    if result.certificate is None or result.certificate.kind != "core":
        return None
    records = []
    for index in result.certificate.ops:
        completion = history.completion(index)
        records += [history.op(index)] + ([completion] if completion is not None else [])
    return [json_lines.loads(encode_op(op)) for op in records]


def show(path: Path, history: History, result: Result, seconds: float) -> None:
    """The verdict for a person: word, sentence, drawing."""
    from rich.text import Text

    console = out()
    word = Text(result.verdict.name, style=STYLES[result.verdict.value])
    console.print(
        word, Text(f" {path}  ({count_calls(history):,} operations, {seconds:.2f} s)"), sep="", soft_wrap=True
    )
    console.print(Text(f"  {result.reason}"), soft_wrap=True)
    if result.verdict is Verdict.INVALID:
        from checkers.explain import draw_core

        console.print(Text(draw_core(history, result)), soft_wrap=True)
