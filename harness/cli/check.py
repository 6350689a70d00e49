"""`quorate check`: from history files to verdicts; one file in full, many in a table.

A file that cannot be read does not keep the others from being judged. The exit status is that of the worst:

    INVALID 1  >  a crash 255, bad input 254  >  UNKNOWN 2  >  VALID 0

stdout has the verdicts, stderr the progress, and one line for each file that could not be judged.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from checkers.explain import draw_core, explain, first_value_asked
from checkers.formats import AUTO, load
from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.judged import PRECEDENCE, Judged, budget_of, count_calls, failed, first_value, line_of
from checkers.keys import keyed_by
from checkers.linearizable import EngineError
from checkers.models import UnknownModel, judging, refuse_transactions
from checkers.op import MISSING
from checkers.verdict import Result
from harness.cli.console import (
    BAD_INPUT,
    BROKEN,
    STYLES,
    complain,
    emit,
    out,
    readable,
    report_crash,
    say,
    waiting,
)
from harness.plan import PlanError
from harness.worlds import WorldError

Judge = Callable[[History], Result]
HISTORY: Final = "history.jsonl"
READ_SHARE: Final = 0.4  # of the time of a history of registers; nobody knows how long a search will take


@dataclass(frozen=True, slots=True)
class Options:
    """How `check` was asked to judge, as on the command line."""

    model: str = "register"
    form: str = AUTO
    engine: str = "auto"
    timeout_s: float | None = None
    memory_mb: float | None = None
    initial: str | None = None
    key_by: str | None = None
    explain: bool = False
    vacuous: str = "unknown"


def judge_of(options: Options) -> Judge:
    """How to judge a history. PlanError for a model, an engine or a first value there is not, or that do not fit each other."""
    try:
        budget = budget_of(options.timeout_s, options.memory_mb)
        return judging(options.model, options.engine, budget, first_value(options.initial), options.vacuous)
    except (UnknownModel, EngineError) as error:
        raise PlanError(str(error)) from None


def check_files(
    files: Sequence[Path], options: Options, *, ray: str | None, json: bool, report: Path | None = None
) -> int:
    """Judge each file; the exit status is that of the worst."""
    judge = judge_of(options)
    if report is not None and not report.parent.is_dir():
        raise PlanError(f"--report {report}: there is no directory {report.parent}; make it first")
    if report is not None and report.is_dir():
        raise PlanError(
            f"--report {report} is a directory; give the page's name too, such as {report / 'verdicts.html'}"
        )
    done: list[Judged] = []
    about = f"judging {len(files)} {'history' if len(files) == 1 else 'histories'}"
    with placed(judge, options, ray) as judge, waiting(about, quiet=json) as tick:
        for number, path in enumerate(files):

            def told(share: float, doing: str, number: int = number, name: str = path.name) -> None:
                tick((number + share) / len(files), f"{name}: {doing}")

            one = judged(path, options, judge, told)
            done.append(one)
            if json:
                emit(line_of(one, options.model, explained=options.explain))
    for one in done:
        if one.status == BAD_INPUT:
            complain(one.result.reason)
    if not json:
        show(done[0], options.explain) if len(done) == 1 else show_table(done, options)
        for one in done if options.initial is None else ():
            hint_at_first_value(one)
    if report is not None:
        from harness.report.verdicts import write_verdicts

        write_verdicts(report, [row_of(one) for one in done], model=options.model)
    return min((one.status for one in done), key=PRECEDENCE.index)


@contextmanager
def placed(judge: Judge, options: Options, ray: str | None) -> Iterator[Judge]:
    """The judgement, made here or with the keys on a cluster."""
    if ray is None:
        yield judge
        return
    from harness.keyed_pool import by_key, spread
    from harness.ray_pool import ray_pool

    if not by_key(options.model, options.engine):
        raise PlanError(f"--ray spreads keys, and {options.model!r} by the engine {options.engine!r} is not judged key by key; leave it out")  # fmt: skip
    with ray_pool(ray) as pool:
        yield spread(judge, pool)


def judged(path: Path, options: Options, judge: Judge, told: Callable[[float, str], None]) -> Judged:
    """Judge one file, whatever happens. `told` hears how far it is: a share from 0 to 1, and in words what is being done."""
    began = time.perf_counter()
    try:
        told(0.0, f"reading {readable(path, HISTORY).stat().st_size / 1e6:,.1f} MB")
        history = loaded(path, options.form, options.model, options.key_by)
        limit = f", {options.timeout_s:g} s at most" if options.timeout_s is not None else ""
        told(READ_SHARE, f"judging {count_calls(history):,} operations{limit}")
        result = judge(history)
    except (HistoryError, PlanError, EngineError, MemoryError) as error:
        return failed(
            str(path),
            str(error) or f"{path}: there is not enough memory for it",
            time.perf_counter() - began,
            BAD_INPUT,
        )
    except WorldError:
        raise  # the cluster cannot do the work, of no file
    except Exception as error:
        complain(report_crash(error, debug=False))
        return failed(
            str(path),
            f"quorate itself failed ({type(error).__name__}: {error})",
            time.perf_counter() - began,
            BROKEN,
        )
    return Judged(str(path), history, result, time.perf_counter() - began, result.verdict.exit_status)


def loaded(path: Path, form: str, model: str, key_by: str | None = None) -> History:
    """The history in the file, with the keys asked for, its operations such as can be judged. What was dropped on reading is said on stderr."""
    history = load(path, form)
    for warning in history.warnings:
        say(f"warning: {path}: {warning}")
    try:
        history = history if key_by is None else keyed_by(history, key_by)
        return refuse_transactions(history, model)
    except HistoryError as error:
        raise HistoryError(f"{path}: {error}") from None


def row_of(one: Judged) -> dict[str, Any]:
    """What the report needs of one file."""
    result, history = one.result, one.history
    core = (
        result.certificate if result.certificate is not None and result.certificate.kind == "core" else None
    )
    return {
        "name": one.name,
        "verdict": result.verdict.value,
        "judged": history is not None,
        "ops": 0 if history is None else count_calls(history),
        "seconds": one.seconds,
        "result": result.as_json(),
        "explanation": [result.reason] if history is None else explain(history, result),
        "history": history,
        "drawing": "" if history is None else draw_core(history, result),
        "core": []
        if core is None or history is None
        else [op for at in core.ops for op in (history.op(at), history.completion(at)) if op is not None],
    }


def show(one: Judged, explained: bool) -> None:
    """The verdict for a person: word, sentence, drawing; if asked, every sentence there is."""
    from rich.text import Text

    if one.history is None:
        return
    console, result = out(), one.result
    about = f" {one.name}  ({count_calls(one.history):,} operations, {one.seconds:.2f} s)"
    word = Text(result.verdict.name, style=STYLES[result.verdict.value])
    console.print(word, Text(about), sep="", soft_wrap=True)
    for sentence in explain(one.history, result) if explained else [result.reason]:
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    if drawing := draw_core(one.history, result):
        console.print(Text(drawing), soft_wrap=True)


def hint_at_first_value(one: Judged) -> None:
    """A value that nobody wrote may be what the object began with; only who recorded the history knows that."""
    if one.history is not None and (value := first_value_asked(one.history, one.result)) is not MISSING:
        told = json.dumps(value, ensure_ascii=False, default=str)
        say(
            f"hint: {one.name}: if the object began with {told}, judge it again with --initial {shlex.quote(told)}"
        )


def show_table(done: Sequence[Judged], options: Options) -> None:
    """All files in a table, the explanations below it."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"as {options.model}", title_justify="left", box=None, pad_edge=False)
    for name in ("file", "verdict", "path", "operations", "seconds", "in words"):
        table.add_column(
            name, overflow="fold", justify="right" if name in ("operations", "seconds") else "left"
        )
    for one in done:
        result = one.result
        word = (
            Text(result.verdict.name, style=STYLES[result.verdict.value])
            if one.history is not None
            else Text("NOT JUDGED", style="bold magenta")
        )
        ops = "" if one.history is None else f"{count_calls(one.history):,}"
        cells = (Text(one.name), word, str(result.stats.get("path") or ""), ops, f"{one.seconds:.2f}")
        table.add_row(*cells, Text(result.reason))
    out().print(table)
    for one in done if options.explain else ():
        show(one, True)
